//! Cutting a completion where the policy should have stopped.

/// `text` up to the earliest occurrence of any stop sequence, which is dropped. Empty sequences never match.
pub fn truncate_at_stop<'a, S: AsRef<str>>(text: &'a str, stop: &[S]) -> &'a str {
    let end = stop
        .iter()
        .map(AsRef::as_ref)
        .filter(|sequence| !sequence.is_empty())
        .filter_map(|sequence| text.find(sequence))
        .min()
        .unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_sequence_wins() {
        let check = |stop: &[&str], expected: &str| assert_eq!(truncate_at_stop("xxabyy", stop), expected);
        check(&["b", "a"], "xx");
        check(&[""], "xxabyy");
        check(&["zz"], "xxabyy");
        check(&[], "xxabyy");
    }
}

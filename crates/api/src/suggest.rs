//! The word a person probably meant.

/// The candidate nearest to `word`, if one is near enough to be a slip of the fingers.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance_max = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (edit_distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= distance_max)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A hint for a message in which serde lists what it would have accepted, such as
/// "unknown field `memroy`, expected one of `cpu_time`, `memory`".
pub fn hint(message: &str) -> Option<String> {
    let rest =
        message.strip_prefix("unknown field `").or_else(|| message.strip_prefix("unknown variant `"))?;
    let (word, rest) = rest.split_once("`, expected ")?;
    // The list puts every candidate between back quotes: the odd parts of the split.
    let candidates = rest.split('`').skip(1).step_by(2);
    nearest(word, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}

/// Longer words are no field names, and the distance costs the product of the lengths.
const WORD_CHARS_MAX: usize = 64;

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
fn edit_distance(a: &str, b: &str) -> usize {
    let fold = |word: &str| -> Vec<char> { word.chars().flat_map(char::to_lowercase).collect() };
    let (a, b) = (fold(a), fold(b));
    if a.len() > WORD_CHARS_MAX || b.len() > WORD_CHARS_MAX {
        return usize::MAX;
    }
    let mut before_last = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let fields = ["cpu_time", "wall_time", "memory", "id"];
        for (word, expected) in [
            ("memroy", Some("memory")),
            ("Memory", Some("memory")),
            ("cpu_tme", Some("cpu_time")),
            ("cputime", Some("cpu_time")),
            ("ids", Some("id")),
            ("timeout", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, fields), expected, "{word}");
        }
    }

    #[test]
    fn serdes_own_messages_give_hints() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "only its error message is looked at")]
        struct Fields {
            memory: Option<u8>,
            cpu_time: Option<u8>,
        }
        #[derive(Debug, serde::Deserialize)]
        enum Choice {
            #[serde(rename = "exact")]
            Exact,
        }
        let message = serde_json::from_str::<Fields>(r#"{"memroy":1}"#).unwrap_err().to_string();
        assert_eq!(hint(&message).unwrap(), "did you mean `memory`?");
        let message = serde_json::from_str::<Choice>(r#""exakt""#).unwrap_err().to_string();
        assert_eq!(hint(&message).unwrap(), "did you mean `exact`?");
        assert_eq!(hint("missing field `id`"), None);
    }
}

//! Which function an action submits, and which one the asserts call.

/// The function that `action` submits: it must be the first thing in it. An action that begins with anything else
/// is only run, and earns nothing.
pub(super) fn submitted_function(action: &str) -> Option<&str> {
    called_name(action.strip_prefix(DEFINITION)?)
}

/// The function that the asserts on `gold` call: the first one defined in it.
///
/// The name and its parenthesis must touch, as InterCode expects them to; six of its 974 tasks have a space between
/// them and cannot be scored.
pub(super) fn gold_function(gold: &str) -> Option<&str> {
    gold.match_indices(DEFINITION).find_map(|(place, keyword)| called_name(&gold[place + keyword.len()..]))
}

const DEFINITION: &str = "def ";

fn called_name(text: &str) -> Option<&str> {
    let is_of_name = |c: char| c.is_alphanumeric() || c == '_';
    let end = text.find(|c| !is_of_name(c))?;
    (end > 0 && text[end..].starts_with('(')).then(|| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_submits_what_it_begins_with() {
        for (action, expected) in [
            ("def f(x): return x", Some("f")),
            ("def is_prime_2(n):\n    return True", Some("is_prime_2")),
            (" def f(x): return x", None),
            ("import re  def f(x): return x", None),
            ("def f (x): return x", None),
            ("def (x)", None),
            ("define f(x)", None),
            ("def f", None),
            ("", None),
        ] {
            assert_eq!(submitted_function(action), expected, "{action}");
        }
    }

    #[test]
    fn asserts_call_the_first_function_of_the_gold_code() {
        for (gold, expected) in [
            ("R = 3\r\ndef min_cost(cost, m, n): \r\n\treturn 1", Some("min_cost")),
            ("def lst_to_string(lst): pass\ndef str_to_list(s): pass", Some("lst_to_string")),
            ("def max_Prime_Factors (n): pass", None),
            ("def a (n): pass\ndef b(n): pass", Some("b")),
            ("x = 1", None),
        ] {
            assert_eq!(gold_function(gold), expected, "{gold}");
        }
    }
}

//! The token that requests carry.

use std::fmt;

/// A token, kept as its digest: comparing digests takes the same time wherever the texts differ.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(blake3::Hash);

impl Token {
    /// A token from its text, white space around it aside; `None` where nothing else is in it.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(blake3::hash(text.as_bytes())))
    }

    /// Whether an `Authorization` header (RFC 6750) carries it.
    pub(crate) fn is_in(&self, header: &[u8]) -> bool {
        let Some((scheme, credentials)) = header.split_at_checked(b"Bearer ".len()) else { return false };
        scheme.eq_ignore_ascii_case(b"Bearer ") && blake3::hash(credentials.trim_ascii()) == self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_will_do() {
        let token = Token::new(" secret\n").unwrap();
        for (header, is_right) in [
            ("Bearer secret", true),
            ("bearer secret", true),
            ("Bearer secre", false),
            ("Bearer", false),
            ("Basic secret", false),
            ("", false),
        ] {
            assert_eq!(token.is_in(header.as_bytes()), is_right, "{header}");
        }
        assert_eq!(Token::new(" \n"), None);
        assert_eq!(format!("{token:?}"), "Token(…)");
    }
}

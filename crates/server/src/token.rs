//! The token that requests carry.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A token, kept as its digest: comparing digests takes the same time wherever the texts differ.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(blake3::Hash);

impl Token {
    /// A token from its text, white space around it aside; `None` where nothing else is in it.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(blake3::hash(text.as_bytes())))
    }

    /// Whether an `Authorization` header carries it: as a bearer token (RFC 6750), or as the password of any user
    /// (RFC 7617), which is what HTTP clients without a word for tokens make of `http://user:TOKEN@host`.
    pub(crate) fn is_in(&self, header: &[u8]) -> bool {
        let Some(space) = header.iter().position(|byte| *byte == b' ') else { return false };
        let (scheme, credentials) = (&header[..space], header[space..].trim_ascii());
        if scheme.eq_ignore_ascii_case(b"Bearer") {
            return blake3::hash(credentials) == self.0;
        }
        if !scheme.eq_ignore_ascii_case(b"Basic") {
            return false;
        }
        let Ok(user_and_password) = STANDARD.decode(credentials) else { return false };
        let mut parts = user_and_password.splitn(2, |byte| *byte == b':').skip(1);
        parts.next().is_some_and(|password| blake3::hash(password) == self.0)
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
            // user:secret, :secret, secret, secret:, user:secret:
            ("Basic dXNlcjpzZWNyZXQ=", true),
            ("basic OnNlY3JldA==", true),
            ("Basic c2VjcmV0", false),
            ("Basic c2VjcmV0Og==", false),
            ("Basic dXNlcjpzZWNyZXQ6", false),
            ("Digest secret", false),
            ("", false),
        ] {
            assert_eq!(token.is_in(header.as_bytes()), is_right, "{header}");
        }
        assert_eq!(Token::new(" \n"), None);
        assert_eq!(format!("{token:?}"), "Token(…)");
    }
}

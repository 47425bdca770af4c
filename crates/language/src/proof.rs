//! Code that a program ends with to show that it ran to its end.
//!
//! Exit code 0 does not show it: a solution that calls `exit(0)` skips the tests that follow. The proof is
//! the program's own claim, written into a file; it raises the price of skipping, it does not seal it.

/// An epilogue with places for the file to write and the token to write into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletionProof {
    template: String,
}

/// Why an epilogue cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The template lacks a placeholder.
    #[error("`completion_proof` does not contain `{placeholder}`")]
    MissingPlaceholder {
        /// `{path}` or `{token}`.
        placeholder: &'static str,
    },
    /// The text would need quoting, and each language quotes differently.
    #[error("`{text}` has characters other than letters, digits, `/`, `.`, `_` and `-`")]
    UnsafeText {
        /// The path or token as given.
        text: String,
    },
}

impl CompletionProof {
    /// Checks that both placeholders are there.
    pub fn new(template: &str) -> Result<Self, ProofError> {
        for placeholder in ["{path}", "{token}"] {
            if !template.contains(placeholder) {
                return Err(ProofError::MissingPlaceholder { placeholder });
            }
        }
        Ok(Self { template: template.to_owned() })
    }

    /// The epilogue that writes `token` to the file at `path`. The path should be absolute, because programs
    /// change their directory. The text starts on a line of its own.
    pub fn epilogue(&self, path: &str, token: &str) -> Result<String, ProofError> {
        for text in [path, token] {
            let is_safe = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
            if text.is_empty() || !text.chars().all(is_safe) {
                return Err(ProofError::UnsafeText { text: text.to_owned() });
            }
        }
        Ok(format!("\n{}", self.template.replace("{path}", path).replace("{token}", token)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled() {
        let proof = CompletionProof::new("write('{path}', '{token}')\n").unwrap();
        assert_eq!(proof.epilogue("/ws/work/x", "a-1").unwrap(), "\nwrite('/ws/work/x', 'a-1')\n");
    }

    #[test]
    fn what_cannot_be_right_is_refused() {
        let missing = |placeholder| Err(ProofError::MissingPlaceholder { placeholder });
        assert_eq!(CompletionProof::new("{token}"), missing("{path}"));
        assert_eq!(CompletionProof::new("{path}"), missing("{token}"));
        let proof = CompletionProof::new("{path}{token}").unwrap();
        for (path, token) in [("/a'b", "t"), ("/a", ""), ("/a", "x\ny"), ("/a b", "t")] {
            assert!(
                matches!(proof.epilogue(path, token), Err(ProofError::UnsafeText { .. })),
                "{path} {token}"
            );
        }
    }
}

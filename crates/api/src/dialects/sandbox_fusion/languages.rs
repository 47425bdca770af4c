//! SandboxFusion's names of languages, and ours.

/// Names of theirs that have a language of ours. What else they have (unit test runners, GPUs, Lean, …) has none, and
/// is accepted only where a language file brings a language of that very name.
const THEIRS_AND_OURS: [(&str, &str); 15] = [
    ("python", "python"),
    ("cpp", "cpp"),
    ("nodejs", "javascript"),
    ("go", "go"),
    ("java", "java"),
    ("php", "php"),
    ("bash", "bash"),
    ("typescript", "typescript"),
    ("sql", "sqlite"),
    ("rust", "rust"),
    ("lua", "lua"),
    ("R", "r"),
    ("perl", "perl"),
    ("ruby", "ruby"),
    ("julia", "julia"),
];

/// The names a server that has the languages `ours` answers to: theirs first, then our own.
pub fn accepted_names<'a>(ours: &[&'a str]) -> Vec<&'a str> {
    let has = |name: &str| ours.contains(&name);
    let theirs = THEIRS_AND_OURS.iter().filter(|(_, name)| has(name)).map(|(theirs, _)| *theirs);
    let own = ours.iter().copied().filter(|name| THEIRS_AND_OURS.iter().all(|(theirs, _)| theirs != name));
    theirs.chain(own).collect()
}

/// Our language of that name, among those there are.
pub(super) fn ours<'a>(name: &str, ours: &[&'a str]) -> Option<&'a str> {
    let wanted = THEIRS_AND_OURS.iter().find(|(theirs, _)| *theirs == name).map_or(name, |(_, ours)| ours);
    ours.iter().copied().find(|language| *language == wanted)
}

/// The program as ours expects it. Theirs takes PHP without its opening tag.
pub(super) fn source(language: &str, code: &str) -> Vec<u8> {
    if language == "php" && !code.contains("<?php") {
        return format!("<?php\n{code}").into_bytes();
    }
    code.as_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn their_names_lead_to_ours_and_ours_to_themselves() {
        let present = ["c", "javascript", "pytest", "python", "r"];
        for (name, expected) in [
            ("python", Some("python")),
            ("nodejs", Some("javascript")),
            ("javascript", Some("javascript")),
            ("R", Some("r")),
            ("c", Some("c")),
            ("pytest", Some("pytest")),
            ("cpp", None),
            ("go_test", None),
            ("D_ut", None),
            ("Python", None),
            ("", None),
        ] {
            assert_eq!(ours(name, &present), expected, "{name}");
        }
        let accepted = accepted_names(&present);
        assert_eq!(accepted, ["python", "nodejs", "R", "c", "javascript", "pytest", "r"]);
        assert!(accepted.iter().all(|name| ours(name, &present).is_some()));
    }

    #[test]
    fn php_needs_no_tag() {
        assert_eq!(source("php", "echo 1;"), b"<?php\necho 1;");
        assert_eq!(source("php", " <?php echo 1;"), b" <?php echo 1;");
        assert_eq!(source("python", "1"), b"1");
    }
}

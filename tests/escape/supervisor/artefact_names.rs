//! Names made to confuse whoever lists them: newlines, escapes, bytes that are no text.

use crate::harness::{Held, Probe, Risk, Workspace};

pub(crate) const PROBE: Probe = Probe {
    workspace: Workspace::Collected,
    held: Held::Outcome(|outcome| {
        let names: Vec<_> = outcome.files.iter().map(|file| file.path.as_str().to_owned()).collect();
        let expected = [
            " ".to_owned(),
            "-rf".to_owned(),
            "a".repeat(255),
            "attack.py".to_owned(),
            "red\x1b[31m".to_owned(),
            "two\nlines".to_owned(),
        ];
        if names == expected && outcome.files_omitted == 1 {
            Ok("names are data; what is no text is omitted".to_owned())
        } else {
            Err(format!("collected {names:?}, omitted {}", outcome.files_omitted))
        }
    }),
    ..Probe::new("artefact_names", Risk::Supervisor, ATTACK)
};

const ATTACK: &str = r#"
names = [b"two\nlines", b"red\x1b[31m", b"\xff\xfe", b"-rf", b" ", b"a" * 255]
for entry in names:
    with open(entry, "wb") as file:
        file.write(b"x")
"#;

//! A thousand directories, one in the other, and a file at the bottom whose path is longer than any path may be.

use crate::harness::{Held, Probe, Risk, Workspace};

pub(crate) const PROBE: Probe = Probe {
    workspace: Workspace::Collected,
    held: Held::Outcome(|outcome| {
        let names: Vec<_> = outcome.files.iter().map(|file| file.path.as_str()).collect();
        if names == ["attack.py", "honest"] && outcome.files_omitted > 0 {
            Ok(format!("{} omitted", outcome.files_omitted))
        } else {
            Err(format!("{} files, {} omitted", names.len(), outcome.files_omitted))
        }
    }),
    ..Probe::new("artefact_depth", Risk::Supervisor, ATTACK)
};

const ATTACK: &str = r#"
open("honest", "w").close()
for number in range(1000):
    os.mkdir("down-there")
    os.chdir("down-there")
open("treasure", "w").close()
"#;

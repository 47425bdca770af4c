//! Links left to be followed by whoever collects the workspace.

use crate::harness::{Held, Probe, Risk, Workspace};

pub(crate) const PROBE: Probe = Probe {
    workspace: Workspace::Collected,
    held: Held::Outcome(|outcome| {
        let names: Vec<_> = outcome.files.iter().map(|file| file.path.as_str()).collect();
        if names == ["attack.py", "honest"] && outcome.files_omitted == 6 {
            Ok("6 links omitted".to_owned())
        } else {
            Err(format!("collected {names:?}, omitted {}", outcome.files_omitted))
        }
    }),
    ..Probe::new("artefact_links", Risk::Supervisor, ATTACK)
};

const ATTACK: &str = r#"
os.symlink(SECRET_PATH, "secret-link")
os.symlink("/etc/shadow", "shadow-link")
os.symlink("/", "root-link")
os.symlink(os.path.dirname(SECRET_PATH), "directory-link")
os.symlink("loop", "loop")
os.mkdir("sub")
os.symlink("../../../../../../.." + SECRET_PATH, "sub/relative-link")
with open("honest", "w") as file:
    file.write("collect me")
for path in ("secret-link", "sub/relative-link"):
    try:
        if has_secret(path):
            breached(f"followed {path}")
    except OSError:
        pass
held("the links lead nowhere")
"#;

//! The workspace itself removed before whoever collects comes for it.

use crate::harness::{Held, Probe, Risk, Workspace};

pub(crate) const PROBE: Probe = Probe {
    workspace: Workspace::Collected,
    held: Held::Outcome(|outcome| match outcome.files.len() {
        0 => Ok(format!("an outcome with no file and {} omitted", outcome.files_omitted)),
        some => Err(format!("{some} files out of nowhere")),
    }),
    ..Probe::new("artefact_gone", Risk::Supervisor, ATTACK)
};

const ATTACK: &str = r#"
import shutil

os.chdir(TEMPORARY)
try:
    # Unconfined, and where the workspace is a directory like any other.
    os.rename(WORKSPACE, WORKSPACE + "-gone")
    shutil.rmtree(WORKSPACE + "-gone")
    os._exit(0)
except OSError:
    pass
# Where both are one file system the directory has a second name, which is no mount point and can be removed.
if os.path.isdir(".work"):
    os.rename(".work", "moved")
    shutil.rmtree("moved")
else:
    os.unlink(f"{WORKSPACE}/attack.py")
"#;

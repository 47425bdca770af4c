//! A hundred thousand files, or as many as there is room for.

use crate::harness::{Held, Probe, Risk, Workspace};

pub(crate) const PROBE: Probe = Probe {
    workspace: Workspace::Collected,
    held: Held::Outcome(|outcome| match outcome.files.len() {
        1..=1024 if outcome.files_omitted > 0 => {
            Ok(format!("{} files taken, {} omitted", outcome.files.len(), outcome.files_omitted))
        }
        taken => Err(format!("took {taken} files, omitted {}", outcome.files_omitted)),
    }),
    ..Probe::new("artefact_crowd", Risk::Supervisor, ATTACK)
};

const ATTACK: &str = r#"
made = 0
try:
    for number in range(100000):
        if number % 1000 == 0:
            os.mkdir(f"street-{number}")
        os.close(os.open(f"street-{number - number % 1000}/{number}", os.O_CREAT | os.O_WRONLY))
        made += 1
except OSError:
    pass
print(made)
"#;

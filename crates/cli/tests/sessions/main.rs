//! Live sessions against what others have recorded, published and promised of theirs.

#![expect(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it should be")]

mod datamind;
mod episodes;
mod properties;
mod soak;

use std::sync::{Arc, OnceLock};

use rollcage_language::LanguageSet;
use rollcage_sandbox::{Host, HostConfig, LauncherProgram};
use rollcage_session::live::{Farm, FarmConfig, LiveCell, LiveOutcome, LiveSession, LiveSpec};
use rollcage_types::{ByteSize, Captured};

/// A farm that all tests share; `None`, and a note, where this host can keep none.
fn farm() -> Option<&'static Farm> {
    static FARM: OnceLock<Option<Farm>> = OnceLock::new();
    FARM.get_or_init(|| {
        let launcher = LauncherProgram::Path(env!("CARGO_BIN_EXE_rollcage").into());
        match Host::start(&HostConfig { slots: 1, launcher, ..HostConfig::default() }) {
            Ok(host) => {
                let directory = tempfile::tempdir().unwrap().keep();
                let config =
                    FarmConfig { memory: Some(ByteSize::gib(8)), live_max: None, directory, idle: None };
                Some(Farm::new(Arc::new(host), config).unwrap())
            }
            Err(error) => {
                println!("skipped: live sessions, because the host cannot start: {error}");
                None
            }
        }
    })
    .as_ref()
}

fn open(farm: &Farm, language: &str, spec: LiveSpec) -> LiveSession {
    farm.open(LanguageSet::built_in().find(language).unwrap(), spec).unwrap()
}

fn run(session: &LiveSession, source: &str) -> LiveOutcome {
    session.execute(&LiveCell::new(source), &mut |_prompt| None).unwrap()
}

fn text(captured: &Captured) -> String {
    String::from_utf8_lossy(&captured.head).into_owned()
}

//! Live sessions in real cages. Needs root and cgroups; without them it says what is missing and passes.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

mod bash;
mod between;
mod births;
mod branches;
mod copies;
mod duckdb;
mod hostile;
mod postgresql;
mod python;
mod recipes;
mod replays;
mod residency;
mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use rollcage_language::LanguageSet;
use rollcage_sandbox::{Host, HostConfig};
use rollcage_session::live::{Farm, FarmConfig, LiveCell, LiveOutcome, LiveSession, LiveSpec};
use rollcage_types::ByteSize;

/// The form of tables.
pub(crate) const TABLE: &str = "application/vnd.dataresource+json";

/// What every test gets.
pub(crate) struct Ground {
    host: Arc<Host>,
    directory: tempfile::TempDir,
}

impl Ground {
    /// A farm of its own with this budget.
    pub(crate) fn farm(&self, memory: ByteSize, live_max: Option<usize>) -> Farm {
        let directory = self.directory.path().join("aside");
        let config = FarmConfig { memory: Some(memory), live_max, directory, idle: None };
        Farm::new(Arc::clone(&self.host), config).expect("the directory can be made")
    }

    /// One with room for all that a test opens.
    pub(crate) fn roomy(&self) -> Farm {
        self.farm(ByteSize::gib(8), None)
    }
}

pub(crate) fn open(farm: &Farm, language: &str, spec: LiveSpec) -> LiveSession {
    let set = LanguageSet::built_in();
    farm.open(set.find(language).expect("built in"), spec).expect("it opens")
}

pub(crate) fn run(session: &LiveSession, source: &str) -> LiveOutcome {
    session.execute(&LiveCell::new(source), &mut |_prompt| None).expect("the cell has an outcome")
}

/// Runs a cell and asserts what it writes.
pub(crate) fn check(session: &LiveSession, source: &str, stdout: &str) {
    let outcome = run(session, source);
    assert_eq!(text(&outcome.stdout), stdout, "{source}: {}", text(&outcome.stderr));
}

/// A query of 5,000 rows shows as many as are kept, and says how many there were more.
pub(crate) fn check_bounds(session: &LiveSession, query: &str) {
    let outcome = run(session, query);
    let table = outcome.displays[0].bundle.value(TABLE);
    assert_eq!((table["data"].as_array().unwrap().len(), &table["rows_omitted"]), (1000, &4000.into()));
    assert!(text(&outcome.stdout).ends_with("(4000 more rows)\n"));
}

/// The types of the columns that a cell of a database showed, and its first row.
pub(crate) fn kinds_and_row(outcome: &LiveOutcome) -> (Vec<String>, serde_json::Value) {
    let table = outcome.displays[0].bundle.value(TABLE);
    let fields = table["schema"]["fields"].as_array().unwrap();
    let kind = |field: &serde_json::Value| field["type"].as_str().unwrap().to_owned();
    (fields.iter().map(kind).collect(), table["data"][0].clone())
}

/// Limits of time where the processor is emulated are as many times longer.
pub(crate) fn slowly(time: Duration) -> Duration {
    let factor = std::env::var("ROLLCAGE_SLOWNESS").ok();
    time * factor.map_or(1, |text| text.parse().expect("ROLLCAGE_SLOWNESS is a number"))
}

/// Whether the host has it where cages see it.
pub(crate) fn is_installed(program: &str) -> bool {
    ["/usr/local/bin", "/usr/bin"].iter().any(|at| std::path::Path::new(at).join(program).exists())
}

pub(crate) fn text(captured: &rollcage_types::Captured) -> String {
    String::from_utf8_lossy(&captured.head).into_owned()
}

type Test = fn(&Ground);

fn main() {
    rollcage_sandbox::launcher_main_if_asked();
    let host = match Host::start(&HostConfig { slots: 1, ..HostConfig::default() }) {
        Ok(host) => Arc::new(host),
        Err(error) => {
            eprintln!("skipped: live sessions, because the host cannot start: {error}");
            return;
        }
    };
    let ground = Ground { host, directory: tempfile::tempdir().expect("a temporary directory") };
    let all: [(&str, Test); 13] = [
        ("between", between::all),
        ("recipes", recipes::all),
        ("branches", branches::all),
        ("copies", copies::all),
        ("births", births::all),
        ("python", python::all),
        ("hostile", hostile::all),
        ("residency", residency::all),
        ("replays", replays::all),
        ("bash", bash::all),
        ("sqlite", sqlite::all),
        ("duckdb", duckdb::all),
        ("postgresql", postgresql::all),
    ];
    let wanted = std::env::args().nth(1).filter(|word| !word.starts_with('-'));
    std::thread::scope(|scope| {
        if wanted.is_none() {
            scope.spawn(|| between::an_end_long_after_the_opening_is_told_as_it_was(&ground));
        }
        for (name, test) in all {
            if wanted.as_ref().is_none_or(|wanted| wanted == name) {
                test(&ground);
                println!("live sessions, {name}: all held");
            }
        }
    });
}

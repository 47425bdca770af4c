//! Runs an attack as a cell of a live session, or of a branch of one, beside another session that is unharmed by it.

use std::sync::Arc;
use std::time::Duration;

use rollcage_language::LanguageSet;
use rollcage_sandbox::Host;
use rollcage_session::live::{CellLimits, Farm, FarmConfig, LiveCell, LiveOutcome, LiveSession, LiveSpec};
use rollcage_types::{
    Collect, ExecOutcome, ExecRequest, FileEntry, Limits, NetworkLog, Start, Termination, Usage,
};

use super::modes::Place;
use super::request::PROGRAM;

/// Opens two sessions, runs the attack in one of them or in a branch of it, and asks the others how they are.
pub(super) fn run(place: Place, host: &Arc<Host>, request: &ExecRequest) -> Result<ExecOutcome, String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let config =
        FarmConfig { memory: None, live_max: None, directory: directory.path().to_owned(), idle: None };
    let farm = Farm::new(Arc::clone(host), config).map_err(|error| error.to_string())?;
    let set = LanguageSet::built_in();
    let python = set.find("python").map_err(|error| error.to_string())?;
    let is_program = |file: &&FileEntry| file.path.as_str() == PROGRAM;
    let program = request.files.iter().find(is_program).ok_or("there is no program")?;
    let spec = LiveSpec {
        limits: request.limits.clone(),
        files: request.files.clone(),
        capture: request.capture,
        forks: place == Place::Branch,
        ..LiveSpec::default()
    };
    let open = || farm.open(python, spec.clone()).map_err(|error| format!("no session: {error}"));
    let (neighbour, trunk) = (open()?, open()?);
    // The attack's limits of time may be shorter than what a busy machine takes for the least.
    let minute = Duration::from_secs(60);
    let roomy = Limits { cpu_time: minute, wall_time: minute, ..Limits::default() };
    execute(&neighbour, "mine = 'unharmed'", &roomy)?;
    execute(&trunk, "mine = 'unharmed'", &roomy)?;
    let attacked = if place == Place::Branch {
        let mut forked = trunk.fork(1).map_err(|error| format!("no branch: {error}"))?;
        forked.sessions.pop().ok_or("there is no branch")?
    } else {
        trunk.clone()
    };
    let outcome = execute(&attacked, &cell(request, program), &request.limits)?;
    let left_behind = match request.collect {
        // Of one that has ended nothing can be read.
        Collect::Everything => attacked.all_files().unwrap_or_default(),
        Collect::Nothing | Collect::Files(_) => (Vec::new(), 0),
    };
    for other in [Some(&neighbour), (place == Place::Branch).then_some(&trunk)].into_iter().flatten() {
        let after = execute(other, "print(mine)", &roomy)?;
        if after.stdout.to_text() != "unharmed\n" {
            return Err(format!("another session was harmed: {after:?}"));
        }
    }
    Ok(as_run(outcome, host, left_behind))
}

fn execute(session: &LiveSession, source: &str, limits: &Limits) -> Result<LiveOutcome, String> {
    let cell = LiveCell { limits: Some(CellLimits::from(limits)), ..LiveCell::new(source) };
    session.execute(&cell, &mut |_prompt| None).map_err(|error| format!("no outcome: {error:?}"))
}

/// The program, with what it would have been started with.
fn cell(request: &ExecRequest, program: &FileEntry) -> String {
    let variables: Vec<_> =
        request.env_vars.iter().map(|(name, value)| format!("os.environ[{name:?}] = {value:?}")).collect();
    let arguments: Vec<_> = request.argv.iter().skip(1).map(|argument| format!("{argument:?}")).collect();
    // What ends its interpreter leaves nothing to be read.
    let exit = if request.collect == Collect::Nothing { "" } else { "os._exit = sys.exit" };
    format!(
        "import os, sys; {}\n{exit}\nsys.argv = [{}]; __file__ = '{PROGRAM}'\n{}",
        variables.join("; "),
        arguments.join(", "),
        String::from_utf8_lossy(&program.content)
    )
}

fn as_run(outcome: LiveOutcome, host: &Host, (files, files_omitted): (Vec<FileEntry>, u64)) -> ExecOutcome {
    // A session that was cut off did not end by itself.
    let is_cut_off = outcome.termination == Termination::Signaled { signal: 9 } && outcome.ending.is_none();
    let termination = if is_cut_off { Termination::Exited { code: 1 } } else { outcome.termination };
    ExecOutcome {
        termination,
        start: Start::Fork,
        network: NetworkLog::default(),
        stdout: outcome.stdout,
        stderr: outcome.stderr,
        usage: Usage {
            cpu_time: outcome.usage.cpu_time,
            wall_time: outcome.usage.wall_time,
            ..Usage::default()
        },
        enforcement: Arc::clone(host.enforcement()),
        files,
        files_omitted,
    }
}

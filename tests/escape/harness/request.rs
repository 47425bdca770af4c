//! An attack as a request to the sandbox, for each place it can pass for.

use std::sync::Arc;

use rollcage_engine::drive::checker_request;
use rollcage_judge::TestCase;
use rollcage_language::Language;
use rollcage_types::{
    AllowList, Collect, ExecRequest, FileEntry, LimitKind, LimitOverrides, Limits, NetworkAccess,
    RelativePath,
};

use super::modes::Place;
use super::probe::{Held, Probe, Workspace};
use super::scene::PRELUDE;

/// The attack's own file.
pub(super) const PROGRAM: &str = "attack.py";

/// The variable that says how many times as long attacks may take as on an ordinary machine. Emulated ones are slow, and an
/// attack that meets its time limit has not shown what else would hold it.
pub(super) const SLOWNESS: &str = "ROLLCAGE_SLOWNESS";

/// What attacks are told of the host.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) secret_path: String,
}

/// A companion in a cage.
pub(super) fn companion(source: &str, target: &Target) -> ExecRequest {
    let path = RelativePath::new(PROGRAM).expect("a plain name");
    let mut request = ExecRequest::new(["python3", PROGRAM]);
    request.env_vars.push(("ESCAPE_SECRET_PATH".to_owned(), target.secret_path.clone()));
    request.files.push(FileEntry::new(path, format!("{PRELUDE}{source}").into_bytes()));
    request.limits = unhurried(&request.limits);
    request
}

/// The attack itself.
pub(super) fn attack(probe: &Probe, place: Place, arguments: &[String], target: &Target) -> ExecRequest {
    let mut limits = Limits::default();
    (probe.limits)(&mut limits);
    if !is_held_by_time(probe) {
        limits = unhurried(&limits);
    }
    match place {
        Place::Cold
        | Place::Warm
        | Place::Session
        | Place::Branch
        | Place::Checker
        | Place::Loopback
        | Place::Allowed => {
            let mut request = companion(probe.attack, target);
            request.argv.extend_from_slice(arguments);
            request.limits = limits;
            request.network = network(place);
            request.collect = match probe.workspace {
                Workspace::Left => Collect::Nothing,
                Workspace::Collected => Collect::Everything,
            };
            if place == Place::Checker { checker_request(request, &case(), b"1\n".to_vec()) } else { request }
        }
        Place::Compile => {
            let mut language = recipe(arguments, target);
            language.compile_limits = overrides(&limits);
            let source = language.source_file(format!("{PRELUDE}{}", probe.attack).into_bytes());
            language.compile_request(vec![source]).expect("the recipe compiles")
        }
    }
}

/// What a checker is asked about.
fn case() -> TestCase {
    TestCase { stdin: Arc::from(*b"1\n"), expected: Arc::from(*b"1\n") }
}

/// Such attacks are to meet their time limit, and say how late it comes.
fn is_held_by_time(probe: &Probe) -> bool {
    matches!(probe.held, Held::Limit(LimitKind::CpuTime | LimitKind::WallTime | LimitKind::IdleTime))
}

fn unhurried(limits: &Limits) -> Limits {
    let factor = std::env::var(SLOWNESS).ok();
    let factor = factor.map_or(1, |text| text.parse().expect("ROLLCAGE_SLOWNESS is a number"));
    let (cpu_time, wall_time) = (limits.cpu_time * factor, limits.wall_time * factor);
    Limits { cpu_time, wall_time, idle_time: limits.idle_time.map(|time| time * factor), ..limits.clone() }
}

fn network(place: Place) -> NetworkAccess {
    match place {
        Place::Cold | Place::Warm | Place::Session | Place::Branch | Place::Checker | Place::Compile => {
            NetworkAccess::None
        }
        Place::Loopback => NetworkAccess::Loopback,
        Place::Allowed => {
            let list = AllowList::parse(["allowed.invalid:80,443", "localhost:9"]);
            NetworkAccess::Allow(list.expect("both are hosts"))
        }
    }
}

/// The run after a compile step, on what it left: what the attack hands on must be harmless to whoever takes it.
pub(super) fn run_of(compiled: Vec<FileEntry>, target: &Target) -> ExecRequest {
    recipe(&[], target).run_request(compiled)
}

/// A language whose compiler is the attack. Without `artefacts`, the whole workspace is carried over.
fn recipe(arguments: &[String], target: &Target) -> Language {
    let secret_path = &target.secret_path;
    let text = format!(
        "prompt: none\nfilename: {PROGRAM}\ncompile: python3 {PROGRAM} {}\nexecute: sh -c true\n\
         env_vars: {{ESCAPE_SECRET_PATH: {secret_path}}}\n",
        arguments.join(" "),
    );
    Language::parse("attack.yaml", &text).expect("arguments of companions are plain words")
}

fn overrides(limits: &Limits) -> LimitOverrides {
    LimitOverrides {
        cpu_time: Some(limits.cpu_time),
        wall_time: Some(limits.wall_time),
        idle_time: limits.idle_time,
        memory: Some(limits.memory),
        processes: Some(limits.processes),
        output: Some(limits.output),
        file_size: Some(limits.file_size),
        disk: Some(limits.disk),
        open_files: Some(limits.open_files),
        stack: Some(limits.stack),
    }
}

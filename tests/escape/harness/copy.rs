//! Runs an attack as a copy of an interpreter, which is unharmed by it.

use std::sync::Arc;
use std::time::Duration;

use rollcage_sandbox::{Cancel, ForkPoint, ForkServer, ForkServerSpec, Host, Stop};
use rollcage_types::{ByteSize, ExecOutcome, ExecRequest, FileEntry, Limits, RelativePath};

use super::cage::describe;
use super::request::PROGRAM;

/// For a copy that attacks nothing, however busy the machine is.
const ROOMY: Duration = Duration::from_secs(60);

/// Starts an interpreter as the request has it, and runs the request in a copy. Another copy then shows that the
/// interpreter is as it was.
pub(super) fn run(host: &Arc<Host>, request: &ExecRequest) -> Result<ExecOutcome, String> {
    let server = ForkServer::start(host, spec(request), &Cancel::new())
        .map_err(|error| format!("no fork server: {error}"))?;
    let outcome = server.run(request, &Cancel::new()).map_err(|error| format!("no outcome: {error:?}"))?;
    let mut afterwards = request.clone();
    let path = RelativePath::new(PROGRAM).expect("a plain name");
    afterwards.limits = Limits { cpu_time: ROOMY, wall_time: ROOMY, idle_time: None, ..afterwards.limits };
    afterwards.files = vec![FileEntry::new(path, b"print('unharmed')\n".to_vec())];
    let after = server.run(&afterwards, &Cancel::new());
    let after = after.map_err(|error| format!("the interpreter was harmed: {error:?}"))?;
    if !server.is_alive() || after.stdout.to_text() != "unharmed\n" || !after.termination.is_success() {
        return Err(format!("the interpreter was harmed: {}", describe(&after)));
    }
    Ok(outcome)
}

fn spec(request: &ExecRequest) -> ForkServerSpec {
    ForkServerSpec {
        argv: request.argv.clone(),
        env_vars: request.env_vars.clone(),
        start_vars: Vec::new(),
        program: RelativePath::new(PROGRAM).expect("a plain name"),
        point: ForkPoint::Program,
        // To see whether it is an archive.
        passes: 1,
        stop: Stop::Open,
        not_with: Vec::new(),
        executable: None,
        preload: None,
        limits: request.limits.clone(),
        memory: ByteSize::gib(1),
        start_time: Duration::from_secs(60),
        branches: false,
    }
}

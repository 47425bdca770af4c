//! From a request to the message a cage understands.

use rollcage_guest::ResourceLimit;
use rollcage_guest::protocol::{CgroupEntry, RunMessage};
use rollcage_types::{ExecRequest, Limits};

use crate::error::SandboxError;

/// Where bare program names are looked up.
const PATH: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

/// Variables every program starts with. No toolchain here needs more, and the host's own are none of its business.
const VARIABLES: [(&str, &str); 6] = [
    ("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ("HOME", "/tmp"),
    ("TMPDIR", "/tmp"),
    ("LANG", "C.UTF-8"),
    ("TZ", "UTC"),
    ("USER", "sandbox"),
];

/// No core file is this small, so none is written. Not 0, because a host whose core pattern is a program runs that
/// program as root for every crash, limit or no limit, except for this very number.
const CORE_MAX: u64 = 1;
/// Locked memory, which page reclaim cannot touch: enough for a few keys.
const LOCKED_MEMORY_MAX: u64 = 64 * 1024;
/// POSIX message queues live in kernel memory that a program could fill with a few calls.
const MESSAGE_QUEUE_MAX: u64 = 64 * 1024;

/// Encodes `request` for the cage of this `generation`.
pub(crate) fn encode(
    request: &ExecRequest,
    generation: u64,
    cgroup_entry: CgroupEntry,
) -> Result<Vec<u8>, SandboxError> {
    let name = request.argv.first().filter(|name| !name.is_empty()).ok_or(SandboxError::NoProgram)?;
    let paths: Vec<String> = if name.contains('/') {
        vec![name.clone()]
    } else {
        PATH.iter().map(|directory| format!("{directory}/{name}")).collect()
    };
    let overridden = |name: &str| request.env_vars.iter().any(|(given, _)| given == name);
    let own =
        VARIABLES.iter().filter(|(name, _)| !overridden(name)).map(|(name, value)| format!("{name}={value}"));
    let given = request.env_vars.iter().map(|(name, value)| format!("{name}={value}"));
    RunMessage {
        generation,
        programs: &paths.iter().map(String::as_str).collect::<Vec<_>>(),
        arguments: &request.argv.iter().map(String::as_str).collect::<Vec<_>>(),
        variables: &own.chain(given).collect::<Vec<_>>(),
        resource_limits: &resource_limits(&request.limits),
        cgroup_entry,
    }
    .encode()
    .map_err(SandboxError::Request)
}

/// Per-process limits. Memory is not among them: RLIMIT_AS breaks runtimes that reserve address space.
fn resource_limits(limits: &Limits) -> [ResourceLimit; 7] {
    let both = |resource: libc::__rlimit_resource_t, value: u64| ResourceLimit {
        resource,
        soft: value,
        hard: value,
        ..ResourceLimit::default()
    };
    // A backstop in whole seconds; the limit proper is the tree's, read from its cgroup.
    let cpu_seconds = limits.cpu_time.as_secs() + 2;
    [
        both(libc::RLIMIT_CPU, cpu_seconds),
        both(libc::RLIMIT_FSIZE, limits.file_size.as_u64()),
        both(libc::RLIMIT_NOFILE, u64::from(limits.open_files)),
        both(libc::RLIMIT_STACK, limits.stack.as_u64()),
        both(libc::RLIMIT_CORE, CORE_MAX),
        both(libc::RLIMIT_MEMLOCK, LOCKED_MEMORY_MAX),
        both(libc::RLIMIT_MSGQUEUE, MESSAGE_QUEUE_MAX),
    ]
}

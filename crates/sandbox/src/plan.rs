//! From a request to the message a cage understands.

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::path::Path;

use rollcage_guest::ResourceLimit;
use rollcage_guest::protocol::{CgroupEntry, Listener, RunMessage};
use rollcage_types::network::HostKind;
use rollcage_types::{ExecRequest, Limits, NetworkAccess, Start};

use crate::error::SandboxError;
use crate::furnish::Setting;
use crate::slot::Fixture;
use crate::workspace;

/// Where bare program names are looked up.
const PATH: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

/// Where every program keeps what it does not keep: `/tmp`, but where that is the host's.
const TEMPORARY: &str = "/tmp";

/// Variables every program starts with. No toolchain here needs more, and the host's own are none of its business.
const VARIABLES: [(&str, &str); 6] = [
    ("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ("HOME", TEMPORARY),
    ("TMPDIR", TEMPORARY),
    ("LANG", "C.UTF-8"),
    ("TZ", "UTC"),
    ("USER", "sandbox"),
];

/// What the kernel holds each process to where it limits no tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backstops {
    /// Nothing: control groups limit the tree.
    None,
    /// Its own memory, and how many tasks its user has. `beside` the program's there are already this many.
    PerProcess {
        /// See above.
        beside: u32,
    },
}

/// No core file is this small, so none is written. Not 0, because a host whose core pattern is a program runs that
/// program as root for every crash, limit or no limit, except for this very number.
const CORE_MAX: u64 = 1;
/// Locked memory, which page reclaim cannot touch: enough for a few keys.
const LOCKED_MEMORY_MAX: u64 = 64 * 1024;
/// POSIX message queues live in kernel memory that a program could fill with a few calls.
const MESSAGE_QUEUE_MAX: u64 = 64 * 1024;

/// Timers and queued signals of a user, each of them kernel memory, where no control group is charged for it.
const PENDING_SIGNALS_MAX: u64 = 4096;

/// Encodes `request` for the cage of this `generation` in the slot of `fixture`, whose program enters its group by `entry`.
pub(crate) fn encode(
    request: &ExecRequest,
    setting: &Setting<'_>,
    generation: u64,
    fixture: &Fixture,
    entry: CgroupEntry,
) -> Result<Vec<u8>, SandboxError> {
    let name = request.argv.first().filter(|name| !name.is_empty()).ok_or(SandboxError::NoProgram)?;
    // A copy of an interpreter has been executed already.
    let (paths, arguments, variables) = match setting.start {
        Start::Cold | Start::Spare => {
            let temporary = fixture.directory.as_ref().map(|own| own.tmp_path());
            let variables = variables(&request.env_vars, temporary.as_deref());
            (candidates(name), request.argv.iter().map(String::as_str).collect(), variables)
        }
        Start::Fork => (Vec::new(), Vec::new(), Vec::new()),
    };
    let listeners = listeners(&request.network);
    RunMessage {
        generation,
        programs: &paths.iter().map(String::as_str).collect::<Vec<_>>(),
        arguments: &arguments,
        variables: &variables,
        resource_limits: &resource_limits(&request.limits, setting.backstops, setting.start),
        cgroup_entry: entry,
        disk_bytes: workspace::size(&request.limits),
        listeners: &listeners.iter().map(|(_, listener)| *listener).collect::<Vec<_>>(),
        branches: setting.branches,
    }
    .encode()
    .map_err(SandboxError::Request)
}

/// Where a program of this name may be, in order.
pub(crate) fn candidates(name: &str) -> Vec<String> {
    if name.contains('/') {
        return vec![name.to_owned()];
    }
    PATH.iter().map(|directory| format!("{directory}/{name}")).collect()
}

/// The variables that a program starts with, as `NAME=value`: those of every cage, and those `given`. `temporary` is where
/// it keeps what it does not keep, if that is not the cage's own.
pub(crate) fn variables(given: &[(String, String)], temporary: Option<&Path>) -> Vec<String> {
    let overridden = |name: &str| given.iter().any(|(given, _)| given == name);
    let here = |value: &'static str| match temporary {
        Some(path) if value == TEMPORARY => path.to_string_lossy(),
        _ => Cow::Borrowed(value),
    };
    let own = VARIABLES
        .iter()
        .filter(|(name, _)| !overridden(name))
        .map(|(name, value)| format!("{name}={}", here(value)));
    own.chain(given.iter().map(|(name, value)| format!("{name}={value}"))).collect()
}

/// What is bound in the cage for each port of each host, with the host's position in the list.
pub(crate) fn listeners(network: &NetworkAccess) -> Vec<(usize, Listener)> {
    let NetworkAccess::Allow(list) = network else { return Vec::new() };
    let mut listeners = Vec::new();
    for (position, entry) in list.entries().iter().enumerate() {
        let (address, needs_address) = match entry.host().kind() {
            // The C library knows this name itself, and asks nobody for the address of an address.
            HostKind::Localhost => (Ipv4Addr::LOCALHOST, false),
            HostKind::Address(address) => (address, !address.is_loopback()),
            HostKind::Named => {
                (list.cage_address(position).expect("the position is one of the list's"), false)
            }
        };
        for (index, &port) in entry.ports().iter().enumerate() {
            let needs_address = needs_address && index == 0;
            listeners.push((position, Listener { address, port, needs_address }));
        }
    }
    listeners
}

/// A backstop in whole seconds; the limit proper is the tree's, read from its cgroup.
pub(crate) fn cpu_seconds(limits: &Limits) -> u64 {
    limits.cpu_time.as_secs() + 2
}

/// Per-process limits. Memory is not among them unless nothing else limits it: RLIMIT_AS breaks runtimes that reserve
/// address space, and RLIMIT_DATA counts what is never touched.
fn resource_limits(limits: &Limits, backstops: Backstops, start: Start) -> Vec<ResourceLimit> {
    let both = |resource: libc::__rlimit_resource_t, value: u64| ResourceLimit {
        resource,
        soft: value,
        hard: value,
        ..ResourceLimit::default()
    };
    let cpu_seconds = match start {
        Start::Cold | Start::Fork => cpu_seconds(limits),
        // It lowers this itself once it goes on.
        Start::Spare => libc::RLIM_INFINITY,
    };
    let mut all = vec![
        both(libc::RLIMIT_CPU, cpu_seconds),
        both(libc::RLIMIT_FSIZE, limits.file_size.as_u64()),
        both(libc::RLIMIT_NOFILE, u64::from(limits.open_files)),
        both(libc::RLIMIT_STACK, limits.stack.as_u64()),
        both(libc::RLIMIT_CORE, CORE_MAX),
        both(libc::RLIMIT_MEMLOCK, LOCKED_MEMORY_MAX),
        both(libc::RLIMIT_MSGQUEUE, MESSAGE_QUEUE_MAX),
    ];
    if let Backstops::PerProcess { beside } = backstops {
        // A little above the limit proper, so that whoever looks at the tree sees it exceeded and can say so.
        let memory = limits.memory.as_u64();
        all.push(both(libc::RLIMIT_DATA, memory.saturating_add(memory / 4)));
        all.push(both(libc::RLIMIT_SIGPENDING, PENDING_SIGNALS_MAX));
        all.push(both(libc::RLIMIT_NPROC, u64::from(beside.saturating_add(limits.processes))));
    }
    all
}

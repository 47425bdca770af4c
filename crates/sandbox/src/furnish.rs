//! What a cage is handed besides its request: pipes, a workspace, and what serves the hosts that it may reach.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rollcage_guest::protocol::Wiring;
use rollcage_types::{Enforcement, ExecRequest, IsolationLevel, NetworkAccess, NetworkLog, Start};
use rustix::io::Errno;

use crate::error::SandboxError;
use crate::network::Relay;
use crate::plan::{self, Backstops};
use crate::seat::Seat;
use crate::slot::Fixture;
use crate::workspace::{Sharing, Workspace};

/// What all runs by one launcher of a host share.
#[derive(Debug)]
pub(crate) struct Setting<'a> {
    pub(crate) level: IsolationLevel,
    pub(crate) start: Start,
    /// Whether programs may be branched.
    pub(crate) branches: bool,
    pub(crate) control: BorrowedFd<'a>,
    pub(crate) sharing: Sharing,
    /// What workspaces start from.
    pub(crate) base: Option<&'a Path>,
    /// Whose files are where the cages' user is not ours.
    pub(crate) file_user: Option<u32>,
    pub(crate) backstops: Backstops,
    pub(crate) processors: u32,
    pub(crate) start_clock: &'a OwnedFd,
    pub(crate) enforcement: &'a Arc<Enforcement>,
}

pub(crate) fn system(action: &'static str) -> impl FnOnce(Errno) -> SandboxError {
    move |errno| SandboxError::System { action, source: errno.into() }
}

/// The kind of cage that a network takes.
pub(crate) const fn wiring(network: &NetworkAccess) -> Wiring {
    match network {
        NetworkAccess::None => Wiring::Sealed,
        NetworkAccess::Loopback | NetworkAccess::Allow(_) => Wiring::Wired,
    }
}

pub(crate) fn relay_for(request: &ExecRequest, sockets: Vec<OwnedFd>) -> Result<Relay, SandboxError> {
    let failed = |source| SandboxError::System { action: "serve the hosts of the allow-list", source };
    let NetworkAccess::Allow(list) = &request.network else { return Err(SandboxError::StubLost) };
    let mut sockets = sockets.into_iter();
    let dns = sockets.next().ok_or(SandboxError::StubLost)?;
    let listeners = plan::listeners(&request.network)
        .into_iter()
        .zip(sockets)
        .map(|((position, listener), socket)| (position, listener.port, socket))
        .collect();
    Relay::start(list, dns, listeners).map_err(failed)
}

/// What a relay saw. Where it failed itself, what the program did may be a consequence and is no outcome.
pub(crate) fn network_log(relay: Relay) -> Result<NetworkLog, SandboxError> {
    let failed = |source| SandboxError::System { action: "serve the hosts of the allow-list", source };
    let log = relay.finish().map_err(failed)?;
    if log.failures_of_ours > 0 {
        return Err(SandboxError::HostExhausted { resource: "descriptors, memory or threads for the relay" });
    }
    Ok(log)
}

/// Which end of a pipe is ours.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Read,
    Write,
}

/// A pipe that belongs to `owner`, where that is not ourselves, so that the program may reopen it as `/dev/stdin` and the
/// like. Returns the program's end and ours, which does not block.
pub(crate) fn pipe_for(owner: Option<u32>, ours: End) -> Result<(OwnedFd, OwnedFd), SandboxError> {
    use rustix::fs::{Gid, OFlags, Uid, fchown, fcntl_setfl};
    use rustix::pipe::{PipeFlags, pipe_with};
    let make = || {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        if let Some(uid) = owner {
            fchown(&reader, Some(Uid::from_raw(uid)), Some(Gid::from_raw(uid)))?;
        }
        let (theirs, ours) = if ours == End::Read { (writer, reader) } else { (reader, writer) };
        fcntl_setfl(&ours, OFlags::NONBLOCK)?;
        Ok((theirs, ours))
    };
    make().map_err(system("create a pipe"))
}

/// An empty workspace of the kind that the level has.
pub(crate) fn workspace_for(
    setting: &Setting<'_>,
    fixture: &Fixture,
    seat: &mut Seat,
    request: &ExecRequest,
) -> Result<Workspace, SandboxError> {
    let user = setting.file_user;
    match (setting.level, &fixture.directory) {
        (IsolationLevel::Process, Some(own)) => {
            let own = Arc::clone(own);
            own.clear().map_err(system("empty the slot's workspace"))?;
            if let Some(base) = setting.base {
                own.copy_in(base, user).map_err(|source| SandboxError::System {
                    action: "copy the directory that workspaces start from",
                    source,
                })?;
            }
            Ok(Workspace::Directory { own, user })
        }
        (IsolationLevel::Rootless, _) => {
            let [work, tmp] = seat.take_workspace().ok_or(SandboxError::StubLost)?;
            Ok(Workspace::Given { work, tmp, user })
        }
        (IsolationLevel::Full | IsolationLevel::Process, _) if setting.base.is_some() => {
            Workspace::layer(&request.limits, fixture.uid).map_err(system("create a workspace"))
        }
        (IsolationLevel::Full | IsolationLevel::Process, _) => {
            Workspace::mounted(setting.sharing, &request.limits, fixture.uid)
                .map_err(system("create a workspace"))
        }
    }
}

//! Ending early on Ctrl-C, SIGTERM or SIGHUP, with every cage taken down first.

use std::time::Duration;

use anyhow::Context as _;
use rollcage_api::ExitCode;
use rollcage_sandbox::Cancel;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// A cancelled run and its host are gone in milliseconds. What is busy for longer is stuck, perhaps in writing
/// to a pipe nobody reads; whatever it leaves behind, the next start of a host removes.
const GRACE: Duration = Duration::from_secs(3);

/// Does `work` on a thread of its own and returns what it returns. A signal cancels it.
///
/// The work is expected to end soon after its [`Cancel`] is used. If it does not, or a second signal comes, it is
/// left behind: the process is about to end.
pub(crate) fn cancellable(
    work: impl FnOnce(&Cancel) -> Result<u8, Failure> + Send + 'static,
) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot wait for signals")
        .map_err(Failure::infrastructure)?;
    runtime.block_on(async {
        // In place before the work begins, so that no signal finds the default action and a cage alive.
        let mut signals =
            Signals::listen().context("cannot listen for signals").map_err(Failure::infrastructure)?;
        let cancel = Cancel::new();
        let (done, mut finished) = tokio::sync::oneshot::channel();
        let own = cancel.clone();
        std::thread::Builder::new()
            .name("work".to_owned())
            .spawn(move || {
                // The receiver is gone only if nobody waits any more.
                let _unheard = done.send(work(&own));
            })
            .context("cannot start a thread")
            .map_err(Failure::infrastructure)?;
        let lost = |_closed| Err(Failure::infrastructure(anyhow::anyhow!("the working thread panicked")));
        tokio::select! {
            result = &mut finished => return result.unwrap_or_else(lost),
            _ = signals.next() => cancel.cancel(),
        }
        tokio::select! {
            result = tokio::time::timeout(GRACE, finished) => match result {
                Ok(result) => result.unwrap_or_else(lost),
                Err(_elapsed) => Ok(ExitCode::Cancelled.number()),
            },
            _ = signals.next() => Ok(ExitCode::Cancelled.number()),
        }
    })
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Ctrl-C: an end to what is being done.
    ToStop,
    /// The end of the command.
    ToEnd,
}

/// The signals that ask a command to end.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Takes the place of their default actions, for good. Needs a runtime.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next of them.
    pub(crate) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::ToStop,
            _ = self.terminate.recv() => Asked::ToEnd,
            _ = self.hangup.recv() => Asked::ToEnd,
        }
    }
}

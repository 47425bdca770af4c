//! Signals while somebody talks to a session: Ctrl-C interrupts its cell, and whoever asks the command to end is obeyed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rollcage_api::ExitCode;
use rollcage_session::live::LiveSession;

use crate::interrupt::{Asked, Signals};
use crate::output;

/// What the one who listens and the one who works both know.
#[derive(Debug, Default)]
struct Known {
    /// The session whose cell is running.
    running: Mutex<Option<LiveSession>>,
    /// Whether a person is at a prompt.
    is_at_prompt: AtomicBool,
    /// Whether a command is under way that nothing interrupts, and Ctrl-C came once.
    was_told: AtomicBool,
    has_ended: AtomicBool,
    is_terminal: bool,
}

/// Listens until the command has ended.
#[derive(Clone, Debug)]
pub(super) struct Attention(Arc<Known>);

impl Attention {
    /// Takes the place of the signals' default actions. Needs a runtime, which must go on running.
    pub(super) fn pay(is_terminal: bool) -> std::io::Result<Self> {
        let known = Arc::new(Known { is_terminal, ..Known::default() });
        let mut signals = Signals::listen()?;
        let own = Arc::clone(&known);
        tokio::spawn(async move {
            loop {
                let asked = signals.next().await;
                own.hear(asked);
            }
        });
        Ok(Self(known))
    }

    /// Whether somebody asked for the end.
    pub(super) fn has_ended(&self) -> bool {
        self.0.has_ended.load(Ordering::Relaxed)
    }

    /// Does something that Ctrl-C interrupts in `session`.
    pub(super) fn during<T>(&self, session: &LiveSession, work: impl FnOnce() -> T) -> T {
        let set = |running| *self.0.running.lock().unwrap_or_else(PoisonError::into_inner) = running;
        set(Some(session.clone()));
        let done = work();
        set(None);
        done
    }

    /// Asks a person for something.
    pub(super) fn at_prompt<T>(&self, ask: impl FnOnce() -> T) -> T {
        self.0.was_told.store(false, Ordering::Relaxed);
        self.0.is_at_prompt.store(true, Ordering::Relaxed);
        let asked = ask();
        self.0.is_at_prompt.store(false, Ordering::Relaxed);
        asked
    }
}

impl Known {
    fn hear(&self, asked: Asked) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_last = match (asked, &running) {
            (Asked::ToEnd, _) => true,
            (Asked::ToStop, Some(_)) => false,
            // A terminal in its prompt sends no signal for Ctrl-C: something else is under way.
            (Asked::ToStop, None) if self.is_terminal && !self.was_told.swap(true, Ordering::Relaxed) => {
                output::note("this is not interrupted; Ctrl-C again ends the session");
                false
            }
            (Asked::ToStop, None) => true,
        };
        if is_last {
            self.has_ended.store(true, Ordering::Relaxed);
        }
        if let Some(session) = running {
            session.interrupt();
        }
        // Nobody comes back from there to see that it has ended. The cages end with this process.
        let is_stuck = self.is_at_prompt.load(Ordering::Relaxed) || (asked == Asked::ToStop && is_last);
        if is_last && self.is_terminal && is_stuck {
            restore_terminal();
            std::process::exit(i32::from(ExitCode::Cancelled.number()));
        }
    }
}

/// A prompt leaves the terminal without echo and line ends while it is shown.
fn restore_terminal() {
    // It was not one that can be set, or is gone.
    let _restored = std::process::Command::new("stty").arg("sane").status();
}

//! The options that say how programs start.

use rollcage_types::ByteSize;
use rollcage_warm::Bounds;

/// How programs start.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Cages")]
pub(crate) struct StartOptions {
    /// How programs start: `warm`, as copies of interpreters that wait, where their language says how; `cold`, each by
    /// itself. They do the same either way
    #[arg(long, value_enum, value_name = "HOW", default_value_t = StartKind::Warm)]
    start: StartKind,
    /// Memory that waiting interpreters may take together [default: an eighth of the machine's]
    #[arg(long, value_name = "SIZE")]
    warm_memory: Option<ByteSize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum StartKind {
    Warm,
    Cold,
}

impl StartOptions {
    /// What waiting interpreters may take; `None` without any.
    pub(crate) fn bounds(&self) -> Option<Bounds> {
        let usual = Bounds::of_machine();
        match self.start {
            StartKind::Warm => Some(Bounds { memory: self.warm_memory.unwrap_or(usual.memory), ..usual }),
            StartKind::Cold => None,
        }
    }
}

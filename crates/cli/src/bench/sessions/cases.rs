//! What is done with sessions, and what was promised of it.

use rollcage_api::{BenchRow, BenchTarget};

use super::{IPYKERNEL, OURS};

macro_rules! cases {
    ($($(#[$doc:meta])* $case:ident = $name:literal;)*) => {
        /// What is done.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
        pub(crate) enum SessionCase {
            $($(#[$doc])* #[value(name = $name)] $case,)*
        }

        impl SessionCase {
            /// Every case.
            pub(crate) const ALL: &[Self] = &[$(Self::$case),*];

            /// Its name.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$case => $name,)* }
            }
        }
    };
}

cases! {
    /// Open a session, until it is ready for a cell
    Create = "create";
    /// The first cell of a session
    FirstCell = "first-cell";
    /// A further cell
    Cell = "cell";
    /// One branch of a session with a small state
    ForkOne = "fork-1";
    /// One branch of a session, where nobody was branched for half a second
    ForkRested = "fork-rested";
    /// Sixteen branches at once
    ForkSixteen = "fork-16";
    /// One branch of a session that holds an array of 200 MB
    ForkArray = "fork-200mb";
    /// One branch of a session that holds 200 MB of small objects
    ForkObjects = "fork-200mb-objects";
    /// Move a session's memory out, where there is swap
    Park = "park";
    /// Put a session aside on disk
    Evict = "evict";
    /// Bring a session back that was put aside
    Rehydrate = "rehydrate";
    /// Memory of a session that has run a cell
    IdleMemory = "idle-memory";
    /// Memory of a session that has used pandas
    IdleMemoryPandas = "idle-memory-pandas";
}

/// Milliseconds at the median: at most.
const MEDIANS: [(SessionCase, f64); 6] = [
    (SessionCase::Create, 3.0),
    (SessionCase::Cell, 0.2),
    (SessionCase::ForkOne, 3.0),
    (SessionCase::ForkSixteen, 100.0),
    (SessionCase::ForkArray, 3.0),
    (SessionCase::ForkObjects, 8.0),
];
/// How often ours fits into an ipykernel's, at the median: at least.
const FACTORS: [(SessionCase, f64); 2] = [(SessionCase::Create, 100.0), (SessionCase::Cell, 20.0)];
/// Kilobytes: at most.
const MEMORY: [(SessionCase, f64); 2] =
    [(SessionCase::IdleMemory, 3.5 * 1024.0), (SessionCase::IdleMemoryPandas, 8.0 * 1024.0)];

/// Those that `rows` say something about.
pub(super) fn targets(rows: &[BenchRow]) -> Vec<BenchTarget> {
    let row =
        |case: SessionCase, mode: &str| rows.iter().find(|row| row.case == case.name() && row.mode == mode);
    let rounded = |value: f64| (value * 100.0).round() / 100.0;
    let at_most = |name, value: f64, target| {
        let value = rounded(value);
        BenchTarget { name, value, target, holds: value <= target }
    };
    let mut targets = Vec::new();
    for (case, most) in MEDIANS {
        if let Some(ours) = row(case, OURS) {
            targets.push(at_most(format!("{} at p50, in ms, at most", case.name()), ours.p50_ms, most));
        }
    }
    for (case, least) in FACTORS {
        if let (Some(ours), Some(theirs)) = (row(case, OURS), row(case, IPYKERNEL)) {
            let name = format!("{} of an ipykernel over ours at p50, at least", case.name());
            let value = rounded(theirs.p50_ms / ours.p50_ms);
            targets.push(BenchTarget { name, value, target: least, holds: value >= least });
        }
    }
    for (case, most) in MEMORY {
        if let Some(kb) = row(case, OURS).and_then(|row| row.memory_kb) {
            let kb = u32::try_from(kb).map_or(f64::MAX, f64::from);
            targets.push(at_most(format!("{} in KiB, at most", case.name()), kb, most));
        }
    }
    targets
}

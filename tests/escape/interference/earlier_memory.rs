//! What the last program in the same slot had in memory, in pages the kernel hands out again.

use crate::harness::{Companion, Control, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    companion: Companion::Earlier(COMPANION),
    control: Control::NeedsKernel("every kernel clears pages before it hands them out"),
    ..Probe::new("earlier_memory", Risk::Interference, ATTACK)
};

const ATTACK: &str = r#"
import mmap

# Pages not yet written to must be zero, whoever had them before.
pages = mmap.mmap(-1, 32 << 20)
if pages.find(b"ESCAPE-SECRET") >= 0:
    breached("the earlier run's memory")
held("fresh pages are zero")
"#;

const COMPANION: &str = r#"
import mmap

pages = mmap.mmap(-1, 32 << 20)
while pages.tell() < len(pages) - 16:
    pages.write(b"ESCAPE-SECRET...")
ready("gone")
"#;

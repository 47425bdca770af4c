//! All inodes, with files that take no space.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("inode_fill", Risk::Exhaustion, ATTACK);

const ATTACK: &str = r#"
ENOUGH = 20000
made = 0
try:
    for place in (".", "/tmp", "/dev/shm"):
        os.mkdir(f"{place}/many")
        while made < ENOUGH:
            os.close(os.open(f"{place}/many/{made}", os.O_CREAT | os.O_WRONLY))
            made += 1
except OSError as error:
    held(f"{name(error.errno)} after {made} files")
breached(f"{made} files made")
"#;

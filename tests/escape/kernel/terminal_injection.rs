//! Characters pushed into the terminal of whoever started it.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("terminal_injection", Risk::Kernel, ATTACK);

const ATTACK: &str = r#"
import fcntl
import pty
import termios


def inject():
    terminal, child = pty.openpty()
    os.setsid()
    fcntl.ioctl(child, termios.TIOCSCTTY, 0)
    fcntl.ioctl(child, termios.TIOCSTI, b"x")
    return "x"


attempts = [("own terminal", inject), ("/dev/tty", lambda: os.open("/dev/tty", os.O_RDWR))]
attempts += [(f"stream {n}", lambda n=n: fcntl.ioctl(n, termios.TIOCSTI, b"x")) for n in range(3)]
attempts += [(f"stream {n}, paste", lambda n=n: fcntl.ioctl(n, 0x541C, b"\x03")) for n in range(3)]
# ioctl's request is 32 bits wide: what stands above must not get it past a filter.
refused = {system_call(16, n, (1 << 32) | termios.TIOCSTI, b"x") for n in range(3)}
if any(code == "ok" for _, code in refused):
    breached("with high bits")
expect_refusal("terminal", attempts)
"#;

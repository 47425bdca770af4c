//! The socket to the hypervisor, which network namespaces do not confine.

use crate::harness::{Control, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    control: Control::NeedsKernel("no vsock in this kernel"),
    ..Probe::new("vsock", Risk::Network, ATTACK)
};

const ATTACK: &str = r#"
import socket

# Made only, never connected: the control must not talk to anybody.
expect_refusal("vsock", [("stream", lambda: socket.socket(40, socket.SOCK_STREAM))])
"#;

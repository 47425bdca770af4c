//! What a cage reaches over a network: nothing, itself, or the hosts it is allowed.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use rollcage_sandbox::{Accounting, Cancel, Host, SandboxError};
use rollcage_types::network::NetworkEvent;
use rollcage_types::{AllowList, ExecRequest, IsolationLevel, NetworkAccess};

use crate::harness::{exited, python, run, text, with};
use crate::levels::host_at;

/// Serves itself, and then tries to reach each `host:port` of its arguments.
const CLIENT: &str = r#"
import socket, sys, threading
server = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=lambda: server.accept()[0].sendall(b"self"), daemon=True).start()
print(socket.create_connection(server.getsockname()).recv(9).decode())
for target in sys.argv[1:]:
    host, port = target.rsplit(":", 1)
    try:
        with socket.create_connection((host, int(port)), timeout=10) as peer:
            peer.sendall(b"ping")
            print("reached", peer.recv(9).decode())
    except OSError as error:
        print("refused", type(error).__name__)
"#;

fn client(network: NetworkAccess, targets: &[String]) -> ExecRequest {
    with(python(CLIENT), |request| {
        request.network = network;
        request.argv.extend_from_slice(targets);
    })
}

/// A service on the host's loopback that answers one `ping` with `pong`.
fn service() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let port = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        for peer in listener.incoming().flatten() {
            let (mut peer, mut said) = (peer, [0; 4]);
            if peer.read_exact(&mut said).is_ok() {
                let _gone = peer.write_all(b"pong");
            }
        }
    });
    port
}

fn at_levels_with_networks(check: impl Fn(&Host)) {
    for level in [IsolationLevel::Full, IsolationLevel::Rootless] {
        if let Some(host) = host_at(level, Accounting::Kernel) {
            check(&host);
        }
    }
}

#[test]
fn without_a_network_no_socket_of_one_is_made() {
    at_levels_with_networks(|host| {
        let outcome = run(host, &client(NetworkAccess::None, &[]));
        assert!(text(&outcome.stderr.head).contains("Address family not supported"));
    });
}

#[test]
fn a_loopback_is_the_cages_own() {
    at_levels_with_networks(|host| {
        let targets = [format!("127.0.0.1:{}", service()), "192.0.2.1:80".to_owned()];
        for _ in 0..3 {
            let outcome = run(host, &client(NetworkAccess::Loopback, &targets));
            assert_eq!(outcome.termination, exited(0), "{}", text(&outcome.stderr.head));
            let said = text(&outcome.stdout.head);
            assert_eq!(said, "self\nrefused ConnectionRefusedError\nrefused OSError\n");
            // And sealed cages stay sealed in between.
            let sealed = run(host, &client(NetworkAccess::None, &[]));
            assert!(text(&sealed.stderr.head).contains("Address family not supported"));
        }
    });
}

#[test]
fn an_allowed_host_is_reached_and_no_other_and_both_are_told() {
    at_levels_with_networks(|host| {
        let (allowed, other) = (service(), service());
        let list = AllowList::parse([format!("localhost:{allowed}").as_str(), "name.invalid"]);
        let targets =
            [format!("localhost:{allowed}"), format!("localhost:{other}"), "other.invalid:80".to_owned()];
        let network = NetworkAccess::Allow(list.expect("both are hosts"));
        let outcome = run(host, &client(network, &targets));
        let said = text(&outcome.stdout.head);
        assert_eq!(said, "self\nreached pong\nrefused ConnectionRefusedError\nrefused gaierror\n");
        let events = &outcome.network.events;
        let connected = events.iter().any(|event| {
            matches!(event, NetworkEvent::Connected { port, bytes_sent: 4, bytes_received: 4, .. } if *port == allowed)
        });
        let asked = events.iter().any(|event| {
            matches!(event, NetworkEvent::Queried { name, allowed: false } if name == "other.invalid")
        });
        assert!(connected && asked, "{events:?}");
    });
}

#[test]
fn level_process_has_no_network_to_give() {
    let Some(host) = host_at(IsolationLevel::Process, Accounting::Sampled) else { return };
    let refused = host.run(&client(NetworkAccess::Loopback, &[]), &Cancel::new());
    let Err(error @ SandboxError::NoNetwork { .. }) = refused else { panic!("{refused:?}") };
    assert!(!error.is_retryable());
}

//! The relay as a cage has it: three networks, of which the program's has nothing but `lo`, and the C library's own
//! resolver.

use std::fs::File;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::leaks::run_alone;
use super::{AllowList, Bounds, NetworkEvent, PATIENCE, Relay, connections, echo, echoes, next_read};

/// Makes the networks `supervisor` and `internet` with a wire between them, in namespaces that end with the process,
/// and runs the rest of its arguments in a third.
const SCRIPT: &str = r#"
    PATH=$PATH:/usr/sbin:/sbin
    mount -t tmpfs none /run
    ip netns add supervisor
    ip netns add internet
    ip link add near netns supervisor type veth peer name far netns internet
    ip -n supervisor address add 11.0.0.1/24 dev near
    ip -n supervisor link set near up
    ip -n internet address add 11.0.0.2/24 dev far
    ip -n internet link set far up
    ip link set lo up
    echo nameserver 127.0.0.1 > /run/resolv.conf
    resolv=$(readlink -m /etc/resolv.conf)
    mkdir -p "$(dirname "$resolv")"
    [ -e "$resolv" ] || touch "$resolv"
    mount --bind /run/resolv.conf "$resolv"
    exec "$@"
"#;

fn in_namespaces(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "sh", "-ec", SCRIPT, "sh"]).arg(program);
    command
}

const PORT: u16 = 8080;
const SUPERVISOR: IpAddr = IpAddr::V4(Ipv4Addr::new(11, 0, 0, 1));
const INTERNET: IpAddr = IpAddr::V4(Ipv4Addr::new(11, 0, 0, 2));

#[test]
fn a_network_of_allowed_names() {
    match in_namespaces("true").output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            return eprintln!("skipped: network namespaces and iproute2 ({})", said.trim());
        }
        Err(error) => return eprintln!("skipped: unshare ({error})"),
    }
    run_alone("network::tests::namespace::a_network_of_allowed_names_in_a_cage", in_namespaces);
}

/// Does `action` in one of the networks.
fn inside<T: Send>(network: &str, action: impl FnOnce() -> T + Send) -> T {
    let namespace = File::open(format!("/run/netns/{network}")).unwrap();
    thread::scope(|scope| {
        let thread = scope.spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            action()
        });
        thread.join().unwrap()
    })
}

fn look_up(name: &str) -> Result<Vec<SocketAddr>, String> {
    (name, PORT).to_socket_addrs().map(Iterator::collect).map_err(|error| error.to_string())
}

#[test]
#[ignore = "needs namespaces of its own; `a_network_of_allowed_names` starts it in them"]
fn a_network_of_allowed_names_in_a_cage() {
    let host = inside("internet", || TcpListener::bind((INTERNET, PORT)).unwrap());
    let serving = thread::spawn(move || echo(&host.accept().unwrap().0));
    let allow = AllowList::parse(["model.example:8080", "inside.example:8080"]).unwrap();
    let dns = UdpSocket::bind((Ipv4Addr::LOCALHOST, 53)).unwrap();
    let listeners = [0, 1].map(|position| {
        let socket = TcpListener::bind((allow.cage_address(position).unwrap(), PORT)).unwrap();
        (position, PORT, OwnedFd::from(socket))
    });
    let relay = inside("supervisor", || {
        let resolve = |host: &super::HostName| {
            Ok(vec![if host.as_str() == "model.example" { INTERNET } else { SUPERVISOR }])
        };
        Relay::start_with(&allow, dns.into(), listeners.into(), Bounds::USUAL, Arc::new(resolve)).unwrap()
    });

    // Without the relay there is no way out.
    let direct = TcpStream::connect((INTERNET, PORT)).map(|_| ()).map_err(|error| error.kind());
    assert_eq!(direct, Err(ErrorKind::NetworkUnreachable));

    assert_eq!(look_up("Model.example"), Ok(vec![([127, 0, 1, 1], PORT).into()]));
    let unknown = look_up("www.model.example").unwrap_err();
    assert!(unknown.contains("Name or service not known"), "{unknown}");
    let program = TcpStream::connect(("model.example", PORT)).unwrap();
    program.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(echoes(&program, b"hello"));
    program.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(next_read(&program), Ok(0));
    serving.join().unwrap();
    // A public address, but the supervisor's own.
    let program = TcpStream::connect(("inside.example", PORT)).unwrap();
    assert_eq!(next_read(&program), Err(ErrorKind::ConnectionReset));

    let log = relay.finish().unwrap();
    assert_eq!(
        connections(&log),
        [
            "model.example at 11.0.0.2: 5 up, 5 down, Closed",
            "inside.example refused: the name resolved to 11.0.0.1, an address of this machine",
        ]
    );
    let asked = |name: &str, allowed| NetworkEvent::Queried { name: name.to_owned(), allowed };
    for event in
        [asked("model.example", true), asked("www.model.example", false), asked("inside.example", true)]
    {
        assert!(log.events.contains(&event), "{event:?} is not among {:?}", log.events);
    }
}

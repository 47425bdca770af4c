//! Which addresses a name may stand for.
//!
//! Whoever owns an allowed name decides what it resolves to, and may choose the supervisor's own machine or network.
//! So what a *name* leads to must lie in the public internet; only entries that spell out an address, or
//! `localhost`, lead anywhere else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rollcage_types::network::AddressClass;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};

/// Says what is wrong with `address`; `None` if it lies in the public internet and is not ours.
pub(super) fn inside(address: IpAddr) -> Option<AddressClass> {
    class(address).or_else(|| is_ours(address).then_some(AddressClass::ThisMachine))
}

fn class(address: IpAddr) -> Option<AddressClass> {
    match address {
        IpAddr::V4(address) => class_v4(address),
        IpAddr::V6(address) => class_v6(address),
    }
}

fn class_v4(address: Ipv4Addr) -> Option<AddressClass> {
    use AddressClass::{LinkLocal, Loopback, Multicast, Private, Reserved, Unspecified};
    match address.octets() {
        [0, ..] => Some(Unspecified),
        [127, ..] => Some(Loopback),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Some(Private),
        [169, 254, ..] => Some(LinkLocal),
        [224..=239, ..] => Some(Multicast),
        // RFC 6890: protocol assignments, documentation, 6to4 relays, benchmarks, the future.
        [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18..=19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [240..=255, ..] => Some(Reserved),
        _ => None,
    }
}

fn class_v6(address: Ipv6Addr) -> Option<AddressClass> {
    use AddressClass::{LinkLocal, Loopback, Multicast, Private, Reserved, Unspecified};
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        class_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some(Unspecified),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some(Loopback),
        // IPv4 in IPv6, which the kernel connects as IPv4, and IPv4 behind a translator (RFC 6052).
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        // Site-local addresses are what unique local ones were called before.
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Some(Private),
        [0xfe80..=0xfebf, ..] => Some(LinkLocal),
        [0xff00..=0xffff, ..] => Some(Multicast),
        // Teredo and other assignments, documentation, and 6to4, whose tunnels end at any IPv4 address.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => {
            Some(Reserved)
        }
        [0x2000..=0x3fff, ..] => None,
        _ => Some(Reserved),
    }
}

/// Whether this machine has the address: then a socket can be bound to it. Hosts that let sockets be bound to any
/// address (`ip_nonlocal_bind`) look as if they had them all, and so refuse all.
fn is_ours(address: IpAddr) -> bool {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let bound = socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .and_then(|socket| bind(&socket, &SocketAddr::new(address, 0)));
    // Without the family there is no such address. Whatever else fails leaves it open, so it counts as ours.
    !matches!(bound, Err(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_public_internet_is_outside() {
        use AddressClass::{LinkLocal, Loopback, Multicast, Private, Reserved, Unspecified};
        for (address, expected) in [
            ("93.184.215.14", None),
            ("1.1.1.1", None),
            ("172.15.255.255", None),
            ("172.32.0.0", None),
            ("100.128.0.1", None),
            ("223.255.255.255", None),
            ("0.0.0.0", Some(Unspecified)),
            ("0.1.2.3", Some(Unspecified)),
            ("127.0.0.1", Some(Loopback)),
            ("127.255.255.254", Some(Loopback)),
            ("10.0.0.1", Some(Private)),
            ("172.16.0.1", Some(Private)),
            ("172.31.255.255", Some(Private)),
            ("192.168.1.1", Some(Private)),
            ("100.64.0.1", Some(Private)),
            ("100.100.100.200", Some(Private)),
            ("169.254.169.254", Some(LinkLocal)),
            ("224.0.0.1", Some(Multicast)),
            ("239.255.255.255", Some(Multicast)),
            ("192.0.0.192", Some(Reserved)),
            ("192.0.2.1", Some(Reserved)),
            ("198.18.0.1", Some(Reserved)),
            ("198.51.100.1", Some(Reserved)),
            ("203.0.113.1", Some(Reserved)),
            ("240.0.0.1", Some(Reserved)),
            ("255.255.255.255", Some(Reserved)),
            ("2606:4700:4700::1111", None),
            ("2a00:1450:4001:80b::200e", None),
            ("::", Some(Unspecified)),
            ("::1", Some(Loopback)),
            ("::7f00:1", Some(Reserved)),
            ("::ffff:127.0.0.1", Some(Loopback)),
            ("::ffff:169.254.169.254", Some(LinkLocal)),
            ("::ffff:1.1.1.1", None),
            ("64:ff9b::10.0.0.1", Some(Private)),
            ("64:ff9b::1.1.1.1", None),
            ("64:ff9b:1::1.1.1.1", Some(Reserved)),
            ("fc00::1", Some(Private)),
            ("fd00:ec2::254", Some(Private)),
            ("fe80::1", Some(LinkLocal)),
            ("fec0::1", Some(Private)),
            ("ff02::1", Some(Multicast)),
            ("2001::1", Some(Reserved)),
            ("2001:db8::1", Some(Reserved)),
            ("2002:7f00:1::1", Some(Reserved)),
            ("4000::1", Some(Reserved)),
        ] {
            assert_eq!(class(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn addresses_of_this_machine_are_known() {
        assert!(is_ours([127, 0, 0, 1].into()));
        assert!(!is_ours([192, 0, 2, 77].into()));
    }
}

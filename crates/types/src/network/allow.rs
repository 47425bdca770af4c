//! Which hosts a cage may reach: names and ports, parsed and bounded.
//!
//! Pure text and numbers. What a name resolves to, and whether that may be reached, is decided where connections
//! are made; how a cage finds the hosts is told by [`AllowList::cage_address`].

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Hosts of one list. Each has an address of its own in the cage, in the last byte of `127.0.1.0/24`; a program that
/// needs more than this many hosts needs a network, not a list.
pub const ENTRIES_MAX: usize = 64;

/// Ports of one host. Services that use more choose them at run time, which no list can name.
pub const PORTS_MAX: usize = 16;

/// Listeners of one list, a port of a host each: with the DNS socket they are the 253 descriptors that one message
/// between processes carries.
pub const LISTENERS_MAX: usize = 252;

/// What a host without ports is allowed on: HTTP and HTTPS.
const PORTS_DEFAULT: [u16; 2] = [80, 443];

/// Longer names cannot be asked for: RFC 1035 has 255 bytes for a name, two of them for its form on the wire.
const NAME_BYTES_MAX: usize = 253;

/// The longest part of a name between dots, by RFC 1035.
const LABEL_BYTES_MAX: usize = 63;

/// The hosts a program may reach, in the order they were first named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AllowList {
    entries: Arc<[AllowEntry]>,
}

/// A host and the TCP ports it may be reached on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AllowEntry {
    host: HostName,
    /// Ascending, without repetition.
    ports: Vec<u16>,
}

/// A host by name or by IPv4 address, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostName {
    text: Arc<str>,
    kind: HostKind,
}

/// What kind of name it is. Only what was spelled out as an address, or as the machine itself, may lie inside the
/// host's own networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostKind {
    /// To be resolved.
    Named,
    /// The machine itself.
    Localhost,
    /// An address, written as such.
    Address(Ipv4Addr),
}

/// Why a list was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllowError {
    /// One of the entries is not `host`, `host:port` or `host:port,port`.
    #[error("cannot allow `{entry}`: {reason}")]
    Entry {
        /// As given.
        entry: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A host has too many ports.
    #[error("{count} ports are allowed on `{host}`; the most is {PORTS_MAX}")]
    Ports {
        /// Which.
        host: HostName,
        /// How many it was given.
        count: usize,
    },
    /// Too many hosts.
    #[error("{count} hosts are allowed; the most is {ENTRIES_MAX}")]
    Entries {
        /// How many were given.
        count: usize,
    },
    /// Too many ports of all hosts together.
    #[error("{count} ports are allowed on all hosts together; the most is {LISTENERS_MAX}")]
    Listeners {
        /// How many were given.
        count: usize,
    },
}

impl AllowList {
    /// Parses entries of the forms `host` (ports 80 and 443), `host:port` and `host:port,port`. Entries of the same
    /// host are merged.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, AllowError> {
        let mut merged: Vec<AllowEntry> = Vec::new();
        for text in entries {
            let entry = AllowEntry::parse(text)
                .map_err(|reason| AllowError::Entry { entry: text.to_owned(), reason })?;
            match merged.iter_mut().find(|known| known.host == entry.host) {
                Some(known) => known.ports.extend(entry.ports),
                None => merged.push(entry),
            }
        }
        for entry in &mut merged {
            entry.ports.sort_unstable();
            entry.ports.dedup();
            if entry.ports.len() > PORTS_MAX {
                return Err(AllowError::Ports { host: entry.host.clone(), count: entry.ports.len() });
            }
        }
        let listeners = merged.iter().map(|entry| entry.ports.len()).sum();
        if merged.len() > ENTRIES_MAX {
            return Err(AllowError::Entries { count: merged.len() });
        }
        if listeners > LISTENERS_MAX {
            return Err(AllowError::Listeners { count: listeners });
        }
        Ok(Self { entries: merged.into() })
    }

    /// The hosts, each once. Their positions are what the cage's addresses are made of.
    pub fn entries(&self) -> &[AllowEntry] {
        &self.entries
    }

    /// The position of the host called `name`, which must be in lower case.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.entries.iter().position(|entry| entry.host.as_str() == name)
    }

    /// The address that stands for the host at `position` in the cage: 127.0.1.1 for the first.
    pub fn cage_address(&self, position: usize) -> Option<Ipv4Addr> {
        let last = u8::try_from(position + 1).ok().filter(|_| position < self.entries.len())?;
        Some(Ipv4Addr::new(127, 0, 1, last))
    }
}

impl AllowEntry {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let misfits = [
            ("/", "name only the host of a URL, and its port"),
            ("*", "wildcards are not supported; name each host"),
            ("[", "IPv6 addresses are not supported; name the host"),
        ];
        if let Some((_, reason)) = misfits.into_iter().find(|(sign, _)| text.contains(sign)) {
            return Err(reason);
        }
        let (host, ports) = match text.split_once(':') {
            None => (text, None),
            Some((_, rest)) if rest.contains(':') => {
                return Err("IPv6 addresses are not supported; name the host");
            }
            Some((host, ports)) => (host, Some(ports)),
        };
        let host = HostName::parse(host)?;
        let ports = match ports {
            Some(ports) => ports.split(',').map(port).collect::<Result<_, _>>()?,
            None if host.kind == HostKind::Localhost => {
                return Err("a service of this machine needs its port: `localhost:PORT`");
            }
            None => PORTS_DEFAULT.to_vec(),
        };
        Ok(Self { host, ports })
    }

    /// The host.
    pub const fn host(&self) -> &HostName {
        &self.host
    }

    /// Its ports, ascending.
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }
}

fn port(text: &str) -> Result<u16, &'static str> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&port| digits && port != 0).ok_or("a port is a number from 1 to 65535")
}

impl HostName {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("it has no host");
        }
        if !text.is_ascii() {
            return Err("international names must be written in their ASCII form, which begins with `xn--`");
        }
        let text = text.to_ascii_lowercase();
        let kind = match text.parse::<Ipv4Addr>() {
            Ok(address) if address.octets()[0] == 0 || address.octets()[0] >= 224 => {
                return Err("no single host has this address");
            }
            Ok(address) => HostKind::Address(address),
            Err(_) if text == "localhost" => HostKind::Localhost,
            Err(_) => {
                check_name(&text)?;
                HostKind::Named
            }
        };
        Ok(Self { text: text.into(), kind })
    }

    /// The name in lower case, or the address.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What kind of name it is.
    pub const fn kind(&self) -> HostKind {
        self.kind
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Host names as RFC 1123 has them.
fn check_name(name: &str) -> Result<(), &'static str> {
    if name.len() > NAME_BYTES_MAX {
        return Err("the name is longer than 253 bytes");
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err("the name has an empty part between its dots");
        }
        if label.len() > LABEL_BYTES_MAX {
            return Err("a part of the name is longer than 63 bytes");
        }
        if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err("a host name has letters, digits, hyphens and dots only");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err("a part of the name begins or ends with a hyphen");
        }
    }
    // Resolvers read `127.1`, `2130706433` and `0x7f.1` as addresses of the old style.
    let last = name.rsplit('.').next().unwrap_or(name);
    let hexadecimal = last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()));
    if hexadecimal || last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("an address is written as four decimal numbers from 0 to 255");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(entries: &[&str]) -> Result<Vec<String>, String> {
        let list = AllowList::parse(entries.iter().copied()).map_err(|error| error.to_string())?;
        Ok(list.entries().iter().map(|entry| format!("{} {:?}", entry.host(), entry.ports())).collect())
    }

    #[test]
    fn entries_are_hosts_with_ports() {
        for (given, expected) in [
            (&["example.org"][..], &["example.org [80, 443]"][..]),
            (&["Example.ORG:8080"], &["example.org [8080]"]),
            (&["a.b:3,1,2,1"], &["a.b [1, 2, 3]"]),
            (&["1.2.3.4:8080"], &["1.2.3.4 [8080]"]),
            (&["localhost:9"], &["localhost [9]"]),
            (&["a.b:1", "c", "A.B:2,1"], &["a.b [1, 2]", "c [80, 443]"]),
            (&["xn--bcher-kva.example:65535"], &["xn--bcher-kva.example [65535]"]),
            (&["4chan.org:80", "3com:1"], &["4chan.org [80]", "3com [1]"]),
            (&[], &[]),
        ] {
            let expected: Vec<String> = expected.iter().map(|&text| text.to_owned()).collect();
            assert_eq!(shown(given), Ok(expected), "{given:?}");
        }
    }

    #[test]
    fn what_is_not_an_entry_is_refused_with_the_reason() {
        let (long_label, long_name) = ("a".repeat(64), "abc.".repeat(63) + "ab");
        for (given, reason) in [
            ("", "no host"),
            (":80", "no host"),
            ("a:", "a port is"),
            ("a:0", "a port is"),
            ("a:65536", "a port is"),
            ("a:+80", "a port is"),
            ("a:80,", "a port is"),
            ("a:80 ", "a port is"),
            ("https://example.org", "host of a URL"),
            ("example.org/x", "host of a URL"),
            ("*.example.org", "wildcards"),
            ("[::1]:80", "IPv6"),
            ("::1", "IPv6"),
            ("bücher.example", "xn--"),
            ("a..b", "empty part"),
            ("a.b.", "empty part"),
            (".a", "empty part"),
            ("a b", "letters, digits"),
            ("a_b", "letters, digits"),
            ("a\0b", "letters, digits"),
            ("-a.b", "hyphen"),
            ("a-.b", "hyphen"),
            (&long_label, "63 bytes"),
            (&long_name, "253 bytes"),
            ("127.1:80", "four decimal numbers"),
            ("2130706433", "four decimal numbers"),
            ("0x7f.0x1", "four decimal numbers"),
            ("1.2.3.256", "four decimal numbers"),
            ("0.0.0.0:80", "no single host"),
            ("224.0.0.1:80", "no single host"),
            ("255.255.255.255:80", "no single host"),
            ("localhost", "needs its port"),
        ] {
            let error = shown(&[given]).expect_err(given);
            assert!(error.contains(reason), "{given:?}: {error}");
        }
    }

    #[test]
    fn lists_are_bounded() {
        let hosts = |count: usize, ports: &str| -> Vec<String> {
            (0..count).map(|index| format!("host{index}{ports}")).collect()
        };
        let parse = |entries: &[String]| AllowList::parse(entries.iter().map(String::as_str)).map(|_| ());
        let ports = |count: usize| {
            vec![format!("a:{}", (1..=count).map(|n| n.to_string()).collect::<Vec<_>>().join(","))]
        };
        assert_eq!(parse(&hosts(64, "")), Ok(()));
        assert_eq!(parse(&hosts(65, "")), Err(AllowError::Entries { count: 65 }));
        assert_eq!(parse(&ports(16)), Ok(()));
        assert_eq!(
            parse(&ports(17)).map_err(|error| error.to_string()),
            Err("17 ports are allowed on `a`; the most is 16".to_owned())
        );
        assert_eq!(parse(&hosts(63, ":1,2,3,4")), Ok(()));
        assert_eq!(parse(&hosts(64, ":1,2,3,4")), Err(AllowError::Listeners { count: 256 }));
    }

    #[test]
    fn each_host_has_an_address_in_the_cage() {
        let list = AllowList::parse(["a", "b.c:1"]).unwrap();
        assert_eq!(list.position("b.c"), Some(1));
        assert_eq!(list.position("B.C"), None);
        assert_eq!(list.cage_address(0), Some(Ipv4Addr::new(127, 0, 1, 1)));
        assert_eq!(list.cage_address(1), Some(Ipv4Addr::new(127, 0, 1, 2)));
        assert_eq!(list.cage_address(2), None);
    }
}

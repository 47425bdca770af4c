//! The name server of a cage: what a stub resolver asks, and the answers an allow-list has for it.
//!
//! Decodes exactly what RFC 1035 calls a query with one question, with or without the OPT record of RFC 6891, and
//! nothing that no resolver sends: compressed names, trailing bytes and other records get no answer at all. Pure;
//! the socket is the relay's.

use std::fmt::Write as _;

use rollcage_types::network::AllowList;

/// The longest query worth reading: what resolvers announce as safe over UDP. Ours never exceed 512 bytes.
pub const QUERY_BYTES_MAX: usize = 1232;

/// What to send back, and what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The response.
    pub packet: Vec<u8>,
    /// The name asked for, in lower case; bytes that do not belong into a host name are written `\DDD`, so this is
    /// printable ASCII of at most 1,020 characters.
    pub name: String,
    /// Whether the name is on the list.
    pub allowed: bool,
}

/// Answers one packet. `None` for what is not a well-formed query.
///
/// An allowed name has one address, and no record of another type, so that a resolver goes on with that address.
/// Other names do not exist: a resolver believes that at once, where it would try a refusal again.
pub fn answer(packet: &[u8], allow: &AllowList) -> Option<Answer> {
    let query = Query::decode(packet)?;
    let position = allow.position(&query.name);
    let mut address = None;
    let code = if query.flags & OPCODE != 0 {
        Code::NotImplemented
    } else if query.class != CLASS_INTERNET {
        Code::Refused
    } else if let Some(position) = position {
        address = allow.cage_address(position).filter(|_| query.kind == KIND_A);
        Code::NoError
    } else {
        Code::NoSuchName
    };
    let packet = query.encode_answer(code, address.map(|address| address.octets()));
    Some(Answer { packet, allowed: position.is_some(), name: query.name })
}

const KIND_A: u16 = 1;
const KIND_OPT: u16 = 41;
const CLASS_INTERNET: u16 = 1;

/// The bits of a header's flags.
const RESPONSE: u16 = 0x8000;
const OPCODE: u16 = 0x7800;
const RECURSION_DESIRED: u16 = 0x0100;
const RECURSION_AVAILABLE: u16 = 0x0080;
const CHECKING_DISABLED: u16 = 0x0010;

/// Set in the OPT record of resolvers that want signatures; RFC 3225 has it copied.
const SIGNATURES_WANTED: u16 = 0x8000;

/// The wire form of a name, with its length bytes and the final zero.
const NAME_BYTES_MAX: usize = 255;
const LABEL_BYTES_MAX: u8 = 63;

/// Seconds an answer may be kept. It stays true for as long as the cage lives.
const TIME_TO_LIVE: u32 = 300;

/// A name that points to the question's, right after the twelve bytes of the header.
const NAME_OF_QUESTION: u16 = 0xc00c;

#[derive(Clone, Copy)]
enum Code {
    NoError = 0,
    NoSuchName = 3,
    NotImplemented = 4,
    Refused = 5,
}

struct Query<'a> {
    id: u16,
    flags: u16,
    /// The question as it came: resolvers compare it with what they sent, letter case included.
    question: &'a [u8],
    name: String,
    kind: u16,
    class: u16,
    /// The flags of an OPT record, if there was one.
    extension: Option<u16>,
}

impl<'a> Query<'a> {
    fn decode(packet: &'a [u8]) -> Option<Self> {
        let mut rest = packet;
        let [id, flags, questions, answers, authorities, additional] = [
            number(&mut rest)?,
            number(&mut rest)?,
            number(&mut rest)?,
            number(&mut rest)?,
            number(&mut rest)?,
            number(&mut rest)?,
        ];
        if flags & RESPONSE != 0 || questions != 1 || answers != 0 || authorities != 0 {
            return None;
        }
        let at_question = rest;
        let name = name(&mut rest)?;
        let (kind, class) = (number(&mut rest)?, number(&mut rest)?);
        let question = at_question.get(..at_question.len() - rest.len())?;
        let extension = match additional {
            0 => None,
            1 => Some(extension(&mut rest)?),
            _ => return None,
        };
        rest.is_empty().then_some(Self { id, flags, question, name, kind, class, extension })
    }

    fn encode_answer(&self, code: Code, address: Option<[u8; 4]>) -> Vec<u8> {
        let kept = self.flags & (OPCODE | RECURSION_DESIRED | CHECKING_DISABLED);
        let flags = RESPONSE | RECURSION_AVAILABLE | kept | code as u16;
        let counts = [1, u16::from(address.is_some()), 0, u16::from(self.extension.is_some())];
        let mut packet = Vec::with_capacity(64 + self.question.len());
        for number in [self.id, flags].into_iter().chain(counts) {
            packet.extend(number.to_be_bytes());
        }
        packet.extend(self.question);
        if let Some(address) = address {
            for number in [NAME_OF_QUESTION, KIND_A, CLASS_INTERNET] {
                packet.extend(number.to_be_bytes());
            }
            packet.extend(TIME_TO_LIVE.to_be_bytes());
            packet.extend([0, 4]);
            packet.extend(address);
        }
        if let Some(flags) = self.extension {
            // The root's name, the type, the longest packet we take, code and version 0, the flags, no data.
            packet.push(0);
            packet.extend(KIND_OPT.to_be_bytes());
            packet.extend([0x04, 0xd0, 0, 0]);
            packet.extend((flags & SIGNATURES_WANTED).to_be_bytes());
            packet.extend([0, 0]);
        }
        packet
    }
}

fn number(rest: &mut &[u8]) -> Option<u16> {
    let (bytes, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u16::from_be_bytes(*bytes))
}

fn bytes<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(count)?;
    *rest = after;
    Some(taken)
}

/// Reads an uncompressed name and writes it out.
fn name(rest: &mut &[u8]) -> Option<String> {
    let before = rest.len();
    let mut name = String::new();
    loop {
        let &[length] = bytes(rest, 1)? else { return None };
        if length == 0 {
            break;
        }
        // Above are compression pointers, which a question has nothing to point to, and forms that never came to be.
        if length > LABEL_BYTES_MAX {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        for &byte in bytes(rest, length.into())? {
            // A dot inside a label must not look like one between labels.
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
                name.push(byte.to_ascii_lowercase().into());
            } else {
                write!(name, "\\{byte:03}").expect("a string takes any text");
            }
        }
    }
    (before - rest.len() <= NAME_BYTES_MAX).then_some(name)
}

/// Reads an OPT record: its flags matter, its options do not.
fn extension(rest: &mut &[u8]) -> Option<u16> {
    let root = bytes(rest, 1)?;
    let (kind, _payload_max) = (number(rest)?, number(rest)?);
    let (_code_and_version, flags) = (number(rest)?, number(rest)?);
    let length = number(rest)?;
    bytes(rest, length.into())?;
    (root == [0] && kind == KIND_OPT).then_some(flags)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the C library sends for `getaddrinfo("Example.org")`: one packet for each family, ids of its own choice.
    const ASKS_A: &[u8] =
        b"\x1a\x2b\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07Example\x03org\x00\x00\x01\x00\x01";
    const ASKS_AAAA: &[u8] =
        b"\x7c\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07Example\x03org\x00\x00\x1c\x00\x01";
    /// What `dig +dnssec` sends: the flags of a checking resolver, and an OPT record that carries a cookie.
    const ASKS_WITH_OPT: &[u8] =
        b"\x00\x01\x01\x30\x00\x01\x00\x00\x00\x00\x00\x01\x07example\x03org\x00\x00\x01\x00\x01\
        \x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x0c\x00\x0a\x00\x08\x01\x02\x03\x04\x05\x06\x07\x08";

    fn list() -> AllowList {
        AllowList::parse(["first.example", "example.org:443"]).unwrap()
    }

    fn query(labels: &[&[u8]], kind: u16, class: u16) -> Vec<u8> {
        let mut packet = b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00".to_vec();
        for label in labels {
            packet.push(u8::try_from(label.len()).unwrap());
            packet.extend(*label);
        }
        packet.push(0);
        packet.extend(kind.to_be_bytes());
        packet.extend(class.to_be_bytes());
        packet
    }

    #[test]
    fn an_allowed_name_has_one_ipv4_address_and_nothing_else() {
        let given = answer(ASKS_A, &list()).unwrap();
        assert_eq!((given.name.as_str(), given.allowed), ("example.org", true));
        assert_eq!(
            given.packet,
            b"\x1a\x2b\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x07Example\x03org\x00\x00\x01\x00\x01\
              \xc0\x0c\x00\x01\x00\x01\x00\x00\x01\x2c\x00\x04\x7f\x00\x01\x02"
        );
        let given = answer(ASKS_AAAA, &list()).unwrap();
        assert_eq!(
            given.packet,
            b"\x7c\x01\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00\x07Example\x03org\x00\x00\x1c\x00\x01"
        );
        // HTTPS, which browsers ask for, and ANY.
        for kind in [65, 255] {
            let given = answer(&query(&[b"example", b"org"], kind, 1), &list()).unwrap();
            assert_eq!(given.packet[2..8], *b"\x81\x80\x00\x01\x00\x00", "{kind}");
        }
    }

    #[test]
    fn an_opt_record_is_answered_with_one() {
        let given = answer(ASKS_WITH_OPT, &list()).unwrap();
        assert_eq!(
            given.packet,
            b"\x00\x01\x81\x90\x00\x01\x00\x01\x00\x00\x00\x01\x07example\x03org\x00\x00\x01\x00\x01\
              \xc0\x0c\x00\x01\x00\x01\x00\x00\x01\x2c\x00\x04\x7f\x00\x01\x02\
              \x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x00"
        );
    }

    #[test]
    fn other_names_do_not_exist() {
        const LONG: &[u8] = &[b'x'; 63];
        for (labels, name) in [
            (&[&b"example"[..], b"com"][..], "example.com"),
            (&[b"www", b"example", b"org"], "www.example.org"),
            (&[b"org"], "org"),
            (&[], ""),
            (&[b"example.org"], "example\\046org"),
            (&[b"example", b"org\x00"], "example.org\\000"),
            (&[b"\xff\\\x1b[2J"], "\\255\\092\\027\\0912j"),
            (&[b"_dns", b"x"], "_dns.x"),
            (&[LONG, b"a"], &format!("{}.a", "x".repeat(63))),
        ] {
            let given = answer(&query(labels, 1, 1), &list()).unwrap();
            assert_eq!((given.name.as_str(), given.allowed), (name, false));
            assert_eq!(given.packet[2..8], *b"\x81\x83\x00\x01\x00\x00", "{name}");
        }
    }

    #[test]
    fn other_classes_are_refused_and_other_operations_unknown() {
        let chaos = answer(&query(&[b"example", b"org"], 1, 3), &list()).unwrap();
        assert_eq!(chaos.packet[2..8], *b"\x81\x85\x00\x01\x00\x00");
        let mut status = query(&[b"example", b"org"], 1, 1);
        status[2] |= 0x10;
        let status = answer(&status, &list()).unwrap();
        assert_eq!(status.packet[2..8], *b"\x91\x84\x00\x01\x00\x00");
    }

    #[test]
    fn what_is_no_query_gets_no_answer() {
        let with = |at: usize, byte: u8| {
            let mut packet = ASKS_A.to_vec();
            packet[at] = byte;
            packet
        };
        let long_label = [b'x'; 63];
        for (what, packet) in [
            ("nothing", Vec::new()),
            ("a header", ASKS_A[..12].to_vec()),
            ("a question cut off", ASKS_A[..ASKS_A.len() - 1].to_vec()),
            ("a byte too many", [ASKS_A, b"\x00"].concat()),
            ("a response", with(2, 0x81)),
            ("no question", with(5, 0)),
            ("two questions", with(5, 2)),
            ("an answer", with(7, 1)),
            ("an authority", with(9, 1)),
            ("an additional record that is missing", with(11, 1)),
            ("a pointer to itself", [&ASKS_A[..12], b"\xc0\x0c\x00\x01\x00\x01"].concat()),
            ("a label of a form that never came to be", with(12, 0x41)),
            ("a label beyond the end", with(12, 0x3f)),
            (
                "a name of more than 255 bytes",
                query(&[&long_label, &long_label, &long_label, &long_label], 1, 1),
            ),
            ("an OPT record cut off", ASKS_WITH_OPT[..ASKS_WITH_OPT.len() - 1].to_vec()),
            ("a record that is not OPT", {
                let mut packet = ASKS_WITH_OPT.to_vec();
                packet[31] = 0xfa;
                packet
            }),
        ] {
            assert_eq!(answer(&packet, &list()), None, "{what}");
        }
    }

    /// Packets that get past the first checks.
    fn nearly() -> impl Strategy<Value = Vec<u8>> {
        let start = prop_oneof![Just(ASKS_A), Just(ASKS_AAAA), Just(ASKS_WITH_OPT)];
        let changes = proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4);
        (start, changes, any::<proptest::sample::Index>(), any::<bool>()).prop_map(
            |(start, changes, end, cut)| {
                let mut packet = start.to_vec();
                for (at, byte) in changes {
                    *at.get_mut(&mut packet) = byte;
                }
                if cut {
                    packet.truncate(end.index(packet.len()));
                }
                packet
            },
        )
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived_and_answers_repeat_what_was_asked(
            packet in prop_oneof![proptest::collection::vec(any::<u8>(), 0..600), nearly()],
        ) {
            if let Some(given) = answer(&packet, &list()) {
                // The question ends four bytes after the zero that ends its name.
                let mut end = 12;
                while packet[end] != 0 {
                    end += usize::from(packet[end]) + 1;
                }
                end += 5;
                prop_assert_eq!(&given.packet[..2], &packet[..2]);
                prop_assert_eq!(given.packet[2] & 0x80, 0x80);
                prop_assert_eq!(&given.packet[4..6], b"\x00\x01");
                prop_assert_eq!(&given.packet[12..end], &packet[12..end]);
                prop_assert!(given.packet.len() <= 512);
                prop_assert!(given.name.len() <= 1020 && given.name.bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert_eq!(given.allowed, list().position(&given.name).is_some());
            }
        }
    }
}

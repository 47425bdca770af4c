//! Packets of a caged program to its name server.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rollcage_sandbox::network::dns::answer;
use rollcage_types::AllowList;

static ALLOWED: LazyLock<AllowList> =
    LazyLock::new(|| AllowList::parse(["first.example", "example.org:443"]).unwrap());

/// What fits a datagram that nobody has to announce.
const ANSWER_BYTES_MAX: usize = 512;
const HEADER_BYTES: usize = 12;

fuzz_target!(|packet: &[u8]| {
    let Some(given) = answer(packet, &ALLOWED) else { return };
    let question = question(packet);
    assert_eq!(given.packet[..2], packet[..2], "the id");
    assert_eq!(given.packet[2] & 0x80, 0x80, "it is a response");
    assert_eq!(given.packet[4..6], [0, 1], "it has one question");
    assert_eq!(&given.packet[HEADER_BYTES..][..question.len()], question);
    assert!(given.packet.len() <= ANSWER_BYTES_MAX);
    assert!(given.name.bytes().all(|byte| byte.is_ascii_graphic()));
    assert_eq!(given.allowed, ALLOWED.position(&given.name).is_some());
    let (code, addresses) = (given.packet[3] & 0x0f, given.packet[7]);
    assert!(addresses == 0 || (given.allowed && code == 0), "an address of what is not allowed");
});

/// The question of a packet that was answered: a name, and four bytes.
fn question(packet: &[u8]) -> &[u8] {
    let mut end = HEADER_BYTES;
    while packet[end] != 0 {
        end += usize::from(packet[end]) + 1;
    }
    &packet[HEADER_BYTES..end + 5]
}

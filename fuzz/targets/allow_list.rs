//! Lists of hosts: what is read is within its bounds, and reads the same when it is spelled out.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use rollcage_types::AllowList;
use rollcage_types::network::{ENTRIES_MAX, LISTENERS_MAX, PORTS_MAX};

fuzz_target!(|text: &str| {
    let Ok(list) = AllowList::parse(text.lines()) else { return };
    assert!(list.entries().len() <= ENTRIES_MAX);
    let ports = list.entries().iter().map(|entry| entry.ports().len());
    assert!(ports.clone().all(|count| (1..=PORTS_MAX).contains(&count)));
    assert!(ports.sum::<usize>() <= LISTENERS_MAX);
    let mut spelled_out = Vec::new();
    let mut addresses = BTreeSet::new();
    for (position, entry) in list.entries().iter().enumerate() {
        let name = entry.host().as_str();
        assert!(name.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase()), "{name:?}");
        assert!(entry.ports().is_sorted_by(|one, next| one < next) && !entry.ports().contains(&0));
        assert_eq!(list.position(name), Some(position));
        assert!(addresses.insert(list.cage_address(position).unwrap()), "two hosts share an address");
        let ports: Vec<String> = entry.ports().iter().map(u16::to_string).collect();
        spelled_out.push(format!("{name}:{}", ports.join(",")));
    }
    assert_eq!(AllowList::parse(spelled_out.iter().map(String::as_str)), Ok(list));
});

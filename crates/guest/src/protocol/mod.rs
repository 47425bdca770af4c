//! The messages between supervisor, launcher and stub.
//!
//! All travel over `SOCK_SEQPACKET` sockets, one message a packet, with descriptors attached where named. The control
//! socket carries an [`Order`], the start clock, one [`Setup`] for each slot and then [`Command`]s in, and one [`Answer`]
//! out; each slot's own socket carries a [`RunMessage`] in and [`Report`]s out. No message comes from, or is readable by,
//! the program in the cage; decoding still trusts nothing, because a decoder that trusts is the first thing to break when
//! that changes.

mod order;
mod report;
mod request;
mod slot;
mod words;

pub use order::{Answer, ForkServerOrder, ORDER_DESCRIPTORS_MAX, Order, Refusal, ServerUids};
pub use report::{Ended, Report};
pub use request::{
    CgroupEntry, LISTENERS_MAX, Listener, REQUEST_BYTES_MAX, REQUEST_STRINGS_MAX, RUN_DESCRIPTORS_FIXED,
    RUN_DESCRIPTORS_MAX, RequestTooLarge, RunHeader, RunMessage,
};
pub use slot::{Command, Setup, Wiring, start_clock_offset};

#[cfg(test)]
mod tests;

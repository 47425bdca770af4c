//! The allow-list relay: a caged program reaches the hosts it was given, and nothing else.
//!
//! Such a cage has a network of its own with nothing but `lo`. Before the program starts, the cage's first process
//! binds a UDP socket to 127.0.0.1:53, named in `/etc/resolv.conf`, and a TCP listener to
//! [`rollcage_types::AllowList::cage_address`] for each port of each host, and hands the sockets out. A [`Relay`] in the supervisor
//! serves them: allowed names resolve to those addresses, and what connects there is connected on to the host, which
//! the supervisor resolves itself. Bytes are passed on as they are, so TLS stays between the program and the host.
//!
//! No packet of the program's ever leaves its own network. What it can do is ask for allowed hosts and move bytes,
//! and each of these is bounded here. The relay's own work is not accounted to the cage; it is one thread, driven by
//! a program that has to work as hard to drive it.

mod address;
mod connection;
pub mod dns;
mod flows;
mod log;
mod lookup;
mod relay;

#[cfg(test)]
mod tests;

pub(crate) use relay::Relay;

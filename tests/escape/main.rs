//! Every claim the cage makes, attacked.
//!
//! Each probe is one hostile program in its own file. It runs twice: unconfined, in namespaces that are thrown away,
//! where the attack must succeed, or it would prove nothing; and in a cage, where it must fail. Afterwards the host is
//! looked at for traces. `ROLLCAGE_PROBE=name` runs one probe.

mod exhaustion;
mod harness;
mod interference;
mod kernel;
mod network;
mod privilege;
mod reading;
mod supervisor;
mod writing;

use harness::Probe;

#[test]
fn every_attack_succeeds_unconfined_and_fails_in_the_cage() {
    let all: Vec<&Probe> = [
        reading::PROBES,
        writing::PROBES,
        network::PROBES,
        privilege::PROBES,
        kernel::PROBES,
        exhaustion::PROBES,
        interference::PROBES,
        supervisor::PROBES,
    ]
    .into_iter()
    .flatten()
    .copied()
    .collect();
    harness::attack(&all);
}

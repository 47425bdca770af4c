//! Every claim the cage makes, attacked.
//!
//! Each probe is one hostile program in its own file. It runs unconfined, in namespaces that are thrown away, where the
//! attack must succeed, or it would prove nothing; and in a cage of every mode, where it must fail. Afterwards the host
//! is looked at for traces. `ROLLCAGE_PROBE=name` runs one probe, `ROLLCAGE_MODE=text` the modes with that in their name.

mod exhaustion;
mod harness;
mod interference;
mod kernel;
mod network;
mod privilege;
mod reading;
mod reports;
mod supervisor;
mod writing;

use harness::Probe;

#[test]
fn every_attack_succeeds_unconfined_and_fails_in_the_cage() {
    harness::attack(&probes());
}

#[test]
#[ignore = "serves `every_attack_succeeds_unconfined…`, which starts it"]
fn a_supervisor_under_attack() {
    harness::serve(&probes());
}

fn probes() -> Vec<&'static Probe> {
    [
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
    .collect()
}

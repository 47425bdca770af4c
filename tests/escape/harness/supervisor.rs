//! The supervisor of a mode: runs what it is told in cages of its own, and judges what came of it.

use std::io::{self, BufRead as _, Write as _};
use std::sync::Arc;

use rollcage_sandbox::{Cancel, Host, HostError};

use super::cage::Cages;
use super::machine::Watch;
use super::modes::Mode;
use super::probe::Probe;
use super::request::{Target, companion};
use super::station::{Answer, MARK, Order, STATION, Setup};

/// A program, its neighbour and a bystander.
const SLOTS: usize = 3;

/// Serves the test that started this process, if one did, until it closes our standard input.
pub(crate) fn serve(probes: &[&Probe]) {
    let Ok(setup) = std::env::var(STATION) else {
        eprintln!("skipped: a supervisor under attack is started by the attacking test");
        return;
    };
    let setup: Setup = serde_json::from_str(&setup).expect("the test writes what it reads");
    let mode = Mode::named(&setup.mode).expect("both sides have the same table");
    let target = Target { secret_path: setup.secret_path.clone() };
    let start = |slots| Host::start(&mode.host_config(slots, &setup)).map(Arc::new);
    let (many, reused) = match (start(SLOTS), start(1)) {
        (Ok(many), Ok(reused)) => (many, reused),
        (Err(error @ (HostError::NotRoot { .. } | HostError::NoCgroups { .. })), _) => {
            answer(&Answer::Refused(error.to_string()));
            return;
        }
        (Err(error), _) | (_, Err(error)) => {
            answer(&Answer::Breached(format!("no host: {error:?}")));
            return;
        }
    };
    let uids = [&many, &reused].map(|host| outside_uid(host, &target)).to_vec();
    answer(&Answer::Ready { uids });
    let cages = Cages { many, reused, target };
    for line in io::stdin().lock().lines() {
        let line = line.expect("the test sends text");
        let order: Order = serde_json::from_str(&line).expect("the test writes what it reads");
        let probe = probes.iter().find(|probe| probe.name == order.probe).expect("the same table");
        let mode = Mode::named(&order.mode).expect("the same table");
        answer(&match cages.run(probe, &mode) {
            Ok(detail) => Answer::Held(detail),
            Err(why) => Answer::Breached(why),
        });
    }
}

/// Who a program in a cage is on the host, whatever it is told.
fn outside_uid(host: &Host, target: &Target) -> u32 {
    let cancel = Cancel::new();
    let request = companion("ready()\nlibc.pause()\n", target);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| host.run(&request, &cancel));
        let process = Watch::own().await_ready().expect("the cage runs python3");
        cancel.cancel();
        running.join().expect("a run does not panic").expect("the cage runs python3");
        process.uid
    })
}

/// On a line of its own, whatever the test harness has begun to print.
fn answer(answer: &Answer) {
    let text = serde_json::to_string(answer).expect("answers are text");
    let mut stdout = io::stdout().lock();
    // A test that is gone wants no answer.
    let _written = writeln!(stdout, "\n{MARK}{text}").and_then(|()| stdout.flush());
}

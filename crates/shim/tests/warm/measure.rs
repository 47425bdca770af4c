//! How long a program takes from request to reaped, beside a cold start of the same. Prints JSON, asserts nothing of it.
//!
//! `cargo test -p rollcage-shim --test warm -- --ignored --nocapture measure`

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::server::{BASH, LUA, PERL, PHP, PYTHON, Place, RUBY, Recipe};

/// Runs of each kind, in turns, so that both meet the same neighbours.
const ROUNDS: usize = 200;

/// A Python that has numpy, if there is one.
pub(crate) fn python_with_numpy() -> Option<PathBuf> {
    let named = std::env::var_os("ROLLCAGE_TEST_NUMPY_PYTHON").unwrap_or_else(|| PYTHON.programs[0].into());
    let python = PathBuf::from(named);
    let has = std::process::Command::new(&python).args(["-c", "import numpy"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no Python with numpy; name one by ROLLCAGE_TEST_NUMPY_PYTHON");
        return None;
    }
    Some(python)
}

fn compare(name: &str, place: &Place) -> serde_json::Value {
    let server = place.serve();
    let mut times = [const { Vec::new() }; 2];
    for _ in 0..ROUNDS {
        for (times, is_warm) in times.iter_mut().zip([true, false]) {
            let started = Instant::now();
            let outcome = if is_warm { server.run(place, "") } else { place.cold("") };
            times.push(started.elapsed());
            assert_eq!(outcome.status, 0, "{name}: {}", String::from_utf8_lossy(&outcome.stderr));
        }
    }
    let [warm, cold] = times.map(median_ms);
    serde_json::json!({ "program": name, "rounds": ROUNDS, "warm_p50_ms": warm, "cold_p50_ms": cold })
}

fn median_ms(mut times: Vec<Duration>) -> f64 {
    times.sort();
    (times[times.len() / 2].as_secs_f64() * 100_000.0).round() / 100.0
}

#[test]
#[ignore = "a measurement, not a check"]
fn fork_to_exit() {
    let empty: [(&str, Recipe); 6] =
        [("python", PYTHON), ("perl", PERL), ("ruby", RUBY), ("php", PHP), ("lua", LUA), ("bash", BASH)];
    let mut rows = Vec::new();
    for (name, recipe) in empty {
        rows.extend(Place::new(recipe).map(|place| compare(name, &place)));
    }
    if let (Some(mut place), Some(python)) = (Place::new(PYTHON), python_with_numpy()) {
        place.program = python;
        place.variables.push(("OPENBLAS_NUM_THREADS".into(), "1".into()));
        let preload = place.directory.path().join("preload.py");
        fs::write(&preload, "import numpy\n").unwrap();
        place.preload = Some(preload);
        place.write("import numpy\nprint(numpy.arange(9).sum())\n");
        rows.push(compare("python, numpy", &place));
    }
    println!("{}", serde_json::to_string_pretty(&rows).unwrap());
}

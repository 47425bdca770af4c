//! What lies in the program's place need not be a file: a view of a directory may have a link there, a directory or a pipe.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rollcage_language::LanguageSet;
use rollcage_sandbox::{Cancel, HostConfig, Mismatch};
use rollcage_types::{LimitKind, Start, Termination};
use rollcage_warm::{Bounds, ColdReason, Pool};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::harness::{Ended, host_of};

/// Puts something in the program's place, and says what comes of running it.
type Case = (fn(&Path), fn(&Ended) -> bool);

const CASES: [Case; 3] = [
    (
        |place| {
            fs::write(place.with_file_name("other.py"), "print('linked')\n").unwrap();
            std::os::unix::fs::symlink("other.py", place).unwrap();
        },
        |ended| ended.stdout == "linked\n",
    ),
    (
        |place| fs::create_dir(place).unwrap(),
        |ended| ended.termination == Termination::Exited { code: 1 } && ended.stderr.contains("__main__"),
    ),
    (
        |place| mknodat(CWD, place, FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap(),
        |ended| ended.termination == Termination::LimitExceeded(LimitKind::WallTime),
    ),
];

#[test]
fn links_directories_and_pipes_in_the_programs_place_are_run_cold() {
    let python = LanguageSet::built_in().find("python").unwrap().clone();
    for (put, is_expected) in CASES {
        let base = tempfile::tempdir().unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(base.path(), open).unwrap();
        put(&base.path().join(python.filename.as_str()));
        let config = HostConfig { base: Some(base.path().to_owned()), ..HostConfig::default() };
        let Some(host) = host_of(&config) else { return };
        let pool = Pool::new(host, Some(Bounds::of_machine()));
        let mut request = python.run_request(Vec::new());
        request.limits.wall_time = Duration::from_secs(1);
        let outcome = pool.run(&python, &request, &Cancel::new()).unwrap();
        assert_eq!(outcome.start, Start::Cold);
        assert_eq!(pool.counts().cold_for(ColdReason::Mismatch(Mismatch::Base)), 1);
        let (ended, cold) =
            (Ended::from(outcome), Ended::from(pool.host().run(&request, &Cancel::new()).unwrap()));
        assert_eq!(ended, cold);
        assert!(is_expected(&ended), "{ended:?}");
    }
}

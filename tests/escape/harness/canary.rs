//! A well-behaved bystander: as long as the attack lasts it runs a small program in a cage of its own, again and
//! again, and must get the right answer every time.

use std::sync::atomic::{AtomicBool, Ordering};

use rollcage_sandbox::{Cancel, Host};
use rollcage_types::{ExecRequest, FileEntry, RelativePath};

use super::cage::describe;
use super::station::CageResult;

/// Uses a little of everything that attacks use up: processes, threads, memory, files, pipes, sockets, descriptors.
const SONG: &str = include_str!("canary.py");
const ANSWER: &[u8] = b"4999950000 4096 20 ping\n";

/// Sings at least once; the report says how often.
pub(super) fn sing(host: &Host, is_over: &AtomicBool) -> CageResult {
    let path = RelativePath::new("song.py").expect("a plain name");
    let mut request = ExecRequest::new(["python3", "-I", "-S", "song.py"]);
    request.files.push(FileEntry::new(path, SONG.as_bytes()));
    for count in 1.. {
        let outcome = host
            .run(&request, &Cancel::new())
            .map_err(|error| format!("the canary has no outcome: {error:?}"))?;
        if !outcome.termination.is_success() || outcome.stdout.head != ANSWER {
            return Err(format!("the canary was harmed in run {count}: {}", describe(&outcome)));
        }
        if is_over.load(Ordering::Relaxed) {
            return Ok(format!(", canary {count} times"));
        }
    }
    unreachable!("an attack ends before the numbers do")
}

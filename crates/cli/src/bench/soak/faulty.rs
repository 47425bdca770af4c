//! Requests that must be refused, and runs that are cancelled.

use std::time::Duration;

use rollcage_types::{ByteSize, ExecRequest, FileEntry, RelativePath};

use crate::bench::soak::draw::Draw;
use crate::bench::soak::work::{Class, End, Kind, Order, Recipe, Refusal, Setting};

/// Every kind of them.
pub(super) const FAULTY: &[Kind] = &[
    faulty("no_program", |_, _| refused(ExecRequest::new([""; 0]), Refusal::NoProgram)),
    faulty("empty_name", |_, _| refused(ExecRequest::new([""]), Refusal::NoProgram)),
    faulty("argv_too_long", |_, _| refused(ExecRequest::new(["x"; 5000]), Refusal::Request)),
    faulty("variable_too_long", |_, _| {
        let mut request = ExecRequest::new(["true"]);
        request.env_vars.push(("LONG".to_owned(), "x".repeat(1 << 20)));
        refused(request, Refusal::Request)
    }),
    faulty("missing_program", |_, _| refused(ExecRequest::new(["no-such-program"]), Refusal::Program)),
    faulty("directory_for_a_program", |_, _| refused(ExecRequest::new(["/usr/bin"]), Refusal::Program)),
    faulty("files_too_large", |draw, _| {
        let mut request = ExecRequest::new(["true"]);
        request.limits.disk = ByteSize::kib(64);
        request.files.push(file("large", draw.bytes(1 << 20)));
        refused(request, Refusal::FilesTooLarge)
    }),
    faulty("file_for_a_directory", |_, _| {
        let mut request = ExecRequest::new(["true"]);
        request.files = vec![file("a", *b"x"), file("a/b", *b"x")];
        refused(request, Refusal::Place)
    }),
    faulty("cancelled_at_once", |_, _| cancelled("exec sleep 600", Duration::ZERO)),
    faulty("cancelled_sleeper", |draw, _| cancelled("exec sleep 600", moment(draw))),
    faulty("cancelled_spinner", |draw, _| cancelled("while :; do :; done", moment(draw))),
    faulty("cancelled_flood", |draw, _| cancelled("exec yes", moment(draw))),
    faulty("cancelled_tree", |draw, _| {
        cancelled("for i in 1 2 3 4 5 6; do sleep 600 & (setsid sleep 600 &) ; done; wait", moment(draw))
    }),
];

/// From before a program has started to well after it.
const CANCELLED_WITHIN_US: u64 = 60_000;

const fn faulty(name: &'static str, make: fn(&mut Draw, &Setting) -> Order) -> Kind {
    Kind { class: Class::Faulty, name, needs: &[], recipe: Recipe::Drawn(make) }
}

fn refused(request: ExecRequest, refusal: Refusal) -> Order {
    Order::ending(request, &[End::Refused(refusal)])
}

fn moment(draw: &mut Draw) -> Duration {
    Duration::from_micros(draw.below(CANCELLED_WITHIN_US))
}

fn cancelled(script: &str, after: Duration) -> Order {
    let mut request = ExecRequest::new(["sh", "-c", script]);
    // None of its limits comes before the cancellation, however busy the machine is.
    request.limits.cpu_time = Duration::from_secs(60);
    request.limits.wall_time = Duration::from_secs(60);
    request.limits.output = ByteSize::gib(64);
    request.capture.head = ByteSize::kib(64);
    Order { cancel_after: Some(after), ..Order::ending(request, &[End::Cancelled]) }
}

fn file(path: &str, content: impl Into<std::sync::Arc<[u8]>>) -> FileEntry {
    FileEntry::new(RelativePath::new(path).expect("a plain name"), content)
}

#[cfg(test)]
mod tests {
    use rollcage_types::IsolationLevel;

    use super::*;

    #[test]
    fn nothing_faulty_may_end_as_a_program_does() {
        let setting = Setting { level: IsolationLevel::Full, is_counted: true, compiled: None };
        for kind in FAULTY {
            let order = kind.order(&mut Draw::of(1, 1), &setting);
            let is_right = |end: &End| match end {
                End::Refused(_) => order.cancel_after.is_none(),
                End::Cancelled => order.cancel_after.is_some(),
                End::Exited(_) | End::Signaled(_) | End::Exceeded(_) | End::Failed => false,
            };
            assert!(
                !order.expected.ends.is_empty() && order.expected.ends.iter().all(is_right),
                "{}",
                kind.name
            );
        }
    }
}

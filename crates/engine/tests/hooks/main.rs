//! Hooks as processes: what they answer, everything they can do wrong, and that nothing of them is left.

#![expect(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it should be")]

mod harness;

use std::collections::BTreeSet;
use std::time::Duration;

use harness::{Setup, Watched};
use rollcage_api::HookKind;
use rollcage_engine::drive::{Hook, HookFailure, HookSpec};
use rollcage_judge::{Blame, Score};

/// For a request that must not be answered.
const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_checker_is_asked_and_decides() {
    let checked = Setup::new(&[]).start().await.unwrap();
    let right = checked.ask("right").await.unwrap();
    assert_eq!((right.passed, right.score), (true, Score::ONE));
    let wrong = checked.ask("wrong").await.unwrap();
    assert_eq!((wrong.passed, wrong.score), (false, Score::ZERO));
    let partly = checked.ask("partly").await.unwrap();
    assert_eq!((partly.passed, partly.score.value()), (false, 0.25));
    let meta = checked.ask_about(b"1 2", b"meta").await.unwrap();
    assert_eq!(meta.message.unwrap(), r#"["p", 0, "1 2", {"level": 3}]"#);
    let bytes = checked.ask_about(b"\xff\x00", b"bytes").await.unwrap();
    assert!(bytes.message.unwrap().contains("base64"), "bytes that are no text are told from text");
    let refused = checked.ask("give up").await.unwrap_err();
    assert_eq!((refused.blame, refused.retryable), (Blame::Problem, false));
    assert!(refused.reason.contains("has no number"), "{refused}");
    assert_eq!(checked.hook.restarts(), 0);
}

#[tokio::test]
async fn a_hook_that_cannot_work_is_known_at_once() {
    let check = async |mode: &'static [&'static str], words: &[&str]| {
        let setup = Setup { start_deadline: SHORT * 4, ..Setup::new(mode) };
        let setup = if mode == ["never ready"] { setup } else { Setup::new(mode) };
        let error = setup.start().await.err().unwrap();
        assert!(error.is_of_hook(), "{mode:?}");
        let text = error.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{mode:?}: {text}");
    };
    let died = ["checker hook `env", "exited with code 3 before it had described itself", "model: gpt-0"];
    check(&["die at start"], &died).await;
    check(&["never ready"], &["did not answer within"]).await;
    check(&["chatty"], &["loading the model", "not a JSON object"]).await;
    let missing = HookSpec::new(HookKind::Reward, vec!["no-such-program-anywhere".to_owned()]);
    let error = Hook::start(missing, &[]).await.unwrap_err();
    assert!(matches!(error.failure, HookFailure::Start(_)), "{error}");
    let silent = HookSpec::new(HookKind::Reward, vec!["true".to_owned()]);
    let error = Hook::start(silent, &[]).await.unwrap_err();
    assert!(error.to_string().contains("exited with code 0"), "{error}");
}

#[tokio::test]
async fn whatever_a_hook_does_wrong_is_named_and_never_a_decision() {
    // What is asked, the words that name it, and whether the process can be asked again.
    for (stdout, words, is_kept) in [
        ("die", ["exited with code 1 before it had answered", "ValueError: boom"], false),
        ("abort", ["was ended by signal 6", ""], false),
        ("half", ["exited with code 0", ""], false),
        ("close", ["closed its standard output", ""], false),
        ("not json", ["not a JSON object", "{'passed': True}"], false),
        ("wrong id", ["has the id", "the request has"], false),
        ("string id", ["has the id", "\""], false),
        ("giant", ["a line of more than 4194304 bytes", ""], false),
        ("endless", ["a line of more than 4194304 bytes", ""], false),
        ("nan", ["not finite", "NaN"], true),
        ("infinity", ["not finite", "-Infinity"], true),
        ("score", ["1.5", "from 0 to 1"], true),
        ("no decision", ["neither `passed` nor `unscorable`", ""], true),
        ("unknown field", ["unknown field `verdict`", ""], true),
    ] {
        let checked = Setup::new(&[]).start().await.unwrap();
        let failed = checked.ask(stdout).await.unwrap_err();
        assert_eq!((failed.blame, failed.retryable), (Blame::Infrastructure, false), "{stdout}: {failed}");
        assert!(words.iter().all(|word| failed.reason.contains(word)), "{stdout}: {failed}");
        assert!(failed.reason.len() < 8192, "{stdout}: {}", failed.reason.len());
        assert_eq!(checked.hook.restarts(), u64::from(!is_kept), "{stdout}");
        // It goes on with what is asked next.
        assert!(checked.ask("right").await.unwrap().passed, "{stdout}");
    }
}

#[tokio::test]
async fn a_hang_is_ended_at_the_deadline() {
    let checked = Setup { deadline: SHORT, ..Setup::new(&[]) }.start().await.unwrap();
    // On a machine this busy a plain answer may be late too, so the process is known by its description alone.
    let failed = checked.ask("hang").await.unwrap_err();
    assert!(failed.reason.contains("did not answer within 300ms"), "{failed}");
    assert_eq!(checked.hook.restarts(), 1);
}

#[tokio::test]
async fn standard_error_is_read_and_only_its_end_kept() {
    let checked = Setup::new(&[]).start().await.unwrap();
    assert!(!checked.ask("flood").await.unwrap().passed);
    let failed = checked.ask("nan").await.unwrap_err();
    assert!(failed.reason.contains("yyyy") && failed.reason.len() < 4096, "{}", failed.reason.len());
}

#[tokio::test]
async fn what_a_process_leaves_behind_is_no_other_requests_fault() {
    for mode in [&["die at the second"], &["twice"]] {
        let checked = Setup::new(mode).start().await.unwrap();
        for round in 0..4 {
            assert!(checked.ask("right").await.unwrap().passed, "{mode:?} {round}");
            assert!(!checked.ask("wrong").await.unwrap().passed, "{mode:?} {round}");
        }
        assert_eq!(checked.hook.restarts(), 7, "{mode:?}: the first request of each process is answered");
    }
}

#[tokio::test]
async fn a_hook_that_fails_at_everything_is_given_up() {
    let checked = Setup::new(&[]).start().await.unwrap();
    let mut failures = 0;
    let given_up = loop {
        let failed = checked.ask("nan").await.unwrap_err();
        if failed.retryable {
            break failed;
        }
        failures += 1;
    };
    assert_eq!(failures, 16);
    assert!(given_up.reason.contains("given up after 16 failures in a row"), "{given_up}");
    assert!(given_up.reason.contains("not finite"), "the last failure is told: {given_up}");
    assert!(checked.hook.given_up().is_some());
    assert!(checked.ask("right").await.is_err(), "it is not asked any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_answered_at_the_same_time() {
    const PROCESSES: usize = 3;
    let checked = Setup { processes: PROCESSES, ..Setup::new(&["together", "3"]) }.start().await.unwrap();
    let checked = std::sync::Arc::new(checked);
    let asked = (0..24).map(|number: usize| {
        let checked = std::sync::Arc::clone(&checked);
        tokio::spawn(async move {
            let stdout = if number.is_multiple_of(2) { "right" } else { "wrong" };
            (number, checked.ask(stdout).await.unwrap())
        })
    });
    let mut processes = BTreeSet::new();
    for asked in asked.collect::<Vec<_>>() {
        let (number, decision) = asked.await.unwrap();
        assert_eq!(decision.passed, number.is_multiple_of(2), "{number}: each request gets its own answer");
        processes.insert(decision.message.unwrap());
    }
    assert_eq!(processes.len(), PROCESSES);
}

#[tokio::test]
async fn a_failed_process_takes_its_children_along() {
    let checked = Setup::new(&[]).start().await.unwrap();
    let child = Watched::new(&checked.ask("child").await.unwrap().message.unwrap());
    assert!(!child.has_ended());
    // Asked of a process that has answered, so it is asked of a second one too.
    checked.ask("die").await.unwrap_err();
    assert_eq!(checked.hook.restarts(), 2);
    child.ended().await;
}

#[tokio::test]
async fn processes_end_by_themselves_when_they_are_no_longer_wanted() {
    let checked = Setup::new(&[]).start().await.unwrap();
    let process = checked.process().await;
    let child = Watched::new(&checked.ask("child").await.unwrap().message.unwrap());
    checked.hook.stop().await;
    assert!(process.has_ended());
    assert_eq!(std::fs::read_to_string(checked.path().join("bye")).unwrap(), "bye");
    child.ended().await;
}

#[tokio::test]
async fn a_dropped_hook_leaves_no_process() {
    let checked = Setup::new(&[]).start().await.unwrap();
    let process = checked.process().await;
    assert!(!process.has_ended());
    drop(checked);
    process.ended().await;
}

#[tokio::test]
async fn a_cancelled_request_leaves_no_process() {
    let checked = std::sync::Arc::new(Setup::new(&[]).start().await.unwrap());
    let process = checked.process().await;
    let fifo = checked.path().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    let own = std::sync::Arc::clone(&checked);
    let request = tokio::spawn(async move { own.ask("tell and hang").await });
    let told = tokio::task::spawn_blocking(move || std::fs::read_to_string(fifo).unwrap());
    assert_eq!(told.await.unwrap(), "x", "the hook is working on it");
    assert!(!process.has_ended());
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    process.ended().await;
    assert!(checked.ask("right").await.unwrap().passed, "the next request gets another process");
}

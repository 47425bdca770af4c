//! Calls that fail: each cause has its kind, and no failure looks like a completion.

use std::error::Error as _;
use std::time::Duration;

use rollcage_engine::policy::{OpenAiConfig, PolicyError, PolicyErrorKind, RetryPlan, TimeLimit, Timeouts};

use crate::server::{END, Server, Step, answer, ask, config, cut_stream, stream, text_event};

/// Long enough for a local connection, short enough to wait for.
const SHORT: Duration = Duration::from_millis(150);

#[tokio::test]
async fn refusals_that_cannot_pass_are_reported_at_once() {
    for (status, retryable) in
        [("400 Bad Request", false), ("401 No", false), ("404 No", false), ("302 Found", false)]
    {
        let server =
            Server::start(vec![answer(status, "location: /elsewhere\r\n", "no\u{7}\nsuch\tthing")]).await;
        let error = ask(config(&[&server.url])).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (PolicyErrorKind::Refused, retryable), "{status}");
        let expected = format!(
            "policy at {}/chat/completions refused with status {}: no  such thing",
            server.url,
            &status[..3]
        );
        assert_eq!(error.to_string(), expected);
        assert!(!error.hint().is_empty());
        assert_eq!(server.seen().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn retries_have_an_end() {
    let server = Server::start(vec![answer("500 Internal Server Error", "", "oops")]).await;
    let error = ask(config(&[&server.url])).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (PolicyErrorKind::Refused, true));
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_wait_beyond_the_end_of_the_call_is_not_begun() {
    let server = Server::start(vec![answer("429 Too Many Requests", "retry-after: 3600\r\n", "later")]).await;
    let error = ask(config(&[&server.url])).await.unwrap_err();
    assert_eq!(error.kind(), PolicyErrorKind::Refused);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_refusal_is_quoted_in_part_and_without_the_key() {
    let key = std::env::var("CARGO_PKG_NAME").unwrap();
    let body = format!("bad key {key} {}", "x".repeat(100_000));
    let server = Server::start(vec![answer("401 Unauthorized", "", &body)]).await;
    let setup = OpenAiConfig { api_key_env: Some("CARGO_PKG_NAME".to_owned()), ..config(&[&server.url]) };
    let message = ask(setup).await.unwrap_err().to_string();
    assert!(message.contains("bad key [api key] xxx"), "{message}");
    assert!(!message.contains(&key), "{message}");
    assert!(message.len() < 1000, "{}", message.len());
}

#[tokio::test]
async fn a_conversation_that_is_too_long_is_recognised() {
    let check = async |status: &str, body: &str, expected: bool| {
        let server = Server::start(vec![answer(status, "", body)]).await;
        let setup = OpenAiConfig {
            retries: RetryPlan { attempts_max: 1, ..RetryPlan::default() },
            ..config(&[&server.url])
        };
        assert_eq!(ask(setup).await.unwrap_err().is_context_limit(), expected, "{body}");
    };
    check("400 Bad Request", "This model's maximum context length is 4096 tokens.", true).await;
    check("400 Bad Request", r#"{"error":{"code":"context_length_exceeded"}}"#, true).await;
    check("400 Bad Request", "temperature must be positive", false).await;
    check("500 Error", "maximum context length", false).await;
}

#[tokio::test]
async fn a_stream_that_breaks_off_keeps_what_arrived_and_is_not_sampled_again() {
    let said = [text_event("par"), text_event("tial")].concat();
    let reasoned = "data: {\"choices\":[{\"delta\":{\"reasoning\":\"hm\"}}]}\n\n".to_owned() + &said;
    let failed = reasoned.clone() + "data: {\"error\":\"out of memory\"}\n\n";
    let aborted = reasoned.clone() + "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"abort\"}]}\n\n";
    let unfinished = reasoned.clone() + "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    let cases: [(&str, Vec<Step>, &str); 5] = [
        ("connection closed", cut_stream([reasoned.as_bytes()]), "the connection failed"),
        ("stream ended", stream([reasoned.as_bytes()]), "the stream ended without `[DONE]`"),
        ("ended after its reason", stream([unfinished.as_bytes()]), "the stream ended without `[DONE]`"),
        ("server error", stream([failed.as_bytes()]), "the server reported: \"out of memory\""),
        ("aborted", stream([aborted.as_bytes()]), "the server reported: generation ended with `abort`"),
    ];
    for (what, script, expected) in cases {
        let server = Server::start(vec![script]).await;
        let error = ask(config(&[&server.url])).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (PolicyErrorKind::ClosedMidStream, true), "{what}");
        let partial = error.partial().unwrap();
        assert_eq!((partial.text.as_str(), partial.reasoning.as_str()), ("partial", "hm"), "{what}");
        assert!(
            error.to_string().ends_with(&format!("broke off after 7 bytes of text: {expected}")),
            "{error}"
        );
        assert_eq!(error.source().is_some(), what == "connection closed", "{what}");
        assert_eq!(server.seen().len(), 1, "{what}");
    }
}

#[tokio::test]
async fn what_is_no_stream_of_completions_is_garbage() {
    let endless = vec![b'x'; 5 << 20];
    let no_reason = [text_event("x").as_str(), "data: [DONE]\n\n"].concat();
    let page = answer("200 OK", "content-type: text/html\r\n", "<html>\nlog in\n</html>");
    let cases: [(&str, Vec<Step>, &str); 6] = [
        ("a web page", page, "21 bytes of `text/html` without an event"),
        ("not json", stream([b"data: <html>\n\n".as_slice()]), "in event `<html>`"),
        ("not UTF-8", stream([b"data: \xff\n\n".as_slice()]), "the stream is not UTF-8"),
        ("endless line", stream([endless.as_slice()]), "a line of the stream is longer than"),
        ("no finish reason", stream([no_reason.as_bytes()]), "without a finish reason"),
        ("no choices", stream([b"data: {\"object\":\"list\"}\n\n".as_slice()]), "no choices"),
    ];
    for (what, script, expected) in cases {
        let server = Server::start(vec![script]).await;
        let error = ask(config(&[&server.url])).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.is_retryable()),
            (PolicyErrorKind::Garbage, false),
            "{what}: {error}"
        );
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(server.seen().len(), 1, "{what}");
    }
}

#[tokio::test]
async fn each_time_limit_is_named_and_none_is_retried() {
    let said = text_event("par");
    let silent = vec![Step::Hang];
    let stalled = || [cut_stream([said.as_bytes()]), vec![Step::Hang]].concat();
    let long = config(&[]).timeouts;
    let cases: [(Vec<Step>, Timeouts, TimeLimit, &str); 5] = [
        (silent.clone(), Timeouts { first_byte: SHORT, ..long }, TimeLimit::FirstByte, ""),
        (
            cut_stream([]).into_iter().chain([Step::Hang]).collect(),
            Timeouts { first_byte: SHORT, ..long },
            TimeLimit::FirstByte,
            "",
        ),
        (stalled(), Timeouts { idle: SHORT, ..long }, TimeLimit::Idle, "par"),
        (silent, Timeouts { total: SHORT, ..long }, TimeLimit::Total, ""),
        (stalled(), Timeouts { total: SHORT, ..long }, TimeLimit::Total, "par"),
    ];
    for (script, timeouts, expected, text) in cases {
        let server = Server::start(vec![script]).await;
        let error = ask(OpenAiConfig { timeouts, ..config(&[&server.url]) }).await.unwrap_err();
        assert!(error.is_retryable(), "{error}");
        assert!(server.seen().len() <= 1, "{error}");
        assert!(
            error.to_string().ends_with(&format!("exceeded the {expected} time limit of 150 ms")),
            "{error}"
        );
        let PolicyError::TooSlow { limit, partial, .. } = error else { panic!("{error}") };
        assert_eq!(limit, expected);
        // A loaded machine may pass the total limit before the first piece arrives.
        let is_late = limit == TimeLimit::Total && partial.text.is_empty();
        assert!(is_late || partial.text == text, "{partial:?}");
    }
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    drop(listener);
    let error = ask(config(&[&url])).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (PolicyErrorKind::Unreachable, true));
    assert_eq!(error.to_string(), format!("cannot reach policy at {url}/chat/completions"));
    assert!(error.source().is_some());
}

#[tokio::test]
async fn what_follows_the_end_of_a_completion_is_not_waited_for() {
    let events = [text_event("ok"), END.to_owned()].concat();
    let script = [cut_stream([events.as_bytes()]), vec![Step::Hang]].concat();
    let server = Server::start(vec![script]).await;
    assert_eq!(ask(config(&[&server.url])).await.unwrap().completion.text, "ok");
}

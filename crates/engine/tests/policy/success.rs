//! Calls that bring a completion, at once or after a retry.

use rollcage_engine::policy::{
    OpenAiConfig, OpenAiPolicy, Policy, PolicyRequest, PolicySetupError, Sampling,
};
use rollcage_rollout::{FinishReason, Message, Role, TokenUsage, ToolCall};
use rollcage_types::TaskId;
use serde_json::{Value, json};

use crate::server::{END, Server, Step, answer, ask, config, cut_stream, header, ok, stream, text_event};

/// A variable that cargo and nextest both set for tests, so that no test has to change its environment.
const KEY_VARIABLE: &str = "CARGO_PKG_NAME";

#[tokio::test]
async fn the_request_says_everything_and_the_reply_is_put_together() {
    let events = concat!(
        ": ping\r\n\r\n",
        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}],\"extra\":{\"a\":1}}\r\n\r\n",
        "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}\r\n\r\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"done\"}}]}\r\n\r\n",
        "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"type\":\"function\",",
        "\"function\":{\"name\":\"run\",\"arguments\":\"{}\"}}]},\"finish_reason\":\"tool_calls\"}]}\r\n\r\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7,\"total_tokens\":12}}\r\n\r\n",
        "data: [DONE]\r\n\r\n",
    );
    let server = Server::start(vec![stream([events.as_bytes()])]).await;
    let setup = OpenAiConfig { api_key_env: Some(KEY_VARIABLE.to_owned()), ..config(&[&server.url]) };
    let key = std::env::var(KEY_VARIABLE).unwrap();
    let policy = Policy::OpenAi(OpenAiPolicy::new(setup, 1).unwrap());
    assert!(!format!("{policy:?}").contains(&key), "{policy:?}");

    let call = ToolCall { id: "c0".to_owned(), name: "run".to_owned(), arguments: "{\"x\":1}".to_owned() };
    let messages = [
        Message::new(Role::System, "be brief"),
        Message {
            tool_calls: vec![call],
            reasoning: Some("not sent back".to_owned()),
            ..Message::new(Role::Assistant, "")
        },
        Message { tool_call_id: Some("c0".to_owned()), ..Message::new(Role::Tool, "4") },
    ];
    let sampling = Sampling {
        max_tokens: 99,
        temperature: Some(0.5),
        top_p: Some(0.9),
        stop: vec!["</end>".to_owned()],
    };
    let tools = [json!({"type": "function", "function": {"name": "run"}})];
    let task_id = TaskId::new("t");
    let request = PolicyRequest {
        task_id: &task_id,
        sample: 3,
        turn: 0,
        messages: &messages,
        sampling: &sampling,
        seed: Some(u64::MAX),
        tools: &tools,
    };
    let reply = policy.complete(request).await.unwrap();

    assert_eq!(reply.attempts, 1);
    assert!(reply.latency.first_byte <= reply.latency.total);
    let completion = reply.completion;
    assert_eq!((completion.text.as_str(), completion.reasoning.as_deref()), ("done", Some("hm")));
    assert_eq!(completion.tool_calls.len(), 1);
    assert_eq!(completion.finish, FinishReason::ToolCalls);
    assert_eq!(completion.usage, Some(TokenUsage { prompt: 5, completion: 7 }));

    let seen = server.seen();
    assert!(seen[0].head.starts_with("POST /v1/chat/completions HTTP/1.1"), "{}", seen[0].head);
    assert_eq!(header(&seen[0].head, "authorization"), Some(format!("Bearer {key}").as_str()));
    assert_eq!(
        serde_json::from_str::<Value>(&seen[0].body).unwrap(),
        json!({
            "model": "test-model",
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "assistant", "content": "", "tool_calls": [
                    {"id": "c0", "type": "function", "function": {"name": "run", "arguments": "{\"x\":1}"}}
                ]},
                {"role": "tool", "content": "4", "tool_call_id": "c0"},
            ],
            "max_tokens": 99,
            "temperature": 0.5,
            "top_p": 0.9,
            "seed": (1_u64 << 53) - 1,
            "stop": ["</end>"],
            "tools": [{"type": "function", "function": {"name": "run"}}],
            "stream": true,
            "stream_options": {"include_usage": true},
        })
    );
}

#[tokio::test]
async fn what_is_not_set_is_not_sent_but_for_the_token_limit() {
    let server = Server::start(vec![ok()]).await;
    ask(config(&[&server.url])).await.unwrap();
    let body: Value = serde_json::from_str(&server.seen()[0].body).unwrap();
    let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["model", "messages", "max_tokens", "stream", "stream_options"]);
}

#[tokio::test]
async fn characters_cut_by_the_network_arrive_whole() {
    let events = [text_event("né😀"), END.to_owned()].concat();
    let server = Server::start(vec![stream(events.as_bytes().chunks(1))]).await;
    assert_eq!(ask(config(&[&server.url])).await.unwrap().completion.text, "né😀");
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let drop_at_once = Vec::new();
    let scripts: [(&str, Vec<Step>); 8] = [
        ("429", answer("429 Too Many Requests", "retry-after: 0\r\n", "slow down")),
        ("429 without a header", answer("429 Too Many Requests", "", "slow down")),
        ("500", answer("500 Internal Server Error", "", "oops")),
        (
            "503 with a date that passed",
            answer("503 Busy", "retry-after: Sun, 06 Nov 1994 08:49:37 GMT\r\n", ""),
        ),
        ("408", answer("408 Request Timeout", "", "")),
        ("closed before the answer", drop_at_once),
        ("closed before the first token", cut_stream([])),
        (
            "failed before the first token",
            stream([b"data: {\"error\":{\"message\":\"oom\",\"code\":503}}\n\n".as_slice()]),
        ),
    ];
    for (what, script) in scripts {
        let server = Server::start(vec![script, ok()]).await;
        let reply = ask(config(&[&server.url])).await.unwrap();
        assert_eq!((reply.completion.text.as_str(), reply.attempts), ("ok", 2), "{what}");
        assert_eq!(server.seen().len(), 2, "{what}");
    }
}

#[tokio::test]
async fn a_retry_goes_to_the_next_server() {
    let dead = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead_url = format!("http://{}/v1", dead.local_addr().unwrap());
    drop(dead);
    let alive = Server::start(vec![ok()]).await;
    for urls in [[dead_url.as_str(), &alive.url], [alive.url.as_str(), &dead_url]] {
        assert_eq!(ask(config(&urls)).await.unwrap().completion.text, "ok");
    }
}

#[test]
fn a_setup_that_cannot_work_is_refused_before_any_call() {
    let check = |urls: &[&str], api_key_env: Option<&str>, expected: &str| {
        let setup = OpenAiConfig { api_key_env: api_key_env.map(str::to_owned), ..config(urls) };
        let error: PolicySetupError = OpenAiPolicy::new(setup, 1).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check(&[], None, "no policy url is given");
    check(&["gpu0"], None, "policy url `gpu0` is not a url");
    check(&["ftp://gpu0/v1"], None, "policy url `ftp://gpu0/v1` is neither http nor https");
    check(
        &["http://me:secret@gpu0/v1"],
        None,
        "policy url `http://me@gpu0/v1` holds a user name or password; put the key in an environment variable",
    );
    check(&["http://gpu0/v1?key=secret"], None, "policy url `http://gpu0/v1` has a query or a fragment");
    check(
        &["http://gpu0/v1"],
        Some("ROLLCAGE_TEST_UNSET"),
        "environment variable `ROLLCAGE_TEST_UNSET` is not set, or empty",
    );
}

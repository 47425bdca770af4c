//! Policy servers that are down, slow, silent, broken or gone in mid-sentence.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::harness::{Place, can_run, finish, jsonl};

/// What a server does with a request.
#[derive(Clone, Copy, Debug)]
enum Script {
    /// Streams a right answer.
    Answer,
    /// Takes the request and says nothing.
    Silence,
    /// Answers with a page.
    Page,
    /// Answers with this status.
    Status(u16),
    /// Streams half an answer and closes.
    Half,
}

/// A server on a port of its own. Connections it leaves open end with the test's process.
struct Server {
    url: String,
    /// Hears of every request.
    requests: Receiver<()>,
}

/// Longer than anybody who answers takes on a busy machine.
const ROOMY: &str = "60s";
const ANSWER: &str = "```python\nprint(int(input()) * 2)\n```";

impl Server {
    /// Follows `scripts` request by request, the last one for all that follow.
    fn start(scripts: Vec<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let (heard, requests) = channel();
        std::thread::spawn(move || {
            let mut scripts = scripts.into_iter().peekable();
            let mut kept = Vec::new();
            for stream in listener.incoming() {
                let script = scripts.next().unwrap();
                if scripts.peek().is_none() {
                    scripts = vec![script].into_iter().peekable();
                }
                kept.extend(serve(stream.unwrap(), script, &heard));
            }
        });
        Self { url, requests }
    }
}

/// Serves one connection; returns it where it must stay open.
fn serve(mut stream: TcpStream, script: Script, heard: &Sender<()>) -> Option<TcpStream> {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    // A test that has seen enough no longer listens.
    let _unheard = heard.send(());
    let half = &ANSWER[..ANSWER.len() / 2];
    let event =
        |text: &str| format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {"content": text}}]}));
    let end =
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let head = |status: u16, kind: &str| {
        format!("HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n")
    };
    let reply = match script {
        Script::Answer => head(200, "text/event-stream") + &event(ANSWER) + end,
        Script::Silence => return Some(stream),
        Script::Page => head(200, "text/html") + "<html>log in</html>",
        Script::Status(status) => head(status, "application/json") + "{\"error\":{\"message\":\"no\"}}",
        Script::Half => head(200, "text/event-stream") + &event(half),
    };
    // A client that has given up is part of some tests.
    let _closed = stream.write_all(reply.as_bytes()).and_then(|()| stream.shutdown(Shutdown::Both));
    None
}

fn place(url: &str, attempts: u32) -> Place {
    let place = Place::new(&[]);
    point_at(&place, url, attempts);
    let cases = json!([{"stdin": "2\n", "expected": "4\n"}]);
    place.write("tasks.jsonl", &jsonl(&[json!({"id": "t", "prompt": "Double it.", "cases": cases})]));
    place
}

fn point_at(place: &Place, url: &str, attempts: u32) {
    place.write(
        "run.yaml",
        &format!(
            "tasks: {{path: tasks.jsonl}}\nenvironment: {{language: python, code: answer}}\n\
             policy: {{urls: [\"{url}\"], model: m, attempts: {attempts}, timeouts: {{first_byte: {ROOMY}}}}}\n"
        ),
    );
}

/// A port nobody listens on.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/v1", listener.local_addr().unwrap())
}

#[test]
fn a_server_that_answers_is_asked_and_its_answer_judged() {
    if !can_run(&["python3"]) {
        return;
    }
    let server = Server::start(vec![Script::Answer]);
    let place = place(&server.url, 1);
    let finished = place.run(&["rollout", "run.yaml", "--json"]);
    assert_eq!((finished.code, &finished.json()["accepted"]), (Some(0), &json!(1)), "{finished:?}");
    assert_eq!(server.requests.try_iter().count(), 1);
}

#[test]
fn each_failure_is_named_leaves_no_number_and_can_be_resumed_where_that_helps() {
    if !can_run(&["python3"]) {
        return;
    }
    for (script, expected, is_resumable) in [
        (None, "cannot reach policy", true),
        (Some(Script::Silence), "first byte time limit", true),
        (Some(Script::Half), "broke off after", true),
        (Some(Script::Status(503)), "status 503", true),
        (Some(Script::Page), "something else than a completion", false),
        (Some(Script::Status(401)), "status 401", false),
    ] {
        let server = script.map(|script| Server::start(vec![script]));
        let place = place(&server.as_ref().map_or_else(nowhere, |server| server.url.clone()), 1);
        if matches!(script, Some(Script::Silence)) {
            let text = std::fs::read_to_string(place.path().join("run.yaml")).unwrap();
            place.write("run.yaml", &text.replace(ROOMY, "500ms"));
        }
        let finished = place.run(&["rollout", "run.yaml"]);
        assert_eq!(finished.code, Some(114), "{script:?}: {finished:?}");
        assert!(finished.stderr.contains(expected), "{script:?}: {finished:?}");
        let (trajectory, turns) = place.conversations().remove(0);
        assert_eq!((turns.len(), trajectory.reward), (0, None));
        assert_eq!(trajectory.stop_reason.is_none(), is_resumable, "{script:?}: {trajectory:?}");
        assert_eq!(finished.stderr.contains("--resume"), is_resumable, "{finished:?}");

        let good = Server::start(vec![Script::Answer]);
        point_at(&place, &good.url, 1);
        let resumed = place.run(&["rollout", "run.yaml", "--resume", &place.only_run(), "--json"]);
        assert_eq!(resumed.code, Some(0), "{script:?}: {resumed:?}");
        let accepted = usize::from(is_resumable);
        assert_eq!(resumed.json()["accepted"], json!(accepted), "{script:?}: {resumed:?}");
        assert_eq!(place.conversations().len(), 1);
    }
}

#[test]
fn a_hiccup_is_ridden_out() {
    if !can_run(&["python3"]) {
        return;
    }
    let server = Server::start(vec![Script::Status(503), Script::Half, Script::Answer]);
    let place = place(&server.url, 3);
    let finished = place.run(&["rollout", "run.yaml", "--json"]);
    assert_eq!((finished.code, &finished.json()["accepted"]), (Some(0), &json!(1)), "{finished:?}");
    assert_eq!(server.requests.try_iter().count(), 3);
    assert_eq!(place.conversations()[0].1.len(), 1, "what broke off is no turn");
}

#[test]
fn an_interrupted_run_says_so_and_goes_on() {
    if !can_run(&["python3"]) {
        return;
    }
    let server = Server::start(vec![Script::Silence]);
    let place = place(&server.url, 1);
    let text = std::fs::read_to_string(place.path().join("run.yaml")).unwrap();
    place.write("run.yaml", &text.replace(ROOMY, "1h"));
    let child = place.start(&["rollout", "run.yaml"]);
    server.requests.recv().unwrap();
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::INT).unwrap();
    let finished = finish(child);
    assert_eq!(finished.code, Some(110), "{finished:?}");
    assert!(finished.stderr.contains("--resume"), "{finished:?}");
    let good = Server::start(vec![Script::Answer]);
    place.write("run.yaml", &text.replace(&server.url, &good.url));
    let resumed = place.run(&["rollout", "run.yaml", "--resume", &place.only_run()]);
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    assert_eq!(place.conversations()[0].0.reward, Some(1.0));
}

#[test]
fn a_policy_is_evaluated_with_pass_at_k() {
    if !can_run(&["python3"]) {
        return;
    }
    let server = Server::start(vec![Script::Answer]);
    let place = place(&server.url, 1);
    let arguments = [
        "eval",
        "tasks.jsonl",
        "-l",
        "python",
        "--policy",
        &server.url,
        "--model",
        "m",
        "-n",
        "3",
        "--temperature",
        "0.5",
        "--json",
    ];
    let finished = place.run(&arguments);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let report = finished.json();
    assert_eq!(
        (&report["total"], &report["accepted"], &report["judge_errors"]),
        (&json!(3), &json!(3), &json!(0))
    );
    assert_eq!(report["pass_at_k"][1]["k"], 3);
    assert_eq!(report["pass_at_k"][1]["mean"], 1.0);
}

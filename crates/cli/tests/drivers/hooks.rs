//! Hooks by the real binary: the examples do what they say, and what goes wrong with one is told and scored by nobody.

use std::fs;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::{Value, json};

use crate::harness::{Finished, Place, can_run, finish, jsonl};

const CHECK: &str = include_str!("../../../../examples/hooks/check.py");
const REWARD: &str = include_str!("../../../../examples/hooks/reward.py");
const TOOL: &str = include_str!("../../../../examples/hooks/tool.py");

/// A hook that answers its description and does `then` with every request.
fn hook(then: &str) -> String {
    format!(
        "import json, os, sys\n\
         for line in sys.stdin:\n    \
             request = json.loads(line)\n    \
             if request.get('describe'):\n        \
                 print(json.dumps({{'id': request['id']}}), flush=True)\n        \
                 continue\n    \
             {then}\n"
    )
}

/// Three solutions of one problem with two cases, judged with this hook.
fn judged(script: &str, options: &[&str]) -> (Place, Finished) {
    let cases = json!([{"stdin": "2\n", "expected": "1 2 3"}, {"stdin": "1\n", "expected": "5"}]);
    let problem = json!({"id": "p", "prompt": "p", "language": "python", "cases": cases});
    let place = Place::new(&[("problems.jsonl", &jsonl(&[problem])), ("check.py", script)]);
    let solution = |code: &str| json!({"id": "p", "code": code});
    let right = "print('3 2 1' if input() == '2' else 5)";
    let partly = "print('3 2 9' if input() == '2' else 5)";
    place.write("samples.jsonl", &jsonl(&[right, partly, "1 / 0"].map(solution)));
    let arguments = ["judge", "samples.jsonl", "--problems", "problems.jsonl", "--json"];
    let arguments = [&arguments, ["--checker-hook", "python3 check.py"].as_slice(), options].concat();
    let finished = place.run(&arguments);
    (place, finished)
}

#[test]
fn a_checker_of_ones_own_decides() {
    if !can_run(&["python3"]) {
        return;
    }
    let (_place, finished) = judged(CHECK, &["--run-all"]);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let rows = finished.lines();
    let row = |index: usize| (rows[index]["verdict"].clone(), rows[index]["score"].clone());
    assert_eq!(row(0), (json!("accepted"), json!(1.0)));
    assert_eq!(row(1).0, "partially_correct");
    let score = row(1).1.as_f64().unwrap();
    assert!((score - (2.0 / 3.0 + 1.0) / 2.0).abs() < 1e-12, "{score}");
    assert_eq!(rows[1]["reason"], "case 1: the checker rejects the output: 2 of 3 numbers are there");
    assert_eq!(row(2), (json!("runtime_error"), json!(0.0)), "it is not asked about what failed by itself");
}

#[test]
fn a_checker_that_fails_gives_no_verdict() {
    if !can_run(&["python3"]) {
        return;
    }
    for (then, words) in [
        (
            "sys.exit('the model is gone')",
            "exited with code 1 before it had answered; its standard error ends with: the model is gone",
        ),
        ("print('{\"id\": %d, \"passed\": true, \"score\": NaN}' % request['id'], flush=True)", "not finite"),
        ("print('accepted', flush=True)", "the line `accepted` is not a JSON object"),
    ] {
        let (_place, finished) = judged(&hook(then), &[]);
        assert_eq!(finished.code, Some(113), "{finished:?}");
        for row in &finished.lines()[..2] {
            assert!(row.get("verdict").is_none() && row.get("score").is_none(), "{row}");
            assert_eq!(
                (&row["error"]["blame"], &row["error"]["retryable"]),
                (&json!("infrastructure"), &json!(false))
            );
            assert!(row["error"]["reason"].as_str().unwrap().contains(words), "{row}");
        }
        assert_eq!(finished.lines()[2]["verdict"], "runtime_error");
    }
}

#[test]
fn a_checker_that_cannot_work_is_told_before_anything_runs() {
    if !can_run(&["python3"]) {
        return;
    }
    let (_place, finished) = judged("import no_such_module\n", &[]);
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(113), ""), "{finished:?}");
    for words in ["before it had described itself", "no_such_module", "hint: the first line a hook reads"] {
        assert!(finished.stderr.contains(words), "{finished:?}");
    }
    let (_place, finished) = judged(&hook("print(json.dumps({'id': -1}), flush=True)"), &[]);
    assert_eq!(finished.code, Some(113), "{finished:?}");
}

#[test]
fn a_checker_that_fails_at_everything_ends_the_command() {
    if !can_run(&["python3"]) {
        return;
    }
    let problem = json!({"id": "p", "prompt": "p", "language": "bash", "cases": [{"expected": "1"}]});
    let place = Place::new(&[("problems.jsonl", &jsonl(&[problem]))]);
    place.write("check.py", &hook("print('{\"id\": %d, \"passed\": NaN}' % request['id'], flush=True)"));
    place.write("samples.jsonl", &jsonl(&vec![json!({"id": "p", "code": "echo 1"}); 200]));
    let finished = place.run(&[
        "judge",
        "samples.jsonl",
        "--problems",
        "problems.jsonl",
        "--json",
        "--checker-hook",
        "python3 check.py",
    ]);
    assert_eq!(finished.code, Some(113), "{finished:?}");
    assert!(finished.stderr.contains("given up after 16 failures in a row"), "{finished:?}");
    assert!(finished.lines().len() < 40, "the rest is not wasted: {}", finished.lines().len());
}

#[test]
fn a_signal_leaves_no_process_of_a_hook() {
    if !can_run(&["python3"]) {
        return;
    }
    let problem = json!({"id": "p", "prompt": "p", "language": "bash", "cases": [{"expected": "1"}]});
    let place = Place::new(&[("problems.jsonl", &jsonl(&[problem]))]);
    let hang = "open('fifo', 'w').write(str(os.getpid())); sys.stdin.read()";
    place.write("check.py", &hook(hang));
    place.write("samples.jsonl", &jsonl(&[json!({"id": "p", "code": "echo 1"})]));
    let fifo = place.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // It ignores the end of its input, so only a signal ends it.
    let script = fs::read_to_string(place.path().join("check.py")).unwrap();
    place.write("check.py", &script.replace("sys.stdin.read()", "__import__('signal').pause()"));
    let child = place.start(&[
        "judge",
        "samples.jsonl",
        "--problems",
        "problems.jsonl",
        "--checker-hook",
        "python3 check.py",
    ]);
    let number: i32 = fs::read_to_string(fifo).unwrap().parse().unwrap();
    let hook = pidfd_open(Pid::from_raw(number).unwrap(), PidfdFlags::empty()).unwrap();
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::INT).unwrap();
    let finished = finish(child);
    assert_eq!(finished.code, Some(110), "{finished:?}");
    let patience = Timespec { tv_sec: 30, tv_nsec: 0 };
    assert_eq!(poll(&mut [PollFd::new(&hook, PollFlags::IN)], Some(&patience)).unwrap(), 1);
}

#[test]
fn a_data_set_is_evaluated_with_a_checker_of_ones_own() {
    if !can_run(&["python3"]) {
        return;
    }
    let case = json!([{"expected": "1 2"}]);
    let row = |id: &str, solution: &str| json!({"id": id, "prompt": "p", "language": "bash", "cases": case, "canonical_solution": solution});
    let problems = jsonl(&[row("a", "echo 2 1"), row("b", "echo 1 2")]);
    let place = Place::new(&[("problems.jsonl", &problems), ("check.py", CHECK)]);
    let eval = ["eval", "problems.jsonl", "--solutions", "canonical", "--json"];
    assert_eq!(place.run(&eval).code, Some(1), "without it the order matters");
    let finished = place.run(&[&eval, ["--checker-hook", "python3 check.py"].as_slice()].concat());
    assert_eq!(finished.code, Some(0), "{finished:?}");
}

/// A run of one task, with what follows in its file.
fn run(recorded: &[Value], file: &str, files: &[(&str, &str)]) -> (Place, Finished) {
    let case = json!([{"stdin": "2\n", "expected": "4\n"}]);
    let task = json!({"id": "double", "prompt": "Double it.", "cases": case, "meta": {"level": 2}});
    let place = Place::new(files);
    place.write("tasks.jsonl", &jsonl(&[task]));
    place.write("recorded.jsonl", &jsonl(&[json!({"task_id": "double", "turns": recorded})]));
    let start = "tasks: {path: tasks.jsonl}\npolicy: {recorded: recorded.jsonl}\ngroup: {size: 2}\n";
    place.write("run.yaml", &format!("{start}{file}"));
    let finished = place.run(&["rollout", "run.yaml", "--json"]);
    (place, finished)
}

fn double() -> Vec<Value> {
    let code = |code: &str| json!({"content": format!("```python\n{code}\n```")});
    vec![code("1 + 1"), code("print(int(input()) * 2)"), json!({"content": "done"})]
}

#[test]
fn a_reward_of_ones_own_takes_the_place_of_the_judges() {
    if !can_run(&["python3"]) {
        return;
    }
    let file = "environment: {language: python}\nreward: {hook: [python3, reward.py], parts: {outcome: 2.0, format: 0.5}}\n";
    let (place, finished) = run(&double(), file, &[("reward.py", REWARD)]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    for (trajectory, _) in place.conversations() {
        // Three turns, all but the last with an action; the last says that the code before it is the answer.
        let reward = trajectory.reward.unwrap();
        assert!((reward - (2.0 * 0.9 + 0.5)).abs() < 1e-12, "{reward}");
        assert_eq!(trajectory.reward_parts["haste"], -0.1);
    }
}

#[test]
fn a_reward_that_fails_is_no_number_and_the_trajectory_is_kept() {
    if !can_run(&["python3"]) {
        return;
    }
    let file = "environment: {language: python}\nreward: {hook: [python3, reward.py]}\n";
    for (then, words, code) in [
        ("print('{\"id\": %d, \"reward\": NaN}' % request['id'], flush=True)", "not finite", 113),
        ("sys.exit('out of memory')", "out of memory", 113),
        (
            "print(json.dumps({'id': request['id'], 'unscorable': 'level ' + str(request['meta']['level'])}), flush=True)",
            "the reward hook: level 2",
            0,
        ),
    ] {
        let (place, finished) = run(&double(), file, &[("reward.py", &hook(then))]);
        assert_eq!(finished.code, Some(code), "{finished:?}");
        let conversations = place.conversations();
        assert_eq!(conversations.len(), 2);
        for (trajectory, turns) in conversations {
            assert_eq!((trajectory.reward, turns.len()), (None, 3), "{trajectory:?}");
            assert!(trajectory.failure.unwrap().contains(words));
        }
    }
    let (place, finished) = run(&double(), file, &[("reward.py", "raise SystemExit(1)")]);
    assert_eq!(finished.code, Some(113), "{finished:?}");
    assert_eq!(place.reader().runs().unwrap().len(), 0, "nothing was begun");
}

fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"content": "", "tool_calls": [{"id": id, "name": name, "arguments": arguments}]})
}

const TOOLS: &str = "environment: {language: python, actions: tools}\ntools: {hook: [python3, tool.py]}\nbudget: {turns: 6}\n";

#[test]
fn tools_of_ones_own_are_called_and_what_they_say_is_observed() {
    if !can_run(&["python3"]) {
        return;
    }
    let turns = [
        call("a", "look_up", r#"{"word": "cage"}"#),
        call("b", "look_up", r#"{"word": "crate"}"#),
        call("c", "look_down", "{}"),
        call("d", "run_code", r#"{"code": "print(int(input()) * 2)", "input": "1"}"#),
        json!({"content": "done"}),
    ];
    let (place, finished) = run(&turns, TOOLS, &[("tool.py", TOOL)]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    for (trajectory, turns) in place.conversations() {
        assert_eq!(trajectory.reward, Some(1.0));
        let seen: Vec<_> = turns.iter().take(4).map(|turn| turn.observation[0].content.as_str()).collect();
        assert!(seen[0].starts_with("what holds a program"), "{seen:?}");
        assert!(seen[1].starts_with("error: no entry for 'crate'"), "{seen:?}");
        assert!(seen[2].starts_with("Nothing was done: there is no tool `look_down`."), "{seen:?}");
        assert!(seen[3].starts_with("stdout:\n2"), "{seen:?}");
        let kinds: Vec<_> = turns.iter().map(|turn| turn.outcome.kind.as_str()).collect();
        assert_eq!(kinds, ["called", "called", "void", "ran", "answered"]);
        assert_eq!(turns[0].action.content, r#"{"name":"look_up","arguments":{"word":"cage"}}"#);
    }
}

#[test]
fn a_tool_that_fails_is_our_failure_and_no_observation() {
    if !can_run(&["python3"]) {
        return;
    }
    let script = TOOL.replace("word = request", "sys.exit('no dictionary')\n        word = request");
    let turns = [call("a", "look_up", r#"{"word": "cage"}"#), json!({"content": "done"})];
    let (place, finished) = run(&turns, TOOLS, &[("tool.py", &script)]);
    assert_eq!(finished.code, Some(113), "{finished:?}");
    assert!(finished.stderr.contains("no dictionary"), "{finished:?}");
    for (trajectory, turns) in place.conversations() {
        assert_eq!((trajectory.reward, turns.len()), (None, 0), "{trajectory:?}");
        assert_eq!(trajectory.stop_reason.as_deref(), Some("infrastructure"));
    }
    let (_place, finished) =
        run(&turns, &TOOLS.replace("actions: tools", "actions: tags"), &[("tool.py", TOOL)]);
    assert_eq!(finished.code, Some(111), "{finished:?}");
}

#[test]
fn a_run_may_name_a_checker() {
    if !can_run(&["python3"]) {
        return;
    }
    let file =
        "environment: {language: python}\nchecker: {hook: {command: [python3, check.py], processes: 1}}\n";
    let then = "print(json.dumps({'id': request['id'], 'passed': request['stdout'] == '4\\n', 'score': 0.5}), flush=True)";
    let (place, finished) = run(&double(), file, &[("check.py", &hook(then))]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let rewards: Vec<_> =
        place.conversations().into_iter().map(|(trajectory, _)| trajectory.reward).collect();
    assert_eq!(rewards, [Some(0.5), Some(0.5)]);
}

#[test]
fn a_problem_may_bring_a_program_that_decides_in_a_cage_of_its_own() {
    if !can_run(&["python3", "g++"]) {
        return;
    }
    let python = "import sys\nread = lambda name: open(name).read().split()\n\
                  assert sys.argv[1:] == ['input', 'output', 'expected'], sys.argv\n\
                  assert read('input') == ['2']\n\
                  same = sorted(read('output')) == sorted(read('expected'))\n\
                  print(int(same))\nprint('checked')\n";
    let cpp = "#include <fstream>\n#include <iostream>\n\
               int main(int, char **names) { int got, want; std::ifstream(names[2]) >> got;\n\
               std::ifstream(names[3]) >> want; if (got == want) { std::cerr << \"ok\"; return 0; }\n\
               std::cerr << \"wrong answer \" << got; return 1; }\n";
    let row = |id: &str, language: &str, source: &str| {
        json!({"id": id, "prompt": "p", "language": "bash", "cases": [{"stdin": "2\n", "expected": "1 2"}],
            "checker": {"program": {"language": language, "source": source}}})
    };
    let problems = [
        row("python", "python", python),
        row("cpp", "cpp", cpp),
        row("crash", "python", "1 / 0"),
        row("silent", "python", "pass"),
        row("broken", "cpp", "int main() {"),
        row("nowhere", "klingon", "x"),
    ];
    let place = Place::new(&[("problems.jsonl", &jsonl(&problems))]);
    let solution = |id: &str, code: &str| json!({"id": id, "code": code});
    place.write(
        "samples.jsonl",
        &jsonl(&[
            solution("python", "echo 2 1"),
            solution("python", "echo 2 3"),
            solution("cpp", "echo 1"),
            solution("cpp", "echo 2"),
            // Neither beside it nor in any directory it can read is there what was expected.
            solution("python", "[ -e expected ] || echo 2 1"),
            solution("crash", "echo 2 1"),
            solution("silent", "echo 2 1"),
            solution("broken", "echo 2 1"),
            solution("nowhere", "echo 2 1"),
        ]),
    );
    let finished = place.run(&["judge", "samples.jsonl", "--problems", "problems.jsonl", "--json"]);
    let rows = finished.lines();
    let verdicts: Vec<_> = rows.iter().map(|row| row["verdict"].as_str().unwrap_or("none")).collect();
    let expected = ["accepted", "wrong_answer", "accepted", "wrong_answer", "accepted"];
    assert_eq!(verdicts, [expected.as_slice(), &["none"; 4]].concat(), "{finished:?}");
    assert_eq!(rows[1]["reason"], "the checker rejects the output: checked");
    for (row, words) in
        rows[5..].iter().zip(["ZeroDivisionError", "decided nothing", "does not compile", "klingon"])
    {
        assert_eq!(row["error"]["blame"], "problem", "{row}");
        assert!(row["error"]["reason"].as_str().unwrap().contains(words), "{row}");
    }
    assert_eq!(finished.code, Some(111));
}

//! What is said to hooks and by them: the schemas that describe it, and the values that are refused.

#![expect(clippy::disallowed_methods, reason = "the ban is for the crate; its tests read files")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use rollcage_api::{
    CheckerReply, CheckerRequest, DescribeReply, DescribeRequest, HookConfig, HookKind, RewardReply,
    ToolReply, ToolRequest, hook_line, hook_schema, read_hook_reply,
};
use rollcage_judge::{Blame, Checker, Problem, TestCase, Tests};
use rollcage_types::{LimitOverrides, ProblemId};
use serde_json::{Map, Value, json};

#[test]
fn the_schemas_are_those_in_the_documentation() {
    for kind in HookKind::ALL {
        let name = format!("hook-{kind}.v1.json");
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas").join(name);
        let generated = serde_json::to_string_pretty(&hook_schema(kind)).unwrap() + "\n";
        if std::env::var_os("ROLLCAGE_UPDATE_GOLDENS").is_some() {
            std::fs::write(&path, &generated).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap();
        assert!(written == generated, "run this test with ROLLCAGE_UPDATE_GOLDENS=1 and see the difference");
    }
}

#[test]
fn the_schemas_accept_what_is_written_and_read() {
    let case = TestCase { stdin: Arc::from(*b"\xff"), expected: Arc::from(*b"1\n") };
    let problem = Problem {
        id: ProblemId::new("p"),
        language: None,
        tests: Tests::Cases(vec![case.clone()]),
        limits: LimitOverrides::default(),
        checker: Checker::Hook,
        files: Vec::new(),
    };
    let meta = Map::from_iter([("level".to_owned(), json!(3))]);
    let request = CheckerRequest::new(7, &problem, 0, &case, b"2\n", &meta);
    let expected = json!({"v": 1, "kind": "checker", "id": 7, "problem": "p", "case": 0,
        "stdin": {"base64": "/w=="}, "expected": "1\n", "stdout": "2\n", "meta": {"level": 3}});
    assert_eq!(serde_json::from_slice::<Value>(&hook_line(&request)).unwrap(), expected);
    let call = ToolRequest::new(8, "search", &Map::new(), "t", "r-00000-000", 2);

    let checker = jsonschema::validator_for(&hook_schema(HookKind::Checker)).unwrap();
    let reward = jsonschema::validator_for(&hook_schema(HookKind::Reward)).unwrap();
    let tool = jsonschema::validator_for(&hook_schema(HookKind::Tool)).unwrap();
    for (schema, line, accepted) in [
        (&checker, json!(DescribeRequest::new(HookKind::Checker, 0)), true),
        (&checker, expected, true),
        (&checker, json!({"id": 7, "passed": true}), true),
        (&checker, json!({"id": 7, "passed": false, "score": 0.5, "message": "close"}), true),
        (&checker, json!({"id": 7, "passed": false, "score": 1.5}), false),
        (&checker, json!({"id": 7, "unscorable": "no number"}), true),
        (&checker, json!({"id": 7, "passed": true, "unscorable": "x"}), false),
        (&checker, json!({"id": 7, "passed": "yes"}), false),
        (&reward, json!({"id": 7, "reward": -3, "parts": {"style": 0.5}}), true),
        (&reward, json!({"id": 7, "reward": 1, "total": 1}), false),
        (&tool, json!({"id": 0, "tools": [{"name": "search"}]}), true),
        (&tool, json!(call), true),
        (&tool, json!({"id": 8, "output": "found"}), true),
        (&tool, json!({"id": 8, "error": "no such page"}), true),
        (&tool, json!({"id": 8, "output": 3}), false),
    ] {
        assert_eq!(schema.is_valid(&line), accepted, "{line}");
    }
}

#[test]
fn an_answer_is_a_value_or_an_error_and_never_a_number_by_accident() {
    let checked = |reply: Value| {
        let reply: CheckerReply = read_hook_reply(&serde_json::to_vec(&reply).unwrap(), 7).unwrap();
        reply.into_decision()
    };
    assert_eq!(checked(json!({"id": 7, "passed": true})).unwrap().unwrap().score.value(), 1.0);
    assert_eq!(checked(json!({"id": 7, "passed": true, "score": 0.5})).unwrap().unwrap().score.value(), 0.5);
    let refused = checked(json!({"id": 7, "unscorable": "no number"})).unwrap().unwrap_err();
    assert_eq!((refused.blame, refused.retryable), (Blame::Problem, false));
    assert!(checked(json!({"id": 7})).unwrap_err().contains("neither"));
    assert!(checked(json!({"id": 7, "passed": true, "score": -0.1})).unwrap_err().contains("-0.1"));
    let long = checked(json!({"id": 7, "passed": false, "message": "ä".repeat(5000)})).unwrap().unwrap();
    assert!(long.message.unwrap().len() < 2100);

    let rewarded = |reward, parts: &[(&str, f64)]| {
        let parts: BTreeMap<_, _> = parts.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        RewardReply { id: 7, reward, parts, unscorable: None }.into_reward()
    };
    let given = rewarded(Some(-2.5), &[("style", 0.5)]).unwrap().unwrap();
    assert_eq!((given.reward.value(), given.parts["style"].value()), (-2.5, 0.5));
    assert!(rewarded(Some(f64::NAN), &[]).unwrap_err().contains("NaN"));
    assert!(rewarded(Some(1.0), &[("style", f64::INFINITY)]).unwrap_err().contains("parts.style"));
    assert!(rewarded(None, &[]).unwrap_err().contains("neither"));
    let refused = RewardReply { id: 7, unscorable: Some("off topic".to_owned()), ..RewardReply::default() };
    assert_eq!(refused.into_reward().unwrap().unwrap_err(), "off topic");

    assert!(ToolReply::default().into_result().unwrap_err().contains("neither"));
    let no = ToolReply { error: Some("no".to_owned()), ..ToolReply::default() }.into_result().unwrap();
    assert_eq!((no.output.as_str(), no.error.as_deref()), ("", Some("no")));
}

#[test]
fn descriptions_name_tools_that_a_policy_can_call() {
    let flaw = |kind, tools: Value| {
        let reply: DescribeReply = serde_json::from_value(json!({"id": 0, "tools": tools})).unwrap();
        reply.flaw(kind, &["run_code"]).unwrap_or_default()
    };
    assert_eq!(flaw(HookKind::Checker, json!([])), "");
    assert_eq!(flaw(HookKind::Tool, json!([{"name": "search"}, {"name": "fetch-2"}])), "");
    for (kind, tools, words) in [
        (HookKind::Reward, json!([{"name": "search"}]), "no `tools`"),
        (HookKind::Tool, json!([]), "offers no"),
        (HookKind::Tool, json!([{"name": "run_code"}]), "another tool `run_code`"),
        (HookKind::Tool, json!([{"name": "a"}, {"name": "a"}]), "another tool `a`"),
        (HookKind::Tool, json!([{"name": "a b"}]), "not the name"),
        (HookKind::Tool, json!([{"name": ""}]), "not the name"),
    ] {
        let found = flaw(kind, tools.clone());
        assert!(found.contains(words), "{tools}: {found}");
    }
}

#[test]
fn a_hook_is_named_by_its_command_or_with_what_differs() {
    let read = |value: Value| serde_json::from_value::<HookConfig>(value);
    let plain = read(json!(["python3", "check.py"])).unwrap();
    assert_eq!(plain, HookConfig::new(vec!["python3".to_owned(), "check.py".to_owned()]));
    let full = json!({"command": ["./check"], "processes": 4, "deadline": "10s", "start": "1m"});
    let config = read(full.clone()).unwrap();
    assert_eq!(config.processes.unwrap().get(), 4);
    assert_eq!(read(serde_json::to_value(&config).unwrap()).unwrap(), config);
    for (value, words) in [
        (json!([]), "at least a program"),
        (json!({"command": [""]}), "at least a program"),
        (json!("python3 check.py"), "a command such as"),
        (json!({"command": ["x"], "proceses": 4}), "unknown field"),
        (json!({"command": ["x"], "processes": 0}), "nonzero"),
    ] {
        let error = read(value.clone()).unwrap_err().to_string();
        assert!(error.contains(words), "{value}: {error}");
    }
}

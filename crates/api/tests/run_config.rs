//! Run files: what they mean, how mistakes are answered, and the schema that describes them.

#![expect(clippy::disallowed_methods, reason = "the crate reads no files; a test compares it with one")]

use std::path::PathBuf;
use std::time::Duration;

use rollcage_api::{ActionsConfig, AnswerConfig, RunConfig, SessionConfig, run_config_schema};

const SMALLEST: &str = "tasks: {path: t.jsonl}\npolicy: {recorded: r.jsonl}\n";
const WHOLE: &str = r#"
tasks: {path: train.jsonl, format: problems, limit: 8}
environment:
  language: python
  session: none
  actions: tags
  answer: {tag: solution}
  code: step
  answers: 2
  feedback: verdict
  isolation: full
  limits: {cpu_time: 5s, memory: 512MiB}
policy:
  urls: ["http://gpu0:8000/v1"]
  model: M
  sampling: {temperature: 1.0, max_tokens: 1024, top_p: 0.9}
  api_key_env: KEY
  attempts: 3
  timeouts: {idle: 20s}
reward: {parts: {outcome: 1.0, format: 0.1}}
group: {size: 16}
budget: {turns: 6, tokens: 9000, context: 16000, wall: 2h, concurrency: 256}
seed: 7
output: {store: runs.db}
"#;

#[test]
fn every_key_is_read() {
    let config = RunConfig::parse("run.yaml", WHOLE).unwrap();
    assert_eq!(config.environment.session, SessionConfig::None);
    assert_eq!(config.environment.actions, ActionsConfig::Tags);
    assert_eq!(config.environment.answer, AnswerConfig::Tag("solution".to_owned()));
    assert_eq!(config.budget.wall.0, Duration::from_secs(7200));
    assert_eq!((config.group.size.get(), config.seed), (16, 7));
    assert_eq!(config.policy.sampling.max_tokens.get(), 1024);
    assert_eq!(config.output.store.as_deref(), Some("runs.db"));
}

#[test]
fn what_a_store_keeps_is_the_same_configuration() {
    for text in [SMALLEST, WHOLE] {
        let config = RunConfig::parse("run.yaml", text).unwrap();
        let stored = serde_json::to_value(&config).unwrap();
        assert_eq!(serde_json::from_value::<RunConfig>(stored).unwrap(), config);
    }
}

#[test]
fn mistakes_are_answered_with_their_place_and_what_was_meant() {
    for (text, problem, hint) in [
        (
            "tasks: {path: t}\npolicy: {recorded: r}\nbudjet: {turns: 3}\n",
            "run.yaml:3:1: unknown key `budjet`",
            "did you mean `budget`?",
        ),
        (
            "tasks: {path: t}\npolicy: {recorded: r}\nbudget: {turn: 3}\n",
            "run.yaml:3:10: unknown key `turn`",
            "did you mean `turns`?",
        ),
        (
            "tasks: {path: t}\npolicy: {recorded: r}\nenvironment: {session: alive}\n",
            "run.yaml:3:24: unknown value `alive`",
            "did you mean `live`?",
        ),
        ("tasks: {path: t}\n", "run.yaml:1:1: missing key `policy`", "a run has at least"),
        (
            "tasks: {path: t}\npolicy: {urls: [\"http://a/v1\"]}\n",
            "run.yaml: `policy` has `urls` and no `model`",
            "name one",
        ),
        (
            "tasks: {path: t}\npolicy: {}\n",
            "run.yaml: `policy` needs one of `urls` and `recorded`",
            "a run asks",
        ),
        (
            "tasks: {path: t}\npolicy: {recorded: r, urls: [\"http://a/v1\"]}\n",
            "run.yaml: `policy` needs one of",
            "a run asks",
        ),
        (
            "tasks: {path: t}\npolicy: {recorded: r}\nreward: {parts: {outcome: .nan}}\n",
            "run.yaml: `reward.parts.outcome` is not a finite number",
            "one such weight",
        ),
        (
            "tasks: {path: t}\npolicy: {recorded: r, sampling: {top_p: 0}}\n",
            "run.yaml: `policy.sampling.top_p`",
            "try 1.0",
        ),
    ] {
        let error = RunConfig::parse("run.yaml", text).unwrap_err();
        assert!(error.to_string().starts_with(problem), "{error}\n{problem}");
        let given = error.hint.unwrap_or_default();
        assert!(given.starts_with(hint), "{given}\n{hint}");
    }
    let zero = RunConfig::parse("run.yaml", "tasks: {path: t}\npolicy: {recorded: r}\ngroup: {size: 0}\n");
    let zero = zero.unwrap_err().to_string();
    assert!(zero.starts_with("run.yaml:3:9: ") && !zero.contains(" at line "), "{zero}");
}

#[test]
fn the_schema_is_the_one_in_the_documentation() {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schemas/run-config.v1.json"));
    let generated = serde_json::to_string_pretty(&run_config_schema()).unwrap() + "\n";
    if std::env::var_os("ROLLCAGE_UPDATE_GOLDENS").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(written == generated, "run this test with ROLLCAGE_UPDATE_GOLDENS=1 and look at the difference");
}

#[test]
fn the_schema_accepts_what_the_reader_accepts() {
    let validator = jsonschema::validator_for(&run_config_schema()).unwrap();
    for text in [SMALLEST, WHOLE] {
        let config = RunConfig::parse("run.yaml", text).unwrap();
        assert!(validator.is_valid(&serde_json::to_value(&config).unwrap()), "{text}");
    }
    assert!(!validator.is_valid(&serde_json::json!({"tasks": {"path": "t"}, "policy": {}, "budjet": {}})));
}

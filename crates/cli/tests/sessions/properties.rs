//! Random conversations: a fork answers as its trunk, and a session that was put aside as one that never was.

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use rollcage_session::live::{LiveOutcome, LiveSession, LiveSpec};
use rollcage_types::Termination;

use crate::{farm, open, run, text};

/// What anybody can see of an outcome.
fn seen(outcome: &LiveOutcome) -> (Termination, String, String) {
    let text = |captured| without_addresses(&text(captured));
    (outcome.termination, text(&outcome.stdout), text(&outcome.stderr))
}

/// Where in memory a function lies is another matter in another interpreter.
fn without_addresses(text: &str) -> String {
    let mut parts = text.split(" at 0x");
    let mut rest = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        rest.push_str(part.trim_start_matches(|letter: char| letter.is_ascii_hexdigit()));
    }
    rest
}

fn python() -> impl Strategy<Value = String> {
    let number = 0..20_i32;
    prop_oneof![
        ("[a-c]", number.clone()).prop_map(|(name, value)| format!("{name} = {value}\n{name}")),
        ("[a-c]", "[a-c]").prop_map(|(a, b)| format!("{a} = [{b}, {b}]\nlen({a})")),
        "[a-c]".prop_map(|name| format!("{name}.append(random.random()) or {name}")),
        ("[a-c]", number.clone()).prop_map(|(name, value)| format!("open('{name}', 'a').write('{value}')")),
        "[a-c]".prop_map(|name| format!("open('{name}').read()")),
        Just("sorted(os.listdir('.'))".to_owned()),
        "[a-c]".prop_map(|name| format!("def {name}(n): return n and {name}(n - 1) + n\n{name}(5)")),
        Just("1 / 0".to_owned()),
        ("[a-c]", number).prop_map(|(name, code)| format!("{name} = 'before'; sys.exit({code})")),
        Just("print(set('abcdef'), file=sys.stderr)".to_owned()),
        Just("random.sample(range(100), 5)".to_owned()),
    ]
}

fn bash() -> impl Strategy<Value = String> {
    prop_oneof![
        ("[a-c]", 0..20_u8).prop_map(|(name, value)| format!("{name}={value}; echo ${name}")),
        ("[a-c]", "[a-c]").prop_map(|(a, b)| format!("{a}() {{ echo in {a} ${b}; }}; {a}")),
        "[a-c]".prop_map(|name| format!("mkdir -p {name} && cd {name}; pwd")),
        ("[a-c]", 0..20_u8).prop_map(|(name, value)| format!("echo {value} >>{name}.txt; cat {name}.txt")),
        Just("cd /ws/work; find . | sort".to_owned()),
        (0..4_u8).prop_map(|code| format!("exit {code}")),
        Just("echo $RANDOM $a$b$c".to_owned()),
        Just("false".to_owned()),
        Just("(a=inner; echo $a); echo ${a-unset}".to_owned()),
        Just("nonsense 2>&1".to_owned()),
    ]
}

fn sql() -> impl Strategy<Value = String> {
    let table = "[ab]";
    prop_oneof![
        table.prop_map(|name| format!("create table if not exists {name} (x, y)")),
        (table, 0..20_i32).prop_map(|(name, x)| format!("insert into {name} values ({x}, 'text {x}')")),
        table.prop_map(|name| format!("select count(*) n, sum(x) s from {name}")),
        (table, 0..20_i32)
            .prop_map(|(name, x)| format!("delete from {name} where x < {x}; select * from {name}")),
        Just("begin".to_owned()),
        Just("commit".to_owned()),
        Just("rollback".to_owned()),
        Just("select nonsense".to_owned()),
    ]
}

/// Runs the same cells in the trunk and in a branch, or in a session before and after it was put aside and in one that never
/// was.
fn check(language: &str, seed: u32, first: &[String], then: &[String]) -> Result<(), TestCaseError> {
    let Some(farm) = farm() else { return Ok(()) };
    let spec = || LiveSpec { seed, forks: true, ..LiveSpec::default() };
    let start = |session: &LiveSession| {
        if language == "python" {
            run(session, "import os, random, sys");
        }
        first.iter().map(|cell| seen(&run(session, cell))).collect::<Vec<_>>()
    };
    let (session, never) = (open(farm, language, spec()), open(farm, language, spec()));
    prop_assert_eq!(start(&session), start(&never));
    let branch = session.fork(1).unwrap().sessions.remove(0);
    // One with a statement of BEGIN open is the same as any other.
    session.evict().unwrap();
    for cell in then {
        let expected = seen(&run(&never, cell));
        prop_assert_eq!(&seen(&run(&branch, cell)), &expected, "in a branch: {}", cell);
        prop_assert_eq!(&seen(&run(&session, cell)), &expected, "after it was put aside: {}", cell);
    }
    Ok(())
}

fn cells(cell: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(cell, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn python_forks_and_comes_back(seed in 0..100_u32, first in cells(python()), then in cells(python())) {
        check("python", seed, &first, &then)?;
    }

    #[test]
    fn bash_forks_and_comes_back(seed in 0..100_u32, first in cells(bash()), then in cells(bash())) {
        check("bash", seed, &first, &then)?;
    }

    #[test]
    fn sql_forks_and_comes_back(seed in 0..100_u32, first in cells(sql()), then in cells(sql())) {
        check("sqlite", seed, &first, &then)?;
    }
}

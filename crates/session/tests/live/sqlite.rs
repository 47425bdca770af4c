//! What an SQLite session does.

use std::time::Duration;

use rollcage_session::Ending;
use rollcage_session::live::{LiveSpec, LiveState};
use rollcage_types::{LimitKind, Limits, Termination};
use serde_json::json;

use crate::{Ground, TABLE, check, check_bounds, open, run, text};

pub(crate) fn all(ground: &Ground) {
    statements_share_a_connection(ground);
    rows_have_types_and_bounds(ground);
    failures_and_interrupts_leave_the_rest(ground);
}

fn statements_share_a_connection(ground: &Ground) {
    let session = open(&ground.roomy(), "sqlite", LiveSpec::default());
    for (source, stdout) in [
        ("create table t (a, b); insert into t values (1, 'x;y'), (2, null)", ""),
        ("select * from t", "a|b\n1|x;y\n2|\n"),
        ("begin; delete from t", ""),
        ("select count(*) n from t; rollback; select count(*) n from t;", "n\n0\nn\n2\n"),
        (
            "create trigger g after insert on t begin delete from t where a = 1; end; insert into t values (3, 4)",
            "",
        ),
        ("select a from t -- the end", "a\n2\n3\n"),
        ("", ""),
    ] {
        check(&session, source, stdout);
    }
    session.evict().unwrap();
    check(&session, "select a from t", "a\n2\n3\n");
}

fn rows_have_types_and_bounds(ground: &Ground) {
    let session = open(&ground.roomy(), "sqlite", LiveSpec::default());
    let outcome =
        run(&session, "select 1 i, 2.5 r, 'x' s, x'00ff' b, null n union all select 2, 3, 'y', x'', null");
    let fields = ["integer", "number", "string", "string", "any"];
    let names = ["i", "r", "s", "b", "n"];
    let table = outcome.displays[0].bundle.value(TABLE);
    let expected: Vec<_> =
        names.iter().zip(fields).map(|(name, kind)| json!({"name": name, "type": kind})).collect();
    assert_eq!(table["schema"]["fields"][0], expected[0]);
    assert_eq!(table["schema"]["fields"][3], expected[3]);
    assert_eq!(table["data"][0], json!([1, 2.5, "x", "00ff", null]));
    let many =
        "with recursive c(n) as (select 1 union all select n + 1 from c where n < 5000) select n from c";
    check_bounds(&session, many);
}

fn failures_and_interrupts_leave_the_rest(ground: &Ground) {
    let limits = Limits { cpu_time: Duration::from_millis(300), ..Limits::default() };
    let session = open(&ground.roomy(), "sqlite", LiveSpec { limits, ..LiveSpec::default() });
    let outcome = run(&session, "create table t (a); insert into t values (1); select nonsense");
    assert_eq!(outcome.ending, Some(Ending::Raised("OperationalError".to_owned())));
    assert_eq!(text(&outcome.stderr), "OperationalError: no such column: nonsense\n");
    let numbers = "with recursive c(n) as (select 1 union all select n + 1 from c";
    // While it computes, while rows are fetched, and between statements that are each over before it looks.
    let computes = format!("{numbers}) select sum(n) from c");
    let fetches = format!("{numbers}) select n from c");
    let short = |last: u32| format!("{numbers} where n < 500) select n from c where n > {last};");
    let between: String = (1000..9000).map(short).collect();
    for endless in [computes, fetches, between] {
        let outcome = run(&session, &endless);
        assert_eq!(outcome.termination, Termination::LimitExceeded(LimitKind::CpuTime), "{outcome:?}");
        let ended = (outcome.ending, session.state());
        assert_eq!(ended, (Some(Ending::Raised("Interrupted".to_owned())), LiveState::Ready));
        check(&session, "select a from t", "a\n1\n");
    }
    // No character of the language, and no reason to end.
    check(&session, "select a\0 from t; select '\0b' b", "a\n1\nb\nb\n");
}

//! What a DuckDB session does.

use std::time::Duration;

use rollcage_session::Ending;
use rollcage_session::live::{ForkWay, LiveSpec, LiveState};
use rollcage_types::{FileEntry, LimitKind, Limits, RelativePath, Termination};
use serde_json::json;

use crate::{Ground, check, check_bounds, is_installed, kinds_and_row, open, run, text};

pub(crate) fn all(ground: &Ground) {
    if !is_installed("duckdb") {
        println!("skipped: DuckDB sessions: no duckdb");
        return;
    }
    statements_share_a_connection(ground);
    rows_have_their_columns_types_and_bounds(ground);
    failures_and_interrupts_leave_the_rest(ground);
}

fn statements_share_a_connection(ground: &Ground) {
    let session = open(&ground.roomy(), "duckdb", LiveSpec::default());
    let path = RelativePath::new("in.csv").unwrap();
    session.put_file(FileEntry::new(path, b"n,word\n1,one\n2,two\n".to_vec())).unwrap();
    for (source, stdout) in [
        ("create table t as from 'in.csv'; insert into t values (3, null)", ""),
        ("from t", "n|word\n1|one\n2|two\n3|NULL\n"),
        ("insert into t values (4, 'x;y') returning n", "n\n4\n"),
        ("begin; delete from t", ""),
        ("select count(*) n from t; rollback; select count(*) n from t -- the end", "n\n0\nn\n4\n"),
        ("copy (select max(n) from t) to 'out.csv' (header false)", ""),
        ("", ""),
    ] {
        check(&session, source, stdout);
    }
    let written = session.get_file(&RelativePath::new("out.csv").unwrap()).unwrap();
    assert_eq!(&*written.content, b"4\n");
    let forked = session.fork(1).unwrap();
    assert!(matches!(forked.way, ForkWay::Replayed { .. }), "its library has a thread: {:?}", forked.way);
    run(&session, "delete from t");
    check(&forked.sessions[0], "select max(n) m from t", "m\n4\n");
    session.evict().unwrap();
    check(&session, "select count(*) n from t", "n\n0\n");
}

fn rows_have_their_columns_types_and_bounds(ground: &Ground) {
    let session = open(&ground.roomy(), "duckdb", LiveSpec::default());
    let outcome = run(
        &session,
        "select 1 i, 2.5 d, 'x' s, '\\x00\\xFF'::blob b, null::date n, 'nan'::double f, [1, 2] l, true t",
    );
    let (kinds, row) = kinds_and_row(&outcome);
    assert_eq!(kinds, ["integer", "number", "string", "string", "date", "number", "any", "boolean"]);
    assert_eq!(row, json!([1, "2.5", "x", "00ff", null, "nan", [1, 2], true]), "a decimal is exact");
    check_bounds(&session, "select range n from range(5000)");
    // One row may be too long by itself.
    check(&session, "select range(1000000) l", "l\n(1 more rows)\n");
}

fn failures_and_interrupts_leave_the_rest(ground: &Ground) {
    let limits = Limits { cpu_time: Duration::from_millis(300), ..Limits::default() };
    let session = open(&ground.roomy(), "duckdb", LiveSpec { limits, ..LiveSpec::default() });
    let outcome = run(&session, "create table t (a int); insert into t values (1); select nonsense");
    assert_eq!(outcome.ending, Some(Ending::Raised("BinderException".to_owned())));
    assert!(text(&outcome.stderr).contains("\"nonsense\""), "{outcome:?}");
    // While it computes, while rows are fetched, and between statements.
    let computes = "select sum(a.range * b.range) from range(10000000) a, range(10000000) b";
    let fetches = "select range from range(30000000)";
    for endless in [computes, fetches, &"select 1;".repeat(50_000)] {
        let outcome = run(&session, endless);
        assert_eq!(outcome.termination, Termination::LimitExceeded(LimitKind::CpuTime), "{outcome:?}");
        let ended = (outcome.ending, session.state());
        assert_eq!(ended, (Some(Ending::Raised("Interrupted".to_owned())), LiveState::Ready));
        check(&session, "select a from t", "a\n1\n");
    }
}

//! What a PostgreSQL session does, with a real server in its cage.

use std::time::Duration;

use rollcage_session::live::{CellLimits, ForkWay, LiveCell, LiveSpec, LiveState};
use rollcage_session::{CellEffect, Ending, LostReason};
use rollcage_types::{FileEntry, LimitKind, Limits, RelativePath, Termination};
use serde_json::json;

use crate::{Ground, check, check_bounds, is_installed, kinds_and_row, open, run, text};

pub(crate) fn all(ground: &Ground) {
    if !is_installed("psql") {
        println!("skipped: PostgreSQL sessions: no psql");
        return;
    }
    statements_share_a_connection(ground);
    rows_have_their_columns_types_and_bounds(ground);
    failures_and_interrupts_leave_the_rest(ground);
    who_loses_the_server_has_lost_the_session(ground);
}

fn statements_share_a_connection(ground: &Ground) {
    let session = open(&ground.roomy(), "postgresql", LiveSpec::default());
    let path = RelativePath::new("in.csv").unwrap();
    session.put_file(FileEntry::new(path, b"1,one\n2,two\n".to_vec())).unwrap();
    for (source, stdout) in [
        (
            "create table t (n int, word text); copy t from '/ws/work/in.csv' csv; insert into t values (3, null)",
            "",
        ),
        ("select * from t", "n|word\n1|one\n2|two\n3|\n"),
        ("insert into t values (4, 'x;y') returning n", "n\n4\n"),
        (
            "create function twice(n int) returns int language plpgsql as $body$ begin return 2 * n; end; $body$; \
             select twice(21) /* a /* nested; */ comment; */ as \"a;b\"; -- the end;",
            "a;b\n42\n",
        ),
        ("select e'it\\'s; one', 'it''s; two' as b, $q$;$q$ c", "?column?|b|c\nit's; one|it's; two|;\n"),
        ("begin; delete from t", ""),
        ("select count(*) n from t; rollback; select count(*) n from t", "n\n0\nn\n4\n"),
        ("copy (select n, word from t where n < 3) to stdout", "1\tone\n2\ttwo\n"),
        ("select from t where false", "\n"),
        ("", ""),
    ] {
        check(&session, source, stdout);
    }
    let forked = session.fork(1).unwrap();
    assert!(matches!(forked.way, ForkWay::Replayed { .. }), "a server is beside it: {:?}", forked.way);
    run(&session, "delete from t");
    check(&forked.sessions[0], "select max(n) m, twice(1) from t", "m|twice\n4|2\n");
    session.evict().unwrap();
    check(&session, "select count(*) n from t", "n\n0\n");
}

fn rows_have_their_columns_types_and_bounds(ground: &Ground) {
    let session = open(&ground.roomy(), "postgresql", LiveSpec::default());
    let outcome = run(
        &session,
        "select 1 i, 2.50 d, 'x' s, '\\x00ff'::bytea b, null::date n, 'nan'::float8 f, array[1, 2] l, true t, 0.5::real r",
    );
    let (kinds, row) = kinds_and_row(&outcome);
    let expected = ["integer", "number", "string", "string", "date", "number", "any", "boolean", "number"];
    assert_eq!(kinds, expected);
    assert_eq!(
        row,
        json!([1, "2.50", "x", "\\x00ff", null, "nan", "{1,2}", true, 0.5]),
        "a decimal is exact"
    );
    check_bounds(&session, "select n from generate_series(1, 5000) n");
}

fn failures_and_interrupts_leave_the_rest(ground: &Ground) {
    let session = open(&ground.roomy(), "postgresql", LiveSpec::default());
    let outcome =
        run(&session, "create table t (a int); insert into t values (1); select nonsense; delete from t");
    assert_eq!(outcome.ending, Some(Ending::Raised("42703".to_owned())), "its SQLSTATE");
    assert!(text(&outcome.stderr).starts_with("ERROR:  column \"nonsense\" does not exist"), "{outcome:?}");
    let outcome = run(&session, "do $$ begin raise notice 'said'; end $$");
    assert_eq!(text(&outcome.stderr), "NOTICE:  said\n");
    // The last has begun to give rows when it waits.
    for endless in [
        "select pg_sleep(1000)",
        "do $$ begin loop end loop; end $$",
        "select generate_series(1, 1000000000)",
        "copy (select repeat('x', 20000) from generate_series(1, 3) union all select pg_sleep(1000)::text) to stdout",
    ] {
        let limits = CellLimits { wall_time: Duration::from_secs(1), ..CellLimits::from(&Limits::default()) };
        let cell = LiveCell { limits: Some(limits), ..LiveCell::new(endless) };
        let outcome = session.execute(&cell, &mut |_| None).unwrap();
        assert_eq!(outcome.termination, Termination::LimitExceeded(LimitKind::WallTime), "{endless}");
        let ended = (outcome.ending, session.state());
        assert_eq!(ended, (Some(Ending::Raised("57014".to_owned())), LiveState::Ready), "{endless}");
    }
    check(&session, "select a from t", "a\n1\n");
}

fn who_loses_the_server_has_lost_the_session(ground: &Ground) {
    let session = open(&ground.roomy(), "postgresql", LiveSpec::default());
    run(&session, "create table t (a int); insert into t values (1)");
    for end in ["copy t from program 'kill -9 $PPID'", "select pg_terminate_backend(pg_backend_pid())"] {
        let outcome = run(&session, end);
        // What was begun is gone, and what comes next must not seem to be done.
        assert_eq!(outcome.effect, CellEffect::Lost(LostReason::InterpreterEnded), "{outcome:?}");
        assert!(!text(&outcome.stderr).is_empty(), "{outcome:?}");
        assert!(matches!(session.state(), LiveState::Poisoned(_)));
        session.restore().unwrap();
        check(&session, "select a from t", "a\n1\n");
    }
}

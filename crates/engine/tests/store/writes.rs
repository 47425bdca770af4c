//! Writing, repeating, contradicting and reading back.

use rollcage_api::{JudgementResult, RunStatus, TrajectoryRecord};
use rollcage_engine::store::{Store, StoreError, SyncMode, UnfinishedTrajectory};

use crate::records::{assert_sound, begin_run, fingerprint, finished, judgement, run, trajectory, turn};

fn scored(score: f64) -> JudgementResult {
    JudgementResult::Scored { verdict: "partially_correct".to_owned(), score }
}

fn unscorable(retryable: bool) -> JudgementResult {
    JudgementResult::Unscorable {
        blame: "infrastructure".to_owned(),
        reason: "no cgroup".to_owned(),
        retryable,
    }
}

#[track_caller]
fn assert_refused(result: Result<(), StoreError>, expected: &str) {
    assert_eq!(result.expect_err("it is refused").to_string(), expected);
}

#[tokio::test]
async fn a_run_comes_back_as_it_was_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runs.db");
    for sync in [SyncMode::Process, SyncMode::Full] {
        let store = Store::open(&path, sync).unwrap();
        let fingerprint_id = begin_run(&store).await;
        // Written in one order, read in another: by task and sample.
        store.begin_trajectory(&trajectory("b", 0)).await.unwrap();
        store.begin_trajectory(&trajectory("a", 1)).await.unwrap();
        store.begin_trajectory(&trajectory("a", 0)).await.unwrap();
        store.append_turn(&turn("a-0", 0, "x")).await.unwrap();
        store.append_turn(&turn("b-0", 0, "y")).await.unwrap();
        store.append_turn(&turn("b-0", 1, "z")).await.unwrap();
        store.finish_trajectory(&finished("a", 0)).await.unwrap();
        store.put_judgement(&judgement(&fingerprint_id, "p", 0, scored(0.5))).await.unwrap();

        let reader = store.reader().unwrap();
        assert_eq!(reader.fingerprint(&fingerprint_id).unwrap(), fingerprint());
        let all = [finished("a", 0), trajectory("a", 1), trajectory("b", 0)];
        assert_eq!(reader.trajectories("r").unwrap(), all);
        assert_eq!(reader.turns("b-0").unwrap(), [turn("b-0", 0, "y"), turn("b-0", 1, "z")]);
        assert_eq!(reader.judgements("r").unwrap(), [judgement(&fingerprint_id, "p", 0, scored(0.5))]);
        let state = reader.resume_state("r").unwrap();
        assert_eq!(state.finished, [finished("a", 0)]);
        let unfinished = |trajectory: TrajectoryRecord, turns| UnfinishedTrajectory { trajectory, turns };
        assert_eq!(
            state.unfinished,
            [
                unfinished(trajectory("a", 1), vec![]),
                unfinished(trajectory("b", 0), vec![turn("b-0", 0, "y"), turn("b-0", 1, "z")]),
            ]
        );
        assert_sound(&reader);
        // The second round opens the file again and repeats every write.
    }
}

#[tokio::test]
async fn repeating_a_write_changes_nothing_and_contradicting_one_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("runs.db"), SyncMode::Process).unwrap();
    let fingerprint_id = begin_run(&store).await;

    let mut other_run = run("r", &fingerprint_id);
    store.create_run(&other_run).await.unwrap();
    other_run.created_at = "2030-01-01T00:00:00.000Z".to_owned();
    assert_refused(store.create_run(&other_run).await, "run `r` is already stored with other contents");

    store.begin_trajectory(&trajectory("a", 0)).await.unwrap();
    store.begin_trajectory(&trajectory("a", 0)).await.unwrap();
    let renamed = TrajectoryRecord { id: "other".to_owned(), ..trajectory("a", 0) };
    let taken = "sample 0 of task `a` in run `r` is already stored with other contents";
    assert_refused(store.begin_trajectory(&renamed).await, taken);
    let moved = TrajectoryRecord { id: "a-0".to_owned(), ..trajectory("a", 5) };
    let taken = "sample 5 of task `a` in run `r` is already stored with other contents";
    assert_refused(store.begin_trajectory(&moved).await, taken);

    store.append_turn(&turn("a-0", 0, "x")).await.unwrap();
    store.append_turn(&turn("a-0", 0, "x")).await.unwrap();
    let changed = store.append_turn(&turn("a-0", 0, "changed")).await;
    assert_refused(changed, "turn 0 of trajectory `a-0` is already stored with other contents");
    let gap = store.append_turn(&turn("a-0", 2, "y")).await;
    assert_refused(gap, "turn 2 of trajectory `a-0` cannot follow 1 stored turns");

    let unlike = TrajectoryRecord { seed: 1, ..finished("a", 0) };
    let conflict = "trajectory `a-0` is already stored with other contents";
    assert_refused(store.finish_trajectory(&unlike).await, conflict);
    store.finish_trajectory(&finished("a", 0)).await.unwrap();
    store.finish_trajectory(&finished("a", 0)).await.unwrap();
    store.begin_trajectory(&trajectory("a", 0)).await.unwrap();
    store.append_turn(&turn("a-0", 0, "x")).await.unwrap();
    let better = TrajectoryRecord { reward: Some(1.0), ..finished("a", 0) };
    assert_refused(store.finish_trajectory(&better).await, conflict);
    let late = store.append_turn(&turn("a-0", 1, "late")).await;
    assert_refused(late, "trajectory `a-0` is finished and cannot get turn 1");

    let reader = store.reader().unwrap();
    assert_eq!(reader.trajectories("r").unwrap(), [finished("a", 0)]);
    assert_eq!(reader.turns("a-0").unwrap(), [turn("a-0", 0, "x")]);
    assert_sound(&reader);
}

#[tokio::test]
async fn only_a_retryable_judgement_gives_way() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("runs.db"), SyncMode::Process).unwrap();
    let fingerprint_id = begin_run(&store).await;
    let put =
        async |sample, result| store.put_judgement(&judgement(&fingerprint_id, "p", sample, result)).await;

    for result in [unscorable(true), unscorable(true), scored(1.0), scored(1.0)] {
        put(0, result).await.unwrap();
    }
    let conflict = "judgement of sample 0 of `p` in run `r` is already stored with other contents";
    assert_refused(put(0, scored(0.5)).await, conflict);
    assert_refused(put(0, unscorable(true)).await, conflict);
    put(1, unscorable(false)).await.unwrap();
    assert!(put(1, scored(1.0)).await.is_err());

    let stored = store.reader().unwrap().judgements("r").unwrap();
    let results: Vec<_> = stored.into_iter().map(|judgement| judgement.result).collect();
    assert_eq!(results, [scored(1.0), unscorable(false)]);
}

#[tokio::test]
async fn what_refers_to_nothing_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("runs.db"), SyncMode::Process).unwrap();
    let unknown = |what: &str| format!("{what} is not in the store");
    assert_refused(store.create_run(&run("r", "f")).await, &unknown("fingerprint `f`"));
    assert_refused(store.begin_trajectory(&trajectory("a", 0)).await, &unknown("run `r`"));
    assert_refused(store.append_turn(&turn("a-0", 0, "x")).await, &unknown("trajectory `a-0`"));
    assert_refused(store.finish_trajectory(&finished("a", 0)).await, &unknown("trajectory `a-0`"));
    assert_refused(store.put_judgement(&judgement("f", "p", 0, scored(1.0))).await, &unknown("run `r`"));
    assert_refused(store.finish_run("r", RunStatus::Finished).await, &unknown("run `r`"));
    begin_run(&store).await;
    assert_refused(
        store.put_judgement(&judgement("f", "p", 0, scored(1.0))).await,
        &unknown("fingerprint `f`"),
    );
    assert_sound(&store.reader().unwrap());
}

#[tokio::test]
async fn one_refusal_does_not_disturb_the_writes_it_shares_a_commit_with() {
    let directory = tempfile::tempdir().unwrap();
    let store =
        std::sync::Arc::new(Store::open(&directory.path().join("runs.db"), SyncMode::Process).unwrap());
    begin_run(&store).await;
    let mut workers = Vec::new();
    for sample in 0..600 {
        let store = std::sync::Arc::clone(&store);
        workers.push(tokio::spawn(async move {
            let begun = trajectory("a", sample);
            store.begin_trajectory(&begun).await.unwrap();
            store.append_turn(&turn(&begun.id, 0, "x")).await.unwrap();
            assert!(store.append_turn(&turn(&begun.id, 0, "other")).await.is_err());
            assert!(store.append_turn(&turn("nobody", 0, "x")).await.is_err());
            store.append_turn(&turn(&begun.id, 1, "y")).await.unwrap();
            store.finish_trajectory(&finished("a", sample)).await.unwrap();
        }));
    }
    for worker in workers {
        worker.await.unwrap();
    }
    let reader = store.reader().unwrap();
    let trajectories = reader.trajectories("r").unwrap();
    assert_eq!(trajectories, (0..600).map(|sample| finished("a", sample)).collect::<Vec<_>>());
    for trajectory in trajectories {
        let id = &trajectory.id;
        assert_eq!(reader.turns(id).unwrap(), [turn(id, 0, "x"), turn(id, 1, "y")]);
    }
    assert_sound(&reader);
}

#[tokio::test]
async fn a_run_whose_process_is_gone_is_interrupted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runs.db");
    let status = |store: &Store| store.reader().unwrap().run("r").unwrap().status;

    let store = Store::open(&path, SyncMode::Process).unwrap();
    begin_run(&store).await;
    assert_eq!(status(&store), RunStatus::Running);
    drop(store);

    let store = Store::open(&path, SyncMode::Process).unwrap();
    assert_eq!(status(&store), RunStatus::Interrupted);
    store.reopen_run("r").await.unwrap();
    assert_eq!(status(&store), RunStatus::Running);
    store.finish_run("r", RunStatus::Finished).await.unwrap();
    drop(store);

    let store = Store::open(&path, SyncMode::Process).unwrap();
    assert_eq!(status(&store), RunStatus::Finished);
}

#[tokio::test]
async fn a_run_is_found_by_a_prefix_that_fits_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("runs.db"), SyncMode::Process).unwrap();
    let fingerprint_id = store.put_fingerprint(&fingerprint()).await.unwrap();
    for id in ["0193a", "0193ab", "0194%", "0194_"] {
        store.create_run(&run(id, &fingerprint_id)).await.unwrap();
    }
    let reader = store.reader().unwrap();
    let ids: Vec<String> = reader.runs().unwrap().into_iter().map(|run| run.id).collect();
    assert_eq!(ids, ["0193a", "0193ab", "0194%", "0194_"]);
    for (prefix, expected) in
        [("0193ab", "0193ab"), ("0193a", "0193a"), ("0194_", "0194_"), ("0194%", "0194%")]
    {
        assert_eq!(reader.run(prefix).unwrap().id, expected);
    }
    for (prefix, expected) in [
        ("0193", "`0193` is the start of 2 runs: 0193a, 0193ab"),
        ("0195", "run `0195` is not in the store"),
        ("%", "run `%` is not in the store"),
        ("", "run `` is not in the store"),
    ] {
        assert_eq!(reader.run(prefix).unwrap_err().to_string(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_part_of_how_a_trajectory_ended() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("runs.db"), SyncMode::Process).unwrap();
    begin_run(&store).await;
    store.begin_trajectory(&trajectory("a", 0)).await.unwrap();
    let failed = TrajectoryRecord {
        stop_reason: Some("infrastructure".to_owned()),
        failure: Some("the launcher process is gone".to_owned()),
        reward: None,
        ..finished("a", 0)
    };
    store.finish_trajectory(&failed).await.unwrap();
    assert_eq!(store.reader().unwrap().trajectories("r").unwrap(), [failed]);
}

//! Exports hold what the store holds, and appear whole or not at all.

use std::fs::{self, File};
use std::path::Path;

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::{Row, RowAccessor as _};
use rollcage_api::{JudgementRecord, JudgementResult, TrajectoryRecord, TurnRecord};
use rollcage_engine::drive::{DatasetOptions, load_dataset};
use rollcage_engine::store::{
    ExportError, ExportFormat, ExportSummary, ExportTable, Store, StoreReader, SyncMode, export,
};
use serde::de::DeserializeOwned;

use crate::records::{begin_run, finished, judgement, trajectory, turn};

/// More rows than one group of a Parquet file holds.
const TRAJECTORIES: u32 = 5000;

async fn filled(path: &Path) -> StoreReader {
    let store = Store::open(path, SyncMode::Process).expect("it can be created");
    let fingerprint_id = begin_run(&store).await;
    store.begin_trajectory(&trajectory("a", 0)).await.expect("it is stored");
    for index in 0..3 {
        store.append_turn(&turn("a-0", index, &format!("é {index}"))).await.expect("it is stored");
    }
    store.finish_trajectory(&finished("a", 0)).await.expect("it is stored");
    store.begin_trajectory(&trajectory("b", 0)).await.expect("it is stored");
    let result = JudgementResult::Scored { verdict: "accepted".to_owned(), score: 1.0 };
    store.put_judgement(&judgement(&fingerprint_id, "p", 0, result)).await.expect("it is stored");
    let result = JudgementResult::Unscorable {
        blame: "problem".to_owned(),
        reason: "no tests".to_owned(),
        retryable: false,
    };
    store.put_judgement(&judgement(&fingerprint_id, "p", 1, result)).await.expect("it is stored");
    store.reader().expect("it is open")
}

fn lines<R: DeserializeOwned>(path: &Path) -> Vec<R> {
    let text = fs::read_to_string(path).expect("it was written");
    text.lines().map(|line| serde_json::from_str(line).expect("a line is a record")).collect()
}

fn rows(path: &Path) -> Vec<Row> {
    let reader = SerializedFileReader::new(File::open(path).expect("it was written")).expect("it is Parquet");
    let rows = reader.get_row_iter(None).expect("it has rows");
    rows.map(|row| row.expect("a row can be read")).collect()
}

fn record<R: DeserializeOwned>(row: &Row) -> R {
    let text = row.get_string(row.len() - 1).expect("the last column is the record");
    serde_json::from_str(text).expect("it is one")
}

#[tokio::test]
async fn both_formats_hold_every_record() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let reader = filled(&path("runs.db")).await;
    for (table, count) in
        [(ExportTable::Trajectories, 2), (ExportTable::Turns, 3), (ExportTable::Judgements, 2)]
    {
        for format in [ExportFormat::Jsonl, ExportFormat::Parquet] {
            let file = path(&format!("{table:?}.{format:?}"));
            let ExportSummary { rows, bytes } = export(&reader, "r", table, format, &file).unwrap();
            assert_eq!((rows, bytes), (count, fs::metadata(&file).unwrap().len()), "{table:?} {format:?}");
        }
    }
    let trajectories = reader.trajectories("r").unwrap();
    let turns = reader.turns("a-0").unwrap();
    let judgements = reader.judgements("r").unwrap();
    assert_eq!(lines::<TrajectoryRecord>(&path("Trajectories.Jsonl")), trajectories);
    assert_eq!(lines::<TurnRecord>(&path("Turns.Jsonl")), turns);
    assert_eq!(lines::<JudgementRecord>(&path("Judgements.Jsonl")), judgements);

    let from_parquet = rows(&path("Trajectories.Parquet"));
    assert_eq!(from_parquet.iter().map(record::<TrajectoryRecord>).collect::<Vec<_>>(), trajectories);
    // Columns: trajectory, run, task, group, sample, seed, language, status, stop reason, reward.
    assert_eq!(from_parquet[0].get_string(2).unwrap(), "a");
    assert_eq!(from_parquet[0].get_ulong(5).unwrap(), u64::MAX);
    assert_eq!(from_parquet[0].get_double(9).unwrap(), 0.1 + 0.2);
    assert!(from_parquet[1].get_double(9).is_err(), "a missing reward is null");
    let from_parquet = rows(&path("Turns.Parquet"));
    assert_eq!(from_parquet.iter().map(record::<TurnRecord>).collect::<Vec<_>>(), turns);
    assert_eq!(from_parquet[2].get_ulong(1).unwrap(), 2);
    assert_eq!(from_parquet[2].get_string(2).unwrap(), "é 2");
    let from_parquet = rows(&path("Judgements.Parquet"));
    assert_eq!(from_parquet.iter().map(record::<JudgementRecord>).collect::<Vec<_>>(), judgements);
    assert_eq!(from_parquet[1].get_string(7).unwrap(), "no tests");

    // What we export is a file of tasks like any other: columns, and what stands inside their text.
    let mapping = "id=turn_index,prompt=text,test_code=record,meta.text=record.completion.text";
    let items = load_dataset(&path("Turns.Parquet"), &by_columns(mapping)).unwrap().items;
    let read: Vec<_> = items
        .iter()
        .map(|item| (item.task.id.as_str(), item.task.messages[0].content.as_str(), &item.meta["text"]))
        .collect();
    let texts = ["é 0", "é 1", "é 2"].map(serde_json::Value::from);
    assert_eq!(read, [("0", "é 0", &texts[0]), ("1", "é 1", &texts[1]), ("2", "é 2", &texts[2])]);
}

fn by_columns(mapping: &str) -> DatasetOptions {
    DatasetOptions { columns: Some(mapping.parse().expect("it is a mapping")), ..DatasetOptions::default() }
}

#[tokio::test]
async fn a_table_of_several_row_groups_is_complete_and_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("runs.db"), SyncMode::Process).unwrap();
    begin_run(&store).await;
    for sample in 0..TRAJECTORIES {
        store.begin_trajectory(&trajectory("a", sample)).await.unwrap();
    }
    let file = directory.path().join("out.parquet");
    export(&store.reader().unwrap(), "r", ExportTable::Trajectories, ExportFormat::Parquet, &file).unwrap();
    let samples: Vec<u64> = rows(&file).iter().map(|row| row.get_ulong(4).unwrap()).collect();
    assert_eq!(samples, (0..u64::from(TRAJECTORIES)).collect::<Vec<_>>());
    let items = load_dataset(&file, &by_columns("prompt=task_id,test_code=record")).unwrap().items;
    assert_eq!(items.len(), samples.len());
    assert_eq!(items.last().unwrap().task.id.as_str(), format!("row-{TRAJECTORIES}"));
}

#[tokio::test]
async fn an_empty_table_is_a_valid_file() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("runs.db"), SyncMode::Process).unwrap();
    begin_run(&store).await;
    let file = directory.path().join("out.parquet");
    let reader = store.reader().unwrap();
    let summary = export(&reader, "r", ExportTable::Turns, ExportFormat::Parquet, &file).unwrap();
    assert_eq!((summary.rows, rows(&file).len()), (0, 0));
}

#[tokio::test]
async fn a_failed_export_leaves_the_old_file_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runs.db");
    drop(filled(&path).await);
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("turns.jsonl");
    fs::write(&file, "old").unwrap();
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute_batch("UPDATE turns SET record = '{}' WHERE turn_index = 2").unwrap();
    drop(raw);
    let reader = Store::open_read_only(&path).unwrap();
    for format in [ExportFormat::Jsonl, ExportFormat::Parquet] {
        let error = export(&reader, "r", ExportTable::Turns, format, &file).unwrap_err();
        assert!(matches!(error, ExportError::Store(_)), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1);
    }
    let nowhere = out.path().join("no/such/file");
    let error = export(&reader, "r", ExportTable::Turns, ExportFormat::Jsonl, &nowhere).unwrap_err();
    assert!(matches!(error, ExportError::Write { .. }), "{error}");
}

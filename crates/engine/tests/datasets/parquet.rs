//! Parquet as pyarrow and as our own export write it.

use std::fs;
use std::path::Path;
use std::process::Command;

use rollcage_api::DatasetItem;
use rollcage_engine::drive::{DatasetOptions, LoadedDataset, load_dataset};
use rollcage_judge::Tests;
use rollcage_rollout::Role;

use crate::harness::{by_columns, chain, fixture, judgeable};

fn cases(item: &DatasetItem) -> Vec<(&[u8], &[u8])> {
    let Tests::Cases(cases) = &item.task.problem.tests else { panic!("{} has no cases", item.task.id) };
    cases.iter().map(|case| (&*case.stdin, &*case.expected)).collect()
}

fn test_code(item: &DatasetItem) -> &str {
    let Tests::Code { test_code, .. } = &item.task.problem.tests else { panic!("{}", item.task.id) };
    test_code
}

#[test]
fn verl_rows_are_tasks_whatever_compresses_them() {
    for codec in ["snappy", "zstd"] {
        let LoadedDataset { items, refused, hash: _ } = judgeable(&fixture(codec)).unwrap();
        let ids: Vec<&str> = items.iter().map(|item| item.task.id.as_str()).collect();
        assert_eq!(ids, ["codecontests/train/0", "codecontests/train/1", "codecontests/train/2"]);
        let messages = &items[0].task.messages;
        assert_eq!(
            (messages.len(), messages[0].role, messages[1].content.as_str()),
            (2, Role::System, "Task 0.")
        );
        assert_eq!(cases(&items[0]), [(&b"1 2\n"[..], &b"3\n"[..]), (b"3 4\n", b"7\n")]);
        assert!(test_code(&items[1]).contains("_rollcage_calls(\"add\", "));
        assert_eq!(test_code(&items[2]), "assert add([], 1) == [1]\n");
        let refused: Vec<String> = refused.iter().map(ToString::to_string).collect();
        assert_eq!(
            refused,
            [
                "row 4 (`codecontests/train/3`): its ground truth: it is not an object with `inputs` and `outputs`",
                "row 5 (`codecontests/train/4`): `reward_model.style` is `model`, not `rule`",
            ]
        );
    }
}

#[test]
fn columns_reach_into_structs_lists_and_text() {
    let mapping = "id=extra_info.index,messages=prompt,cases.stdin=reward_model.ground_truth.inputs,\
                   cases.expected=reward_model.ground_truth.outputs,meta.lengths=extra_info.lengths";
    let error = chain(&by_columns(&fixture("snappy"), mapping).unwrap_err());
    assert!(
        error.ends_with(
            "row 4, `cases.expected`: `reward_model.ground_truth` is text and not JSON, so it has no `outputs` \
             (column `reward_model.ground_truth.outputs`)"
        ),
        "{error}"
    );
    let options = DatasetOptions {
        columns: Some(mapping.parse().unwrap()),
        limit: std::num::NonZeroU32::new(1),
        ..DatasetOptions::default()
    };
    let item = load_dataset(&fixture("zstd"), &options).unwrap().items.remove(0);
    assert_eq!(item.task.id.as_str(), "0");
    assert_eq!(cases(&item), [(&b"1 2\n"[..], &b"3\n"[..]), (b"3 4\n", b"7\n")]);
    // Not-a-number is how a data frame keeps what is missing.
    assert_eq!(item.meta["lengths"], serde_json::json!([1.5, null]));
}

#[test]
fn missing_columns_and_wrong_types_are_named() {
    for (mapping, expected, hint) in [
        (
            "prompt=promt,test_code=ability",
            "row 1, `prompt`: there is no such column; there are `data_source`, `prompt`, `ability`, `reward_model`, \
             `extra_info` (column `promt`)",
            Some("did you mean `prompt`?"),
        ),
        (
            "prompt=extra_info.splt,test_code=ability",
            "row 1, `prompt`: `extra_info` has no `splt`; it has `split`, `index`, `answer`, `lengths` \
             (column `extra_info.splt`)",
            Some("did you mean `split`?"),
        ),
        (
            "prompt=prompt,test_code=ability",
            "row 1, `prompt`: invalid type: sequence, expected a string (column `prompt`)",
            None,
        ),
        (
            "prompt=ability,cases.expected=ability",
            "row 1, `cases.expected`: expected a list, or JSON text of one (column `ability`)",
            None,
        ),
        (
            "prompt=ability,test_code=ability,limits.cpu_time=extra_info.index",
            "row 1, `limits.cpu_time`: ",
            None,
        ),
    ] {
        let error = by_columns(&fixture("snappy"), mapping).unwrap_err();
        let text = chain(&error);
        assert!(text.contains(expected), "{text}");
        assert_eq!(error.hint().as_deref(), hint, "{text}");
    }
}

/// Where `pip install --target` puts what only tests need.
fn python() -> Option<Command> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/pyarrow");
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", &target);
    let mut probe = Command::new("python3");
    match probe.env("PYTHONPATH", &target).args(["-c", "import pyarrow.parquet"]).output() {
        Ok(output) if output.status.success() => Some(command),
        Ok(_) | Err(_) => {
            eprintln!("skipped: pyarrow (python3 -m pip install --target target/pyarrow pyarrow)");
            None
        }
    }
}

const TYPES: &str = r#"
import datetime, decimal, sys
import pyarrow as pa, pyarrow.parquet as pq
rows = [
    {
        "key": index, "question": "é" * index, "small": 7, "wide": 2**64 - 1, "half": 0.5, "day": datetime.date(2024, 1, 2),
        "at": datetime.datetime(2024, 1, 2), "raw": b"\xff\x00", "flag": True, "tags": [], "cost": decimal.Decimal("1.5"),
        "tests": [{"in": str(index), "out": [["a", "b"]]}], "map": [("x", 1), ("y", None)], "nothing": None,
    }
    for index in range(3)
]
fields = [
    ("key", pa.int64()), ("question", pa.large_string()), ("small", pa.int8()), ("wide", pa.uint64()),
    ("half", pa.float16()), ("day", pa.date32()), ("at", pa.timestamp("ns")), ("raw", pa.binary()), ("flag", pa.bool_()),
    ("tags", pa.list_(pa.string())), ("cost", pa.decimal128(5, 2)),
    ("tests", pa.list_(pa.struct([("in", pa.string()), ("out", pa.list_(pa.list_(pa.string())))]))),
    ("map", pa.map_(pa.string(), pa.int32())), ("nothing", pa.null()),
]
table = pa.Table.from_pylist(rows, schema=pa.schema(fields))
for name, options in {
    "v1": {"version": "1.0"}, "v2": {"data_page_version": "2.0"}, "plain": {"use_dictionary": False},
    "none": {"compression": "none"}, "dictionary": {"row_group_size": 1},
}.items():
    pq.write_table(table, f"{sys.argv[1]}/{name}.parquet", **options)
"#;

#[test]
fn what_pyarrow_writes_is_read() {
    let Some(mut python) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let output = python.args(["-c", TYPES]).arg(directory.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for name in ["v1", "v2", "plain", "none", "dictionary"] {
        let path = directory.path().join(format!("{name}.parquet"));
        let mapping = "id=key,prompt=question,cases.stdin=tests.in,cases.expected=tests.out.0,canonical_solution=nothing,\
                       meta.small=small,meta.wide=wide,meta.half=half,meta.day=day,meta.raw=raw,meta.flag=flag,\
                       meta.tags=tags,meta.map=map,meta.none=absent?";
        let items =
            by_columns(&path, mapping).unwrap_or_else(|error| panic!("{name}: {}", chain(&error))).items;
        assert_eq!(items.len(), 3, "{name}");
        assert_eq!((items[2].task.id.as_str(), items[2].task.messages[0].content.as_str()), ("2", "éé"));
        assert_eq!(cases(&items[2]), [(&b"2"[..], &b"a\nb"[..])]);
        assert_eq!(
            serde_json::Value::Object(items[0].meta.clone()),
            serde_json::json!({
                "small": 7, "wide": u64::MAX, "half": 0.5, "day": 19724, "raw": {"base64": "/wA="}, "flag": true,
                "tags": [], "map": {"x": 1, "y": null},
            }),
            "{name}"
        );
        let error = chain(&by_columns(&path, "prompt=question,test_code=cost").unwrap_err());
        assert!(error.ends_with("column `cost` holds decimals, which is not read"), "{error}");
    }
}

#[test]
fn native_rows_come_back_from_parquet() {
    let Some(mut python) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let rows = concat!(
        r#"{"id":"a","prompt":"p","language":"lua","cases":[{"stdin":"1","expected":"2"},{"stdin":"","expected":"3"}]}"#,
        "\n",
        r#"{"id":"b","prompt":"q","language":"c","cases":[{"stdin":"é","expected":"\n"}]}"#,
        "\n"
    );
    let (json, parquet) = (directory.path().join("rows.jsonl"), directory.path().join("rows.parquet"));
    fs::write(&json, rows).unwrap();
    let script = "import sys, pyarrow.json as pj, pyarrow.parquet as pq; pq.write_table(pj.read_json(sys.argv[1]), sys.argv[2])";
    assert!(python.args(["-c", script]).args([&json, &parquet]).status().unwrap().success());
    let read = |path: &Path| -> Vec<_> {
        let items = load_dataset(path, &DatasetOptions::default()).unwrap().items;
        items.into_iter().map(|item| (item.task.messages, item.task.problem)).collect()
    };
    assert_eq!(read(&parquet), read(&json));
}

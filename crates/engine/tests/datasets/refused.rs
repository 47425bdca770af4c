//! Rows that no program can be judged by.

use std::fs;

use rollcage_engine::drive::{DatasetOptions, load_dataset};

use crate::harness::{chain, fixture, judgeable};

#[test]
fn they_refuse_the_file_by_name_unless_left_out() {
    let error = load_dataset(&fixture("zstd"), &DatasetOptions::default()).unwrap_err();
    let text = chain(&error);
    assert!(text.starts_with("2 of 5 rows of `"), "{text}");
    assert!(text.contains("cannot be judged: row 4 (`codecontests/train/3`): its ground truth"), "{text}");
    assert!(error.hint().unwrap().contains("--skip-unjudgeable"));
    assert_eq!(judgeable(&fixture("zstd")).unwrap().items.len(), 3);
}

#[test]
fn nothing_is_not_a_data_set() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("apps.jsonl");
    let row =
        r#"{"id":1,"question":"q","input_output":"{\"inputs\":[[1]],\"outputs\":[1],\"fn_name\":\"f\"}"}"#;
    fs::write(&path, row).unwrap();
    let error = judgeable(&path).unwrap_err();
    assert!(chain(&error).contains("1 of 1 rows"), "{error}");
    assert!(
        chain(&error).ends_with("it asks for the function `f`, not for a program that reads standard input")
    );
    assert_eq!(error.hint(), None);
}

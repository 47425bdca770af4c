//! A large Parquet file is not held in memory. A process of its own, because its peak is measured.

#![expect(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it should be")]

use std::fs::{self, File};
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::ByteArrayType;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use rollcage_engine::drive::{DatasetOptions, load_dataset};

const GROUPS: usize = 20;
const ROWS_OF_GROUP: usize = 500;
/// Of the column that nobody asks for: 300 MB in all, and 15 MB in a group.
const IMAGE_BYTES: usize = 30_000;
/// Of the column whose start is asked for as a task's id, and which no task keeps: 100 MB in all.
const TEXT_BYTES: usize = 10_000;
/// A group's text, its pages and the tasks; a tenth of the file.
const GROWTH_KIB_MAX: u64 = 40_000;

#[test]
fn ten_thousand_rows_are_read_in_the_memory_of_a_few() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("large.parquet");
    write(&path);
    assert!(fs::metadata(&path).unwrap().len() > (GROUPS * ROWS_OF_GROUP * IMAGE_BYTES) as u64);
    let before = peak_kib();
    let mapping = "id=row.id,prompt=row.question,test_code=row.question".parse().unwrap();
    let options = DatasetOptions { columns: Some(mapping), ..DatasetOptions::default() };
    let items = load_dataset(&path, &options).unwrap().items;
    assert_eq!(items.len(), GROUPS * ROWS_OF_GROUP);
    assert_eq!(items.last().unwrap().task.id.as_str(), "9999");
    let growth = peak_kib() - before;
    assert!(
        growth < GROWTH_KIB_MAX,
        "{growth} KiB for a file of {} bytes",
        fs::metadata(&path).unwrap().len()
    );
}

fn write(path: &std::path::Path) {
    let schema = "message rows { REQUIRED BYTE_ARRAY row (UTF8); REQUIRED BYTE_ARRAY image; }";
    let properties = WriterProperties::builder()
        .set_compression(Compression::UNCOMPRESSED)
        .set_dictionary_enabled(false)
        .build();
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut file =
        SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::new(properties)).unwrap();
    for group in 0..GROUPS {
        let mut writer = file.next_row_group().unwrap();
        let rows = group * ROWS_OF_GROUP..(group + 1) * ROWS_OF_GROUP;
        let text = |row: usize| {
            serde_json::json!({"id": row, "question": "q", "unused": "x".repeat(TEXT_BYTES)}).to_string()
        };
        let columns: [Vec<_>; 2] = [
            rows.clone().map(|row| text(row).into_bytes().into()).collect(),
            rows.map(|_row| vec![0_u8; IMAGE_BYTES].into()).collect(),
        ];
        for values in columns {
            let mut column = writer.next_column().unwrap().unwrap();
            column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
            column.close().unwrap();
        }
        writer.close().unwrap();
    }
    file.close().unwrap();
}

/// The most memory this process ever had resident.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

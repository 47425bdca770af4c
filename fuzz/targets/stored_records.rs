//! Stored records: what is read comes back the same when it is written, and so does the turn made of it.
#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use rollcage_api::{
    FingerprintRecord, JudgementRecord, Record, RecordError, RunRecord, TrajectoryRecord, TurnRecord,
    decode_record, encode_record,
};

fuzz_target!(|text: &str| {
    check::<RunRecord>(text);
    check::<FingerprintRecord>(text);
    check::<TrajectoryRecord>(text);
    check::<JudgementRecord>(text);
    if let Some(record) = check::<TurnRecord>(text)
        && let Ok(turn) = record.to_turn()
    {
        let stored = TurnRecord::new(&record.trajectory_id, &turn, &record.timings);
        let stored = decode_record::<TurnRecord>(&encode_record(&stored).unwrap()).unwrap();
        assert_eq!(stored.to_turn().as_ref(), Ok(&turn));
    }
});

fn check<R: Record + Debug>(text: &str) -> Option<R> {
    let record = match decode_record::<R>(text) {
        Ok(record) => record,
        Err(RecordError::TooLarge { bytes, bytes_max, .. }) => {
            assert!(bytes > bytes_max);
            return None;
        }
        Err(_) => return None,
    };
    let written = encode_record(&record).unwrap();
    assert_eq!(decode_record::<R>(&written).unwrap(), record);
    Some(record)
}

//! What a compiler made of a request, as a file: a checksum and what it covers.

use std::sync::Arc;
use std::time::Duration;

use rollcage_types::{
    ByteSize, Captured, Enforcement, ExecOutcome, FileEntry, NetworkLog, RelativePath, Start, Termination,
    Usage,
};
use serde::{Deserialize, Serialize};

/// Changes whenever older files can no longer be read; such files are misses.
const MAGIC: &[u8; 8] = b"rcc-0001";

#[derive(Serialize, Deserialize)]
struct Record {
    exit_code: u8,
    stdout: Stream,
    stderr: Stream,
    cpu_time: Duration,
    wall_time: Duration,
    memory_bytes: u64,
    processes: u32,
    output_bytes: u64,
    disk_bytes: u64,
    files: Vec<Entry>,
    files_omitted: u64,
}

#[derive(Serialize, Deserialize)]
struct Stream {
    head: Vec<u8>,
    tail: Vec<u8>,
    bytes_total: u64,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    path: String,
    content: Vec<u8>,
    executable: bool,
}

/// The bytes of a file that holds `outcome`; `None` for one that would not come out the same again, and for one that cannot
/// be written down.
pub(super) fn encode(outcome: &ExecOutcome) -> Option<Vec<u8>> {
    let Termination::Exited { code: exit_code } = outcome.termination else { return None };
    let stream = |captured: &Captured| Stream {
        head: captured.head.clone(),
        tail: captured.tail.clone(),
        bytes_total: captured.bytes_total,
    };
    let entry = |file: &FileEntry| Entry {
        path: file.path.to_string(),
        content: file.content.to_vec(),
        executable: file.executable,
    };
    let record = Record {
        exit_code,
        stdout: stream(&outcome.stdout),
        stderr: stream(&outcome.stderr),
        cpu_time: outcome.usage.cpu_time,
        wall_time: outcome.usage.wall_time,
        memory_bytes: outcome.usage.memory.as_u64(),
        processes: outcome.usage.processes,
        output_bytes: outcome.usage.output.as_u64(),
        disk_bytes: outcome.usage.disk.as_u64(),
        files: outcome.files.iter().map(entry).collect(),
        files_omitted: outcome.files_omitted,
    };
    let body = postcard::to_stdvec(&record).ok()?;
    Some([MAGIC.as_slice(), blake3::hash(&body).as_bytes(), &body].concat())
}

/// The outcome in a file; `None` if it is not what was written, whatever the reason. It is as confined as `enforcement` says.
pub(super) fn decode(bytes: &[u8], enforcement: &Arc<Enforcement>) -> Option<ExecOutcome> {
    let (magic, rest) = bytes.split_first_chunk::<8>()?;
    let (sum, body) = rest.split_first_chunk::<32>()?;
    if magic != MAGIC || blake3::hash(body) != *sum {
        return None;
    }
    let record: Record = postcard::from_bytes(body).ok()?;
    let captured =
        |stream: Stream| Captured { head: stream.head, tail: stream.tail, bytes_total: stream.bytes_total };
    let file = |entry: Entry| {
        let path = RelativePath::new(&entry.path).ok()?;
        Some(FileEntry { path, content: entry.content.into(), executable: entry.executable })
    };
    Some(ExecOutcome {
        termination: Termination::Exited { code: record.exit_code },
        start: Start::Cold,
        stdout: captured(record.stdout),
        stderr: captured(record.stderr),
        usage: Usage {
            cpu_time: record.cpu_time,
            wall_time: record.wall_time,
            memory: ByteSize::bytes(record.memory_bytes),
            processes: record.processes,
            output: ByteSize::bytes(record.output_bytes),
            disk: ByteSize::bytes(record.disk_bytes),
        },
        network: NetworkLog::default(),
        enforcement: Arc::clone(enforcement),
        files: record.files.into_iter().map(file).collect::<Option<_>>()?,
        files_omitted: record.files_omitted,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use rollcage_types::{IsolationLevel, LimitKind};

    use super::*;

    pub(in super::super) fn outcome(termination: Termination) -> ExecOutcome {
        ExecOutcome {
            termination,
            start: Start::Cold,
            stdout: Captured::whole("out"),
            stderr: Captured { head: b"he".to_vec(), tail: b"ta".to_vec(), bytes_total: 9 },
            usage: Usage { cpu_time: Duration::from_micros(5), processes: 3, ..Usage::default() },
            network: NetworkLog::default(),
            enforcement: Arc::new(Enforcement::nothing(IsolationLevel::Full)),
            files: vec![FileEntry {
                path: RelativePath::new("a/program").unwrap(),
                content: Arc::from([0, 1, 2].as_slice()),
                executable: true,
            }],
            files_omitted: 1,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let written = outcome(Termination::Exited { code: 1 });
        let read = decode(&encode(&written).unwrap(), &written.enforcement).unwrap();
        assert_eq!(format!("{read:?}"), format!("{written:?}"));
    }

    #[test]
    fn what_a_limit_ended_is_not_written() {
        for ending in [
            Termination::Signaled { signal: 9 },
            Termination::LimitExceeded(LimitKind::Memory),
            Termination::Cancelled,
        ] {
            assert!(encode(&outcome(ending)).is_none());
        }
    }

    #[test]
    fn no_change_goes_unnoticed() {
        let written = outcome(Termination::Exited { code: 0 });
        let bytes = encode(&written).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(decode(&changed, &written.enforcement).is_none(), "byte {at}");
            assert!(decode(&bytes[..at], &written.enforcement).is_none(), "length {at}");
        }
        assert!(decode(&[bytes, vec![0]].concat(), &written.enforcement).is_none());
    }
}

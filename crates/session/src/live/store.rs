//! Sessions that are put aside, each in a file: a line of JSON that says what follows, then the bytes of it.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rollcage_types::{ByteSize, FileEntry, RelativePath};
use serde::{Deserialize, Serialize};

use crate::live::log::{Entry, EntryId, Log, LoggedCell, Recorded};
use crate::live::outcome::CellLimits;
use crate::report::Ending;

/// Of the form of these files.
const VERSION: u32 = 1;

/// What of a session is not in memory while it is put aside.
#[derive(Clone, Debug)]
pub(super) struct Aside {
    pub(super) log: Log,
    /// The workspace as it was.
    pub(super) files: Vec<FileEntry>,
}

/// Where a session lies. Removed with this.
#[derive(Debug)]
pub(super) struct Stored(PathBuf);

#[derive(Serialize, Deserialize)]
struct Head {
    version: u32,
    entries: Vec<EntryHead>,
    files: Vec<FileHead>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum EntryHead {
    Cell(CellHead),
    Put(EntryId, FileHead),
}

#[derive(Serialize, Deserialize)]
struct CellHead {
    id: EntryId,
    number: u32,
    source: Arc<str>,
    stdin: usize,
    limits: Option<LimitsHead>,
    answers: Vec<Option<Vec<u8>>>,
    ending: Option<String>,
    digest: [u8; 32],
    skipped: bool,
}

#[derive(Serialize, Deserialize)]
struct LimitsHead {
    cpu_time: Duration,
    wall_time: Duration,
    idle_time: Option<Duration>,
    output: u64,
}

impl LimitsHead {
    fn of(limits: &CellLimits) -> Self {
        let CellLimits { cpu_time, wall_time, idle_time, output } = *limits;
        Self { cpu_time, wall_time, idle_time, output: output.as_u64() }
    }

    fn read(self) -> CellLimits {
        let Self { cpu_time, wall_time, idle_time, output } = self;
        CellLimits { cpu_time, wall_time, idle_time, output: ByteSize::bytes(output) }
    }
}

#[derive(Serialize, Deserialize)]
struct FileHead {
    path: String,
    bytes: usize,
    executable: bool,
}

impl FileHead {
    fn of(file: &FileEntry) -> Self {
        let (path, bytes) = (file.path.as_str().to_owned(), file.content.len());
        Self { path, bytes, executable: file.executable }
    }

    fn read(self, from: &mut impl std::io::Read) -> std::io::Result<FileEntry> {
        let path = RelativePath::new(&self.path).map_err(std::io::Error::other)?;
        let content = read_bytes(from, self.bytes)?;
        Ok(FileEntry { path, content, executable: self.executable })
    }
}

fn read_bytes(from: &mut impl std::io::Read, count: usize) -> std::io::Result<Arc<[u8]>> {
    let mut bytes = vec![0; count];
    from.read_exact(&mut bytes)?;
    Ok(bytes.into())
}

impl Stored {
    /// Writes what is put aside.
    pub(super) fn write(path: PathBuf, aside: &Aside) -> std::io::Result<Self> {
        let entry = |entry: &Entry| match entry {
            Entry::Put(id, file) => EntryHead::Put(*id, FileHead::of(file)),
            Entry::Cell(cell) => EntryHead::Cell(CellHead {
                id: cell.id,
                number: cell.number,
                source: Arc::clone(&cell.source),
                stdin: cell.stdin.len(),
                limits: cell.limits.as_ref().map(LimitsHead::of),
                answers: cell.answers.clone(),
                ending: cell.recorded.ending.as_ref().map(Ending::words),
                digest: cell.recorded.digest,
                skipped: cell.recorded.skipped,
            }),
        };
        let head = Head {
            version: VERSION,
            entries: aside.log.iter().map(entry).collect(),
            files: aside.files.iter().map(FileHead::of).collect(),
        };
        // Taken to be there only when all of it is.
        let stored = Self(path);
        let mut out = BufWriter::new(File::create(&stored.0)?);
        serde_json::to_writer(&mut out, &head)?;
        out.write_all(b"\n")?;
        for entry in aside.log.iter() {
            out.write_all(match entry {
                Entry::Put(_, file) => &file.content,
                Entry::Cell(cell) => &cell.stdin,
            })?;
        }
        for file in &aside.files {
            out.write_all(&file.content)?;
        }
        out.into_inner()?;
        Ok(stored)
    }

    /// Reads it back.
    pub(super) fn read(&self) -> std::io::Result<Aside> {
        let mut from = BufReader::new(File::open(&self.0)?);
        let mut line = Vec::new();
        from.read_until(b'\n', &mut line)?;
        let head: Head = serde_json::from_slice(&line)?;
        if head.version != VERSION {
            return Err(std::io::Error::other(format!("it is of version {}, not {VERSION}", head.version)));
        }
        let mut log = Log::default();
        for entry in head.entries {
            log.push(match entry {
                EntryHead::Put(id, file) => Entry::Put(id, file.read(&mut from)?),
                EntryHead::Cell(cell) => Entry::Cell(LoggedCell {
                    id: cell.id,
                    number: cell.number,
                    source: cell.source,
                    stdin: read_bytes(&mut from, cell.stdin)?,
                    limits: cell.limits.map(LimitsHead::read),
                    answers: cell.answers,
                    recorded: Recorded {
                        ending: cell.ending.as_deref().and_then(Ending::parse),
                        digest: cell.digest,
                        skipped: cell.skipped,
                    },
                }),
            });
        }
        let files =
            head.files.into_iter().map(|file| file.read(&mut from)).collect::<std::io::Result<_>>()?;
        Ok(Aside { log, files })
    }

    /// Where.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(%error, path = %self.path().display(), "what was put aside is left behind");
        }
    }
}

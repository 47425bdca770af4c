//! What was made once for a language's compilers, on disk: in a directory that cages of every process see, for reading only.
//!
//! A language's files lie in `NAME-KEY`, where the key stands for the recipe and the toolchain, and `NAME` links to the one
//! that is current. The link is replaced in one step, so whoever looks finds all of one or all of the other.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rollcage_language::{Language, Prepare};
use rollcage_sandbox::{Cancel, Host, PREPARED_PATH, SandboxError};
use rollcage_types::{Collect, ExecRequest, FileEntry, LimitOverrides, Limits};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::toolchain::ToolchainFiles;

/// A change of the toolchain is noticed within this time.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// How often it is tried whether another process has made them.
const LOCK_INTERVAL: Duration = Duration::from_millis(50);
/// Hexadecimal digits of a key in a directory's name.
const KEY_DIGITS: usize = 32;

/// Why a language's files could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The cage could not run the command.
    #[error("the command could not be run")]
    Sandbox(#[source] SandboxError),
    /// The command failed.
    #[error("`{command}` ended with {termination}: {said}")]
    Failed {
        /// The recipe's.
        command: String,
        /// How it ended.
        termination: String,
        /// The end of its standard error.
        said: String,
    },
    /// It left more than is read back, or something that is no file.
    #[error("`{command}` left {count} entries that cannot be kept")]
    TooMuch {
        /// The recipe's.
        command: String,
        /// How many.
        count: u64,
    },
    /// The files could not be kept.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// What is known of the languages' files.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    known: Mutex<HashMap<String, Known>>,
}

#[derive(Debug)]
struct Known {
    toolchain: ToolchainFiles,
    /// Of the files that would be right now.
    key: String,
    looked_at: Instant,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody has looked.
    Unknown,
    /// They are there.
    There,
    /// Somebody was told to make them.
    BeingMade,
    /// They cannot be made.
    Failed,
}

/// Whether a compiler can use them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    There,
    BeingMade,
    Never,
}

impl Prepared {
    /// Whether `language`'s files are there, and whether whoever asks is the one to have them made.
    pub(crate) fn ask(&self, language: &Language, prepare: &Prepare, host: &Host) -> (Readiness, bool) {
        let Some(directory) = host.prepared() else { return (Readiness::Never, false) };
        let now = Instant::now();
        let mut known = self.lock();
        let known = known.entry(language.name.clone()).or_insert_with(|| {
            let toolchain = ToolchainFiles::of(language, host);
            let key = key(language, prepare, &toolchain);
            Known { toolchain, key, looked_at: now, state: State::Unknown }
        });
        if now.saturating_duration_since(known.looked_at) >= LOOK_INTERVAL {
            known.looked_at = now;
            let key = key(language, prepare, &known.toolchain);
            if key != known.key {
                (known.key, known.state) = (key, State::Unknown);
            }
        }
        if matches!(known.state, State::Unknown | State::There) {
            // Somebody may have tidied up.
            let is_there = is_current(directory, &language.name, &known.key);
            known.state = if is_there { State::There } else { State::Unknown };
        }
        match known.state {
            State::There => (Readiness::There, false),
            State::Unknown => {
                known.state = State::BeingMade;
                (Readiness::BeingMade, true)
            }
            State::BeingMade => (Readiness::BeingMade, false),
            State::Failed => (Readiness::Never, false),
        }
    }

    /// Makes `language`'s files, unless another process does or has.
    pub(crate) fn make(
        &self,
        language: &Language,
        prepare: &Prepare,
        host: &Host,
        cancel: &Cancel,
    ) -> Result<(), PrepareError> {
        let Some(directory) = host.prepared() else { return Ok(()) };
        let key = match self.lock().get(&language.name) {
            Some(known) => known.key.clone(),
            None => return Ok(()),
        };
        let made = make_in(directory, &key, language, prepare, host, cancel);
        if let Some(known) = self.lock().get_mut(&language.name).filter(|known| known.key == key) {
            known.state = match &made {
                Ok(()) => State::Unknown,
                Err(PrepareError::Sandbox(error)) if error.is_retryable() => State::Unknown,
                Err(_) => State::Failed,
            };
        }
        made
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where compilers find the files of `language`.
pub(crate) fn path_in_cages(language: &Language) -> String {
    format!("{PREPARED_PATH}/{}", language.name)
}

/// Makes the directory that is shown to cages.
pub fn prepared_directory(cache: &Path) -> io::Result<PathBuf> {
    let directory = cache.join("prepared");
    fs::DirBuilder::new().recursive(true).mode(0o755).create(&directory)?;
    // Whoever runs in a cage is somebody else. Those above it need not be listed, only passed.
    for path in [cache, directory.as_path()] {
        let mode = fs::metadata(path)?.permissions().mode();
        fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o777 | 0o111))?;
    }
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755))?;
    Ok(directory)
}

fn key(language: &Language, prepare: &Prepare, toolchain: &ToolchainFiles) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(toolchain.look().as_bytes());
    hasher.update(format!("{prepare:?} {:?}", language.env_vars).as_bytes());
    hasher.finalize().to_hex().as_str()[..KEY_DIGITS].to_owned()
}

fn is_current(directory: &Path, name: &str, key: &str) -> bool {
    let link = directory.join(name);
    fs::read_link(&link).is_ok_and(|target| target == Path::new(&format!("{name}-{key}"))) && link.is_dir()
}

fn make_in(
    directory: &Path,
    key: &str,
    language: &Language,
    prepare: &Prepare,
    host: &Host,
    cancel: &Cancel,
) -> Result<(), PrepareError> {
    let name = &language.name;
    let lock = directory.join(format!(".{name}.lock"));
    let io = |action, path: &Path| {
        let path = path.to_owned();
        move |source| PrepareError::Io { action, path, source }
    };
    let held =
        File::options().create(true).append(true).mode(0o600).open(&lock).map_err(io("open", &lock))?;
    while let Err(errno) = flock(&held, FlockOperation::NonBlockingLockExclusive) {
        // Another process makes them, and we will find them.
        let waits = matches!(errno, Errno::WOULDBLOCK | Errno::INTR) && !cancel.is_cancelled();
        if !waits {
            return Err(io("lock", &lock)(errno.into()));
        }
        std::thread::sleep(LOCK_INTERVAL);
    }
    if is_current(directory, name, key) {
        return Ok(());
    }
    let files = run(language, prepare, host, cancel)?;
    let unfinished = directory.join(format!(".{name}.new"));
    remove(&unfinished).map_err(io("remove", &unfinished))?;
    write_all(&unfinished, &files).map_err(io("write", &unfinished))?;
    let finished = directory.join(format!("{name}-{key}"));
    remove(&finished).map_err(io("remove", &finished))?;
    fs::rename(&unfinished, &finished).map_err(io("rename", &unfinished))?;
    let link = directory.join(format!(".{name}.link"));
    remove(&link).map_err(io("remove", &link))?;
    symlink(format!("{name}-{key}"), &link).map_err(io("link", &link))?;
    fs::rename(&link, directory.join(name)).map_err(io("rename", &link))?;
    remove_others(directory, name, key);
    tracing::info!(language = name, "prepared for its compilers");
    Ok(())
}

fn run(
    language: &Language,
    prepare: &Prepare,
    host: &Host,
    cancel: &Cancel,
) -> Result<Vec<FileEntry>, PrepareError> {
    let sample = language.tests.first().map_or("", |test| test.program.as_str());
    let source = language.source_file(sample.as_bytes());
    let usual = language.compile_limits.apply(&Limits::default());
    let request = ExecRequest {
        env_vars: language.env_vars.clone(),
        files: vec![source.clone()],
        limits: LimitOverrides::default().overridden_by(&prepare.limits).apply(&usual),
        collect: Collect::Everything,
        ..ExecRequest::new(prepare.command.argv.iter().cloned())
    };
    let command = || prepare.command.to_string();
    let mut outcome = host.run(&request, cancel).map_err(PrepareError::Sandbox)?;
    if !outcome.termination.is_success() {
        let termination = format!("{:?}", outcome.termination);
        let said = outcome.stderr.to_text().trim().to_owned();
        return Err(PrepareError::Failed { command: command(), termination, said });
    }
    if outcome.files_omitted > 0 {
        return Err(PrepareError::TooMuch { command: command(), count: outcome.files_omitted });
    }
    outcome.files.retain(|file| file.path != source.path);
    Ok(outcome.files)
}

/// Readable for everyone, whatever the umask is.
fn write_all(directory: &Path, files: &[FileEntry]) -> io::Result<()> {
    let open_up = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    fs::create_dir(directory)?;
    open_up(directory, 0o755)?;
    for file in files {
        let path = directory.join(file.path.as_str());
        let within = path.ancestors().skip(1).take_while(|above| *above != directory);
        for above in within.collect::<Vec<_>>().into_iter().rev() {
            fs::create_dir_all(above)?;
            open_up(above, 0o755)?;
        }
        fs::write(&path, &file.content)?;
        open_up(&path, if file.executable { 0o755 } else { 0o644 })?;
    }
    Ok(())
}

/// Whatever it is.
fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// What was made for another toolchain. A compiler that uses it at this moment keeps what it has open.
fn remove_others(directory: &Path, name: &str, key: &str) {
    let prefix = format!("{name}-");
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let other = entry.file_name();
        let other_key = other.to_str().and_then(|other| other.strip_prefix(&prefix));
        let is_old = other_key.is_some_and(|other| other.len() == KEY_DIGITS && other != key);
        if is_old && let Err(error) = remove(&entry.path()) {
            tracing::warn!(%error, path = %entry.path().display(), "what was prepared earlier is left behind");
        }
    }
}

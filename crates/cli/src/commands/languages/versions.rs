//! What toolchains say of their versions: asked in cages, many at once, and remembered.
//!
//! An answer holds for as long as the command and the programs of the toolchain are the same files; of a root of its
//! own, as long as it is the same root.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rollcage_engine::drive::root_tree;
use rollcage_language::Language;
use rollcage_roots::Roots;
use rollcage_sandbox::{Cancel, Host, HostConfig, RootTree};
use serde::{Deserialize, Serialize};

use crate::cache_directory::cache_directory;
use crate::{output, toolchain};

/// Bytes of the file of answers. A hundred languages take some thirty kilobytes; more is not ours.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Answers by language.
#[derive(Default, Serialize, Deserialize)]
struct Answers(BTreeMap<String, Answer>);

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Answer {
    /// What it holds for.
    about: String,
    version: String,
}

/// The versions of those of `languages` whose toolchains are here and say one.
pub(crate) fn ask(
    languages: &[Arc<Language>],
    config: &HostConfig,
    cancel: &Cancel,
) -> BTreeMap<String, String> {
    let file = cache_directory().ok().map(|directory| directory.join("versions.json"));
    let mut answers = file.as_deref().map(read).unwrap_or_default();
    let mut versions = BTreeMap::new();
    let mut unknown: BTreeMap<Option<PathBuf>, Vec<(&Language, String)>> = BTreeMap::new();
    for language in languages.iter().filter(|language| language.version.is_some()) {
        if !toolchain::missing(language).is_empty() {
            continue;
        }
        // A root that cannot be used at this level says no version.
        let Ok(root) = root_tree(config, &Roots::of_user(), language) else { continue };
        let about = about(language, root.as_deref());
        match answers.0.get(&language.name) {
            Some(answer) if answer.about == about => {
                versions.insert(language.name.clone(), answer.version.clone());
            }
            Some(_) | None => unknown.entry(root).or_default().push((language, about)),
        }
    }
    let mut is_news = false;
    for (root, questions) in unknown {
        for (name, answer) in ask_on(root, &questions, config, cancel) {
            versions.insert(name.clone(), answer.version.clone());
            answers.0.insert(name, answer);
            is_news = true;
        }
    }
    if let (Some(file), true) = (file, is_news) {
        // Who cannot remember asks again.
        let _forgotten = write(&file, &answers);
    }
    versions
}

/// Asks those on one root, as many at once as there are processors.
fn ask_on(
    root: Option<PathBuf>,
    questions: &[(&Language, String)],
    config: &HostConfig,
    cancel: &Cancel,
) -> Vec<(String, Answer)> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(questions.len());
    let tree = root.map_or_else(|| config.tree.clone(), RootTree::Directory);
    let host = match Host::start(&HostConfig { slots: workers, tree, ..config.clone() }) {
        Ok(host) => host,
        Err(error) => {
            output::note(&format!("versions are not known, because no cage can be started: {error}"));
            return Vec::new();
        }
    };
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((language, about)) = questions.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(version) = toolchain::version(&host, language, cancel) {
                        let answer = Answer { about: about.clone(), version };
                        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                        found.push((language.name.clone(), answer));
                    }
                }
            });
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// What an answer is about: the command, and what the programs are.
fn about(language: &Language, root: Option<&Path>) -> String {
    let command = language.version.as_ref().map(ToString::to_string).unwrap_or_default();
    let Some(root) = root else {
        let programs = language.toolchain.iter().map(|program| {
            let path = toolchain::find(program)?;
            let metadata = fs::metadata(&path).ok()?;
            let (modified, nanoseconds) = (metadata.mtime(), metadata.mtime_nsec());
            Some(format!("{}:{}:{modified}.{nanoseconds}", path.display(), metadata.size()))
        });
        let programs: Vec<_> = programs.map(Option::unwrap_or_default).collect();
        return format!("{command} {}", programs.join(" "));
    };
    format!("{command} {}", root.display())
}

fn read(file: &Path) -> Answers {
    let is_ours = fs::metadata(file).is_ok_and(|metadata| metadata.len() <= FILE_BYTES_MAX);
    let text = is_ours.then(|| fs::read(file).ok()).flatten();
    text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

fn write(file: &Path, answers: &Answers) -> std::io::Result<()> {
    let directory = file.parent().unwrap_or(Path::new("."));
    let mut fresh = tempfile::NamedTempFile::new_in(directory)?;
    serde_json::to_writer(&mut fresh, answers)?;
    fresh.persist(file)?;
    Ok(())
}

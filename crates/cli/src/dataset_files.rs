//! Finding and reading data sets, and the solutions that belong to them.

use std::path::{Path, PathBuf};

use rollcage_api::{DatasetItem, JoinedSample, RowError, join_samples, nearest, read_samples};
use rollcage_engine::drive::load_items;

use crate::engine_host::{plan_failed, read_file};
use crate::failure::Failure;

/// A data set known by name: its format, and where its authors' file lies below a directory of data.
struct Known {
    name: &'static str,
    format: &'static str,
    files: &'static [&'static str],
}

const KNOWN: [Known; 4] = [
    Known {
        name: "humaneval",
        format: "humaneval",
        files: &[
            "humaneval/HumanEval.jsonl.gz",
            "humaneval/HumanEval.jsonl",
            "HumanEval.jsonl.gz",
            "HumanEval.jsonl",
        ],
    },
    Known { name: "mbpp", format: "mbpp", files: &["mbpp/mbpp.jsonl", "mbpp.jsonl"] },
    Known {
        name: "mbpp-sanitized",
        format: "mbpp",
        files: &["mbpp/sanitized-mbpp.json", "sanitized-mbpp.json"],
    },
    Known { name: "cruxeval", format: "cruxeval", files: &["cruxeval/cruxeval.jsonl", "cruxeval.jsonl"] },
];

/// A data set that was found.
#[derive(Debug)]
pub(crate) struct DatasetFile {
    /// The file.
    pub(crate) path: PathBuf,
    /// Its format, where the name says it.
    pub(crate) format: Option<&'static str>,
}

impl DatasetFile {
    /// The file of the data set called `name`, below `data` or the current directory. Any other name is a file's.
    pub(crate) fn find(name: &str, data: Option<&Path>) -> Result<Self, Failure> {
        let Some(known) = KNOWN.iter().find(|known| known.name == name) else {
            let path = PathBuf::from(name);
            if path.is_file() {
                return Ok(Self { path, format: None });
            }
            let names = KNOWN.map(|known| known.name);
            let hint = match nearest(name, names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known by name are {}; anything else is a file", names.join(", ")),
            };
            let error = anyhow::anyhow!("`{name}` is neither a data set known by name nor a file");
            return Err(Failure::bad_input(error).with_hint(hint));
        };
        let data = data.unwrap_or(Path::new("."));
        let found = known.files.iter().map(|file| data.join(file)).find(|path| path.is_file());
        let path = found.ok_or_else(|| {
            let error = anyhow::anyhow!("the data set `{name}` is not below `{}`", data.display());
            let hint = format!("--data names a directory that holds {}", known.files.join(" or "));
            Failure::bad_input(error).with_hint(hint)
        })?;
        Ok(Self { path, format: Some(known.format) })
    }

    /// Reads it.
    pub(crate) fn load(&self) -> Result<Vec<DatasetItem>, Failure> {
        load_items(&self.path, self.format).map(|(items, _hash)| items).map_err(plan_failed)
    }
}

/// The solutions in the file at `path`, each with its problem among `items`. There is at least one.
pub(crate) fn load_samples(
    path: &Path,
    items: &[DatasetItem],
    language: Option<&str>,
) -> Result<Vec<JoinedSample>, Failure> {
    let file = || format!("`{}`", path.display());
    let wrong_row = |error: RowError| {
        let hint = error.hint.clone();
        let failure = Failure::bad_input(anyhow::Error::new(error).context(file()));
        hint.into_iter().fold(failure, Failure::with_hint)
    };
    let samples = read_samples(&read_file(path)?).map_err(wrong_row)?;
    if samples.is_empty() {
        // All of nothing would be accepted.
        return Err(Failure::bad_input(anyhow::anyhow!("{} holds no solution", file())));
    }
    join_samples(samples, items, language).map_err(wrong_row)
}

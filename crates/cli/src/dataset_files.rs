//! Finding and reading data sets, and the solutions that belong to them.

use std::path::{Path, PathBuf};

use rollcage_api::{
    ColumnMapping, DatasetItem, DatasetKind, JoinedSample, RefusedRow, RowError, join_samples, nearest,
    read_samples,
};
use rollcage_engine::drive::{DatasetOptions, LoadedDataset, PlanError, Unjudgeable, load_dataset};

use crate::engine_host::{plan_failed, read_file};
use crate::failure::Failure;
use crate::output;
use crate::visible_text::visible_line;

/// A data set known by name: its format, and where its authors' file lies below a directory of data.
struct Known {
    name: &'static str,
    format: &'static str,
    files: &'static [&'static str],
}

const KNOWN: [Known; 11] = [
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
    Known {
        name: "humaneval-x-cpp",
        format: "humaneval-x",
        files: &["humaneval-x/humaneval_cpp.jsonl.gz", "humaneval-x/humaneval_cpp.jsonl"],
    },
    Known {
        name: "humaneval-x-go",
        format: "humaneval-x",
        files: &["humaneval-x/humaneval_go.jsonl.gz", "humaneval-x/humaneval_go.jsonl"],
    },
    Known {
        name: "humaneval-x-java",
        format: "humaneval-x",
        files: &["humaneval-x/humaneval_java.jsonl.gz", "humaneval-x/humaneval_java.jsonl"],
    },
    Known {
        name: "humaneval-x-javascript",
        format: "humaneval-x",
        files: &["humaneval-x/humaneval_js.jsonl.gz", "humaneval-x/humaneval_js.jsonl"],
    },
    Known {
        name: "humaneval-x-python",
        format: "humaneval-x",
        files: &["humaneval-x/humaneval_python.jsonl.gz", "humaneval-x/humaneval_python.jsonl"],
    },
    Known {
        name: "humaneval-x-rust",
        format: "humaneval-x",
        files: &["humaneval-x/humaneval_rust.jsonl.gz", "humaneval-x/humaneval_rust.jsonl"],
    },
    Known { name: "mbpp", format: "mbpp", files: &["mbpp/mbpp.jsonl", "mbpp.jsonl"] },
    Known {
        name: "mbpp-sanitized",
        format: "mbpp",
        files: &["mbpp/sanitized-mbpp.json", "sanitized-mbpp.json"],
    },
    Known { name: "cruxeval", format: "cruxeval", files: &["cruxeval/cruxeval.jsonl", "cruxeval.jsonl"] },
    Known {
        name: "apps-stdin",
        format: "apps",
        files: &["apps-stdin/apps_selected.json.gz", "apps_selected.json.gz"],
    },
];

/// The options that say what a file of problems holds.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Problems")]
pub(crate) struct ReadOptions {
    #[arg(long, value_name = "FORMAT", conflicts_with = "columns", help = format_help())]
    format: Option<String>,
    /// Where each field of a problem is found, in JSON lines or Parquet of any shape, as in
    /// `id=task,prompt=question,cases.stdin=tests.input,cases.expected=tests.output`
    #[arg(long, value_name = "FIELD=COLUMN,...")]
    columns: Option<String>,
    /// Leave out rows that no program can be judged by, and list them, instead of refusing the file
    #[arg(long)]
    skip_unjudgeable: bool,
}

fn format_help() -> String {
    format!("The file's format: {} [default: told from its columns]", DatasetKind::names())
}

impl ReadOptions {
    fn options(&self) -> Result<DatasetOptions, Failure> {
        let columns = self.columns.as_deref().map(str::parse::<ColumnMapping>).transpose();
        let columns = columns.map_err(|error| {
            let hint = error.hint();
            hint.into_iter().fold(Failure::usage(format!("--columns: {error}")), Failure::with_hint)
        })?;
        Ok(DatasetOptions {
            format: self.format.clone(),
            columns,
            unjudgeable: if self.skip_unjudgeable { Unjudgeable::Skip } else { Unjudgeable::Refuse },
            limit: None,
        })
    }
}

/// A data set that was found.
#[derive(Debug)]
pub(crate) struct DatasetFile {
    /// The file.
    pub(crate) path: PathBuf,
    /// How it is read.
    pub(crate) options: DatasetOptions,
}

impl DatasetFile {
    /// The file at `path`.
    pub(crate) fn at(path: &Path, read: &ReadOptions) -> Result<Self, Failure> {
        Ok(Self { path: path.to_owned(), options: read.options()? })
    }

    /// The file of the data set called `name`, below `data` or the current directory. Any other name is a file's.
    pub(crate) fn find(name: &str, data: Option<&Path>, read: &ReadOptions) -> Result<Self, Failure> {
        let Some(known) = KNOWN.iter().find(|known| known.name == name) else {
            let path = PathBuf::from(name);
            if path.is_file() {
                return Self::at(&path, read);
            }
            let names = KNOWN.map(|known| known.name);
            let hint = match nearest(name, names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known by name are {}; anything else is a file", names.join(", ")),
            };
            let error = anyhow::anyhow!("`{name}` is neither a data set known by name nor a file");
            return Err(Failure::bad_input(error).with_hint(hint));
        };
        if read.format.is_some() || read.columns.is_some() {
            let message = format!("`{name}` is known by name; --format and --columns are for files");
            return Err(Failure::usage(message));
        }
        let data = data.unwrap_or(Path::new("."));
        let found = known.files.iter().map(|file| data.join(file)).find(|path| path.is_file());
        let path = found.ok_or_else(|| {
            let error = anyhow::anyhow!("the data set `{name}` is not below `{}`", data.display());
            let hint = format!("--data names a directory that holds {}", known.files.join(" or "));
            Failure::bad_input(error).with_hint(hint)
        })?;
        let options = DatasetOptions { format: Some(known.format.to_owned()), ..read.options()? };
        Ok(Self { path, options })
    }

    /// Reads it, and says what was left out.
    pub(crate) fn load(&self) -> Result<Vec<DatasetItem>, Failure> {
        let LoadedDataset { items, refused, hash: _ } =
            load_dataset(&self.path, &self.options).map_err(|error| plan_failed(PlanError::from(error)))?;
        note_refused(&refused);
        Ok(items)
    }
}

/// Rows named when some are left out.
const REFUSED_MAX: usize = 10;

/// Characters of what is wrong with a row.
const REASON_CHARACTERS_MAX: usize = 200;

/// Says on standard error which rows were left out.
pub(crate) fn note_refused(refused: &[RefusedRow]) {
    if refused.is_empty() {
        return;
    }
    let rows = if refused.len() == 1 { "row was" } else { "rows were" };
    output::note(&format!("{} {rows} left out, because no program can be judged by them", refused.len()));
    for row in refused.iter().take(REFUSED_MAX) {
        output::note(&format!("  {}", visible_line(&row.to_string(), REASON_CHARACTERS_MAX)));
    }
    if refused.len() > REFUSED_MAX {
        output::note(&format!("  … and {} more", refused.len() - REFUSED_MAX));
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

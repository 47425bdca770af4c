//! Which languages there are: the built-in ones and those of the user's directory.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use rollcage_language::{Language, LanguageSet, LanguageSetError};

use crate::failure::Failure;

/// The option that adds languages.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct LanguagesOption {
    /// Directory of language files (*.yaml) that add to the built-in languages, or replace those of the same
    /// name
    #[arg(long, value_name = "DIR", env = "ROLLCAGE_LANGUAGES")]
    languages: Option<PathBuf>,
}

impl LanguagesOption {
    /// Reads every language there is.
    pub(crate) fn load(&self) -> Result<LanguageSet, Failure> {
        let set = LanguageSet::built_in();
        let Some(directory) = &self.languages else { return Ok(set) };
        set.with_directory_files(read_directory(directory)?).map_err(bad_set)
    }

    /// Where the languages that are not built in come from.
    pub(crate) fn origins(&self) -> Result<Origins, Failure> {
        let Some(directory) = &self.languages else { return Ok(Origins::new()) };
        let origin = |(path, text): (String, String)| {
            let language = Language::parse(&path, &text).map_err(|error| bad_set(error.into()))?;
            Ok((language.name, path))
        };
        read_directory(directory)?.into_iter().map(origin).collect()
    }
}

/// Names of languages and the files they come from.
pub(crate) type Origins = BTreeMap<String, String>;

/// The language called `word`, or a failure that says what it may have meant.
pub(crate) fn find(set: &LanguageSet, word: &str) -> Result<Arc<Language>, Failure> {
    set.find(word).map(Arc::clone).map_err(|unknown| Failure::usage(&unknown).with_hint(unknown.hint()))
}

/// The languages called `words`, or all of them where none is named.
pub(crate) fn select(set: &LanguageSet, words: &[String]) -> Result<Vec<Arc<Language>>, Failure> {
    if words.is_empty() {
        return Ok(set.iter().map(Arc::clone).collect());
    }
    words.iter().map(|word| find(set, word)).collect()
}

fn read_directory(directory: &Path) -> Result<Vec<(String, String)>, Failure> {
    let failed = |error: anyhow::Error| {
        Failure::bad_input(error)
            .with_hint("--languages and ROLLCAGE_LANGUAGES name a directory of *.yaml files")
    };
    let listing = || format!("cannot list the directory of languages `{}`", directory.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).with_context(listing).map_err(failed)? {
        let path = entry.with_context(listing).map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            paths.push(path);
        }
    }
    // Messages about two files that clash must not depend on the order of the directory.
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read the language file `{}`", path.display()))
            .map_err(failed)?;
        Ok((path.display().to_string(), text))
    };
    paths.into_iter().map(read).collect()
}

fn bad_set(error: LanguageSetError) -> Failure {
    let hint = error.hint();
    hint.into_iter().fold(Failure::bad_input(error), Failure::with_hint)
}

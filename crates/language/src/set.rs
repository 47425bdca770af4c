//! The languages of one host: the built-in ones, and those its user adds or changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{LanguageSetError, UnknownLanguage};
use crate::language::Language;
use crate::nearest::nearest;

/// The built-in language files, embedded so that one binary is enough.
const BUILT_IN: [(&str, &str); 21] = [
    ("bash.yaml", include_str!("../../../languages/bash.yaml")),
    ("c.yaml", include_str!("../../../languages/c.yaml")),
    ("cpp.yaml", include_str!("../../../languages/cpp.yaml")),
    ("duckdb.yaml", include_str!("../../../languages/duckdb.yaml")),
    ("fortran.yaml", include_str!("../../../languages/fortran.yaml")),
    ("go.yaml", include_str!("../../../languages/go.yaml")),
    ("java.yaml", include_str!("../../../languages/java.yaml")),
    ("javascript.yaml", include_str!("../../../languages/javascript.yaml")),
    ("julia.yaml", include_str!("../../../languages/julia.yaml")),
    ("lua.yaml", include_str!("../../../languages/lua.yaml")),
    ("ocaml.yaml", include_str!("../../../languages/ocaml.yaml")),
    ("ocaml-toplevel.yaml", include_str!("../../../languages/ocaml-toplevel.yaml")),
    ("perl.yaml", include_str!("../../../languages/perl.yaml")),
    ("php.yaml", include_str!("../../../languages/php.yaml")),
    ("postgresql.yaml", include_str!("../../../languages/postgresql.yaml")),
    ("python.yaml", include_str!("../../../languages/python.yaml")),
    ("r.yaml", include_str!("../../../languages/r.yaml")),
    ("ruby.yaml", include_str!("../../../languages/ruby.yaml")),
    ("rust.yaml", include_str!("../../../languages/rust.yaml")),
    ("sqlite.yaml", include_str!("../../../languages/sqlite.yaml")),
    ("typescript.yaml", include_str!("../../../languages/typescript.yaml")),
];

/// Languages by name.
#[derive(Clone, Debug)]
pub struct LanguageSet {
    by_name: BTreeMap<String, Arc<Language>>,
    /// Aliases to names, both in lower case. A name is never hidden by an alias.
    aliases: BTreeMap<String, String>,
}

impl LanguageSet {
    /// The languages that come with this crate.
    pub fn built_in() -> Self {
        let empty = Self { by_name: BTreeMap::new(), aliases: BTreeMap::new() };
        let files = BUILT_IN.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        empty.with_directory_files(files).expect("the embedded languages parse: a test reads each of them")
    }

    /// Adds language files, given as path and text. A file with the name of a language that is already there
    /// replaces it, and its aliases win over those already there. Two of the given files may not claim one word.
    pub fn with_directory_files(mut self, files: Vec<(String, String)>) -> Result<Self, LanguageSetError> {
        let mut claimed: BTreeMap<String, String> = BTreeMap::new();
        for (path, text) in files {
            let language = Language::parse(&path, &text)?;
            for word in
                std::iter::once(&language.name).chain(&language.aliases).map(|word| word.to_lowercase())
            {
                match claimed.get(&word) {
                    Some(first) if *first != path => {
                        return Err(LanguageSetError::Clash { word, first: first.clone(), second: path });
                    }
                    _ => claimed.insert(word, path.clone()),
                };
            }
            self.insert(language);
        }
        Ok(self)
    }

    /// The language called `word`, by name or alias, whatever its case.
    pub fn find(&self, word: &str) -> Result<&Arc<Language>, UnknownLanguage> {
        let key = word.trim().to_lowercase();
        let by_alias = || self.aliases.get(&key).and_then(|name| self.by_name.get(name));
        self.by_name.get(&key).or_else(by_alias).ok_or_else(|| UnknownLanguage {
            word: word.to_owned(),
            suggestion: self.suggest(&key),
            known: self.iter().map(|language| language.name.clone()).collect(),
        })
    }

    /// All languages, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Language>> {
        self.by_name.values()
    }

    fn suggest(&self, key: &str) -> Option<String> {
        // Names come first, so that of equally close words a name wins.
        nearest(key, self.by_name.keys().chain(self.aliases.keys()).map(String::as_str)).map(str::to_owned)
    }

    fn insert(&mut self, language: Language) {
        let name = language.name.to_lowercase();
        self.aliases.retain(|_, target| *target != name);
        for alias in &language.aliases {
            self.aliases.insert(alias.to_lowercase(), name.clone());
        }
        self.by_name.insert(name, Arc::new(language));
    }
}

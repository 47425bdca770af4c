//! The `warm` section of a language file: how an interpreter is kept ready, so that a program need not wait for its start.
//!
//! Owns what a recipe says, and which preload a program is given. Leaves keeping interpreters ready to `rollcage-warm`.

use rollcage_types::ByteSize;
use serde::Deserialize;

use crate::imports::imported_modules;
use crate::scalar::{AbsolutePath, Name, Parsed, VariableName, Words};

/// Memory of an interpreter that waits, unless the file says otherwise.
const MEMORY: ByteSize = ByteSize::gib(1);

/// How an interpreter is kept ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warm {
    /// It stops where it opens the program's file, and every program is a copy of it.
    Fork(ForkRecipe),
}

/// How an interpreter becomes a fork server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForkRecipe {
    /// The call at which it is stopped.
    pub stop: StopAt,
    /// How often it opens the program's file before it does so to run it.
    pub passes: u32,
    /// Another file at which it is stopped, which it opens before the program's.
    pub point: Option<String>,
    /// The executable that opens the program's file, where the command starts another.
    pub executable: Option<String>,
    /// Variables of the start, which programs do not see.
    pub start_vars: Vec<(String, String)>,
    /// A program that has any of these bytes is started cold.
    pub not_with: Vec<Vec<u8>>,
    /// Sets of modules to load ahead, in the order in which they are considered.
    pub preloads: Vec<Preload>,
    /// Files and directories beside the toolchain's programs whose change makes an interpreter outdated.
    pub watches: Vec<String>,
    /// Memory that an interpreter may have.
    pub memory: ByteSize,
}

/// The call at which an interpreter is stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopAt {
    /// The one that opens the file.
    #[default]
    Open,
    /// The first that reads from it.
    Read,
}

/// A set of modules that an interpreter loads ahead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preload {
    /// What it is called in reports.
    pub name: String,
    /// The modules whose import by a program makes it a program of this set.
    pub modules: Vec<String>,
    /// What the interpreter runs ahead.
    pub code: String,
}

impl ForkRecipe {
    /// The first preload that has all modules which `source` imports and any preload has; `None` if it imports none of
    /// them.
    pub fn preload_for(&self, source: &[u8]) -> Option<&Preload> {
        if self.preloads.is_empty() {
            return None;
        }
        let is_known = |name: &str| self.preloads.iter().any(|preload| preload.has(name));
        let wanted: Vec<&str> = imported_modules(source).filter(|name| is_known(name)).collect();
        if wanted.is_empty() {
            return None;
        }
        let has_all = |preload: &&Preload| wanted.iter().all(|name| preload.has(name));
        // Some are better than none.
        let has_most = || {
            self.preloads.iter().max_by_key(|preload| wanted.iter().filter(|name| preload.has(name)).count())
        };
        self.preloads.iter().find(has_all).or_else(has_most)
    }
}

impl Preload {
    fn has(&self, module: &str) -> bool {
        self.modules.iter().any(|known| known == module)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WarmSection {
    kind: Kind,
    #[serde(default)]
    stop: StopAt,
    #[serde(default)]
    passes: u32,
    point: Option<Parsed<AbsolutePath>>,
    executable: Option<Parsed<AbsolutePath>>,
    #[serde(default)]
    start_vars: std::collections::BTreeMap<Parsed<VariableName>, String>,
    #[serde(default)]
    not_with: Vec<Parsed<Words>>,
    #[serde(default)]
    preloads: Vec<PreloadSection>,
    #[serde(default)]
    watches: Vec<Parsed<AbsolutePath>>,
    memory: Option<Parsed<ByteSize>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Fork,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PreloadSection {
    name: Parsed<Name>,
    imports: Vec<Parsed<Name>>,
    code: Option<String>,
}

impl WarmSection {
    pub(crate) fn into_warm(self) -> Warm {
        let Kind::Fork = self.kind;
        Warm::Fork(ForkRecipe {
            stop: self.stop,
            passes: self.passes,
            point: self.point.map(|Parsed(path)| path.0),
            executable: self.executable.map(|Parsed(path)| path.0),
            start_vars: self.start_vars.into_iter().map(|(Parsed(name), value)| (name.0, value)).collect(),
            not_with: self.not_with.into_iter().map(|Parsed(words)| words.0.into_bytes()).collect(),
            preloads: self.preloads.into_iter().map(PreloadSection::into_preload).collect(),
            watches: self.watches.into_iter().map(|Parsed(path)| path.0).collect(),
            memory: self.memory.map_or(MEMORY, Parsed::value),
        })
    }
}

impl PreloadSection {
    fn into_preload(self) -> Preload {
        let modules: Vec<String> = self.imports.into_iter().map(|Parsed(name)| name.0).collect();
        let code = self.code.unwrap_or_else(|| format!("import {}\n", modules.join(", ")));
        Preload { name: self.name.value().0, modules, code }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Language, StopAt, Warm};

    fn recipe(section: &str) -> crate::ForkRecipe {
        let text = format!("prompt: p\nfilename: a.x\nexecute: x a.x\nwarm: {section}\n");
        let Some(Warm::Fork(recipe)) = Language::parse("lang.yaml", &text).unwrap().warm else {
            unreachable!("there is but one kind")
        };
        recipe
    }

    #[test]
    fn a_section_says_how_to_stop() {
        let recipe =
            recipe("{kind: fork, stop: read, passes: 1, not_with: [\"PK\\x05\"], start_vars: {A: b}}");
        assert_eq!((recipe.stop, recipe.passes), (StopAt::Read, 1));
        assert_eq!(recipe.not_with, [b"PK\x05".to_vec()]);
        assert_eq!(recipe.start_vars, [("A".to_owned(), "b".to_owned())]);
    }

    #[test]
    fn mistakes_are_told_where_they_are() {
        for (section, said) in [
            ("{kind: spoon}", "unknown value `spoon`"),
            ("{kind: fork, stopp: read}", "unknown key `stopp`"),
            ("{stop: open}", "missing key `kind`"),
            ("{kind: fork, point: here}", "`here` is not an absolute path"),
        ] {
            let text = format!("prompt: p\nfilename: a.x\nexecute: x a.x\nwarm: {section}\n");
            let error = Language::parse("lang.yaml", &text).unwrap_err();
            assert!(error.problem.contains(said), "{}", error.problem);
            assert_eq!(error.position.map(|(line, _)| line), Some(4), "{section}");
        }
    }

    #[test]
    fn a_program_gets_the_first_preload_with_all_that_it_imports() {
        let recipe = recipe(
            "{kind: fork, preloads: [{name: a, imports: [numpy]}, {name: b, imports: [numpy, pandas, scipy]}]}",
        );
        let name = |source: &str| recipe.preload_for(source.as_bytes()).map(|preload| preload.name.as_str());
        assert_eq!(name("print(1)\n"), None);
        assert_eq!(name("import json\n"), None);
        assert_eq!(name("import numpy as np\n"), Some("a"));
        assert_eq!(name("import json, numpy\nimport torch\n"), Some("a"));
        assert_eq!(name("import numpy as np\nfrom pandas import DataFrame\n"), Some("b"));
        assert_eq!(recipe.preloads[1].code, "import numpy, pandas, scipy\n");
    }
}

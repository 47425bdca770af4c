//! The `warm` section of a language file: how an interpreter is kept ready, so that a program need not wait for its start.
//!
//! Owns what a recipe says, and which preload a program is given. Leaves keeping interpreters ready to `rollcage-warm`.

use rollcage_types::{ByteSize, RelativePath};
use serde::Deserialize;

use crate::imports::imported_modules;
use crate::scalar::{AbsolutePath, Name, Parsed, VariableName, Words};

/// Spares that wait, unless the file says otherwise.
const SPARES: u32 = 2;
/// More would be better served by something else.
const SPARES_MAX: u32 = 64;
/// Memory of an interpreter that waits, unless the file says otherwise.
const MEMORY: ByteSize = ByteSize::gib(1);

/// How an interpreter is kept ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warm {
    /// It stops where it opens the program's file, and every program is a copy of it.
    Fork(ForkRecipe),
    /// Some are executed ahead, and each waits where it opens the program's file for the one program that it runs.
    Spare(SpareRecipe),
}

/// How an interpreter is executed ahead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpareRecipe {
    /// The call at which it is stopped.
    pub stop: StopAt,
    /// The file that it opens, if that is not the program's source: what a compiler made of it, say.
    pub opens: Option<RelativePath>,
    /// The executable that opens the file, where the command starts another.
    pub executable: Option<String>,
    /// Files that it looks for before it opens the program's.
    pub not_beside: Vec<RelativePath>,
    /// How many wait at once.
    pub spares: u32,
    /// Files and directories beside the toolchain's programs whose change makes it outdated.
    pub watches: Vec<String>,
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
    /// For Ruby: the one after it has loaded what programs need.
    Loaded,
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
#[serde(try_from = "WarmFields")]
pub(crate) struct WarmSection(pub(crate) Warm);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WarmFields {
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
    opens: Option<Parsed<RelativePath>>,
    #[serde(default)]
    not_beside: Vec<Parsed<RelativePath>>,
    spares: Option<u32>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Fork,
    Spare,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PreloadSection {
    name: Parsed<Name>,
    imports: Vec<Parsed<Name>>,
    code: Option<String>,
}

impl TryFrom<WarmFields> for WarmSection {
    type Error = String;

    fn try_from(fields: WarmFields) -> Result<Self, String> {
        match fields.kind {
            Kind::Fork => fields.into_fork().map(Warm::Fork).map(Self),
            Kind::Spare => fields.into_spare().map(Warm::Spare).map(Self),
        }
    }
}

impl WarmFields {
    fn into_fork(self) -> Result<ForkRecipe, String> {
        let of_spares = [
            ("opens", self.opens.is_some()),
            ("not_beside", !self.not_beside.is_empty()),
            ("spares", self.spares.is_some()),
        ];
        refuse(of_spares, "fork")?;
        Ok(ForkRecipe {
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

    fn into_spare(self) -> Result<SpareRecipe, String> {
        let of_forks = [
            ("passes", self.passes > 0),
            ("point", self.point.is_some()),
            ("start_vars", !self.start_vars.is_empty()),
            ("not_with", !self.not_with.is_empty()),
            ("preloads", !self.preloads.is_empty()),
            ("memory", self.memory.is_some()),
        ];
        refuse(of_forks, "spare")?;
        if self.stop == StopAt::Loaded {
            return Err("`stop: loaded` has no meaning where `kind` is `spare`".to_owned());
        }
        let spares = self.spares.unwrap_or(SPARES);
        if !(1..=SPARES_MAX).contains(&spares) {
            return Err(format!("`spares` is {spares}, and must be from 1 to {SPARES_MAX}"));
        }
        Ok(SpareRecipe {
            stop: self.stop,
            opens: self.opens.map(Parsed::value),
            executable: self.executable.map(|Parsed(path)| path.0),
            not_beside: self.not_beside.into_iter().map(Parsed::value).collect(),
            spares,
            watches: self.watches.into_iter().map(|Parsed(path)| path.0).collect(),
        })
    }
}

/// Refuses the first key that is there and has no meaning for this kind.
fn refuse<const N: usize>(keys: [(&str, bool); N], kind: &str) -> Result<(), String> {
    match keys.into_iter().find(|(_, is_there)| *is_there) {
        None => Ok(()),
        Some((key, _)) => Err(format!("`{key}` has no meaning where `kind` is `{kind}`")),
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
        match Language::parse("lang.yaml", &text).unwrap().warm {
            Some(Warm::Fork(recipe)) => recipe,
            other => unreachable!("{other:?}"),
        }
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
            ("{kind: fork, spares: 2}", "`spares` has no meaning where `kind` is `fork`"),
            ("{kind: spare, preloads: [{name: a, imports: [b]}]}", "`preloads` has no meaning"),
            ("{kind: spare, stop: loaded}", "`stop: loaded` has no meaning where `kind` is `spare`"),
            ("{kind: spare, spares: 0}", "`spares` is 0, and must be from 1 to 64"),
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

//! The scripts that run a session's cells, and the files they find beside them.
//!
//! Everything of ours lies in one dot directory of the workspace, where a listing does not show it and a
//! program's own files do not meet it.

use std::sync::Arc;

use rollcage_language::{Language, SessionKind};
use rollcage_types::{FileEntry, RelativePath};

use crate::cell::Cell;
use crate::error::OpenError;

/// The directory, with its slash.
const DIRECTORY: &str = ".rollcage/";

/// What depends on the language.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Driver {
    /// Scripts by name; the first is the one the interpreter starts with.
    scripts: &'static [(&'static str, &'static str)],
    suffix: &'static str,
}

const PYTHON: Driver = Driver {
    scripts: &[("driver.py", concat!(include_str!("seeding.py"), include_str!("drivers/python.py")))],
    suffix: "py",
};

const BASH: Driver = Driver {
    scripts: &[
        (
            "driver.sh",
            concat!(
                include_str!("drivers/bash.sh"),
                include_str!("bash_trap.sh"),
                "builtin eval \"$__rollcage_code\"\n"
            ),
        ),
        ("cells.sh", concat!(include_str!("bash_exits.sh"), include_str!("drivers/bash_cells.sh"))),
    ],
    suffix: "sh",
};

impl Driver {
    /// `None` for a kind that is not replayed.
    pub(crate) const fn of(kind: SessionKind) -> Option<Self> {
        match kind {
            SessionKind::Python => Some(PYTHON),
            SessionKind::Bash => Some(BASH),
            SessionKind::Sqlite | SessionKind::DuckDb | SessionKind::PostgreSql | SessionKind::Recipe => None,
        }
    }

    /// The language's command, started with the driver instead of a source file.
    pub(crate) fn argv(self, language: &Language) -> Result<Vec<String>, OpenError> {
        let source = language.filename.as_str();
        let driver = format!("{DIRECTORY}{}", self.scripts[0].0);
        let argv = &language.run_command().argv;
        if !argv.iter().any(|argument| argument == source) {
            let (language, filename) = (language.name.clone(), language.filename.clone());
            return Err(OpenError::NoSourceArgument { language, filename });
        }
        let placed = |argument: &String| if argument == source { driver.clone() } else { argument.clone() };
        Ok(argv.iter().map(placed).collect())
    }

    /// The files of a run: scripts, plan, cells, and the input of each cell but the last, which has it live.
    pub(crate) fn files(self, seed: u32, cells: &[(u32, &Cell)]) -> Vec<FileEntry> {
        let mut plan = format!("{seed}\n");
        let mut files: Vec<_> = self.scripts.iter().map(|(name, text)| file(name, text.as_bytes())).collect();
        for (position, (number, cell)) in cells.iter().enumerate() {
            plan.push_str(&format!("{number}\n"));
            files.push(file(&format!("cells/{number}.{}", self.suffix), cell.source.as_bytes()));
            if position + 1 < cells.len() {
                files.push(file(&format!("cells/{number}.stdin"), Arc::clone(&cell.stdin)));
            }
        }
        files.push(file("plan", plan.as_bytes()));
        files
    }
}

/// Where the driver writes how cells ended.
pub(crate) fn report_path() -> RelativePath {
    path("report")
}

/// Whether a file lies in the session's own directory.
pub(crate) fn is_reserved(path: &RelativePath) -> bool {
    path.as_str().starts_with(DIRECTORY) || path.as_str() == DIRECTORY.trim_end_matches('/')
}

fn path(name: &str) -> RelativePath {
    RelativePath::new(&format!("{DIRECTORY}{name}")).expect("names below the directory are plain")
}

fn file(name: &str, content: impl Into<Arc<[u8]>>) -> FileEntry {
    FileEntry::new(path(name), content)
}

#[cfg(test)]
mod tests {
    use rollcage_language::LanguageSet;

    use super::*;

    #[test]
    fn the_driver_takes_the_place_of_the_source() {
        let set = LanguageSet::built_in();
        let argv = |name| {
            let language = set.find(name).unwrap();
            Driver::of(language.session.unwrap()).unwrap().argv(language).unwrap()
        };
        assert_eq!(argv("python"), ["python3", "-B", ".rollcage/driver.py"]);
        assert_eq!(argv("bash"), ["bash", ".rollcage/driver.sh"]);
        let text = "prompt: p\nfilename: a.py\nexecute: cd x && python3 a.py\n";
        let hidden = Language::parse("hidden.yaml", text).unwrap();
        assert_eq!(
            PYTHON.argv(&hidden).unwrap_err().to_string(),
            "the command of language `hidden` does not have `a.py` as an argument of its own"
        );
    }

    #[test]
    fn every_file_lies_in_the_reserved_directory() {
        let (first, second) = (Cell { stdin: Arc::from(*b"in"), ..Cell::new("a = 1") }, Cell::new("a"));
        let files = PYTHON.files(7, &[(1, &first), (3, &second)]);
        let names: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
        let expected = ["driver.py", "cells/1.py", "cells/1.stdin", "cells/3.py", "plan"];
        assert_eq!(names, expected.map(|name| format!("{DIRECTORY}{name}")));
        assert!(files.iter().all(|file| is_reserved(&file.path)));
        assert_eq!(&*files[4].content, b"7\n1\n3\n");
        assert_eq!(&*files[1].content, b"a = 1", "cells are never edited");
        assert!(!is_reserved(&RelativePath::new(".rollcage.txt").unwrap()));
        assert!(is_reserved(&RelativePath::new(".rollcage").unwrap()));
    }
}

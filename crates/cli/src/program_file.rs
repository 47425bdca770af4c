//! The program a person names: its bytes, and the language it is written in.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use rollcage_language::{Language, LanguageSet};

use crate::failure::Failure;
use crate::language_files;

/// A program or an input is held in memory and handed to a cage whole. Larger ones are data, and belong in files.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Reads the file at `path`, or standard input for `-`. `what` names it in messages.
pub(crate) fn read(path: &Path, what: &str) -> Result<Vec<u8>, Failure> {
    let name = if is_stdin(path) { "standard input".to_owned() } else { format!("`{}`", path.display()) };
    let bytes = if is_stdin(path) {
        read_bounded(io::stdin().lock())
    } else {
        File::open(path).and_then(read_bounded)
    };
    let bytes = bytes.with_context(|| format!("cannot read {what} {name}")).map_err(Failure::bad_input)?;
    bytes.ok_or_else(|| {
        let error = anyhow::anyhow!("{what} {name} is larger than {} MiB", FILE_BYTES_MAX >> 20);
        Failure::bad_input(error)
    })
}

/// Whether `path` stands for standard input.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// The language of the program: `word` where one is given, otherwise what the file's ending or its `#!` line says.
pub(crate) fn language(
    set: &LanguageSet,
    word: Option<&str>,
    path: &Path,
    source: &[u8],
) -> Result<Arc<Language>, Failure> {
    if let Some(word) = word {
        return language_files::find(set, word);
    }
    let ending = path.extension().and_then(|ending| ending.to_str());
    let named = ending.and_then(|ending| by_ending(set, ending)).or_else(|| by_shebang(set, source));
    named.ok_or_else(|| {
        let message = match ending {
            Some(ending) => format!("no language has files that end in `.{ending}`"),
            None => "nothing says which language the program is written in".to_owned(),
        };
        Failure::usage(message).with_hint("name it with -l; `rollcage languages list` shows the languages")
    })
}

fn by_ending(set: &LanguageSet, ending: &str) -> Option<Arc<Language>> {
    let has_ending = |language: &&Arc<Language>| {
        Path::new(language.filename.as_str()).extension().is_some_and(|own| own.eq_ignore_ascii_case(ending))
    };
    // What a language calls its own files comes first; an alias may be a habit of speech.
    set.iter().find(has_ending).or_else(|| set.find(ending).ok()).map(Arc::clone)
}

/// `#!/usr/bin/env python3 -u` and `#!/bin/bash` alike name an interpreter.
fn by_shebang(set: &LanguageSet, source: &[u8]) -> Option<Arc<Language>> {
    let line = source.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split_whitespace().filter(|word| !word.starts_with('-'));
    let first = file_name(words.next()?)?;
    let interpreter = if first == "env" { file_name(words.next()?)? } else { first };
    set.find(&interpreter).ok().map(Arc::clone)
}

fn file_name(path: &str) -> Option<String> {
    PathBuf::from(path).file_name()?.to_str().map(str::to_owned)
}

/// `None` if there is more than may be read.
fn read_bounded(reader: impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    reader.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= FILE_BYTES_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_and_shebangs_name_languages() {
        let set = LanguageSet::built_in();
        for (path, source, expected) in [
            ("a.py", "", Some("python")),
            ("a.CPP", "", Some("cpp")),
            ("a.cxx", "", Some("cpp")),
            ("a.c", "", Some("c")),
            ("a.js", "", Some("javascript")),
            ("dir.d/a.sh", "#!/usr/bin/env python3", Some("bash")),
            ("a", "#!/usr/bin/env -S python3 -u\n", Some("python")),
            ("-", "#! /bin/bash\necho", Some("bash")),
            ("a.cobol", "", None),
            ("a", "print(1)", None),
            ("a", "#!\n", None),
        ] {
            let found = language(&set, None, Path::new(path), source.as_bytes());
            assert_eq!(
                found.ok().map(|language| language.name.clone()).as_deref(),
                expected,
                "{path} {source}"
            );
        }
    }
}

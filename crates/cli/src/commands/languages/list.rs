//! `rollcage languages list`.

use rollcage_api::ExitCode;
use rollcage_language::Language;
use serde::Serialize;

use crate::commands::languages::args::Choice;
use crate::failure::Failure;
use crate::language_files::{Origins, select};
use crate::{output, table, toolchain};

#[derive(Serialize)]
struct ListReport {
    languages: Vec<LanguageEntry>,
}

#[derive(Serialize)]
struct LanguageEntry {
    name: String,
    display: String,
    aliases: Vec<String>,
    /// The language file: a path, or `built-in`.
    file: String,
    compiled: bool,
    session: bool,
    /// Whether every program of the toolchain is on this host.
    ready: bool,
    missing: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(choice: &Choice) -> Result<u8, Failure> {
    let set = choice.languages.load()?;
    let origins = choice.languages.origins()?;
    let languages = select(&set, &choice.names)?.iter().map(|language| entry(language, &origins)).collect();
    let report = ListReport { languages };
    if choice.json {
        output::print_json(&report)?;
    } else {
        output::print_text(&text(&report))?;
    }
    Ok(ExitCode::Success.number())
}

fn entry(language: &Language, origins: &Origins) -> LanguageEntry {
    let missing = toolchain::missing(language);
    LanguageEntry {
        name: language.name.clone(),
        display: language.display.clone(),
        aliases: language.aliases.clone(),
        file: origins.get(&language.name).cloned().unwrap_or_else(|| "built-in".to_owned()),
        compiled: language.compile_command().is_some(),
        session: language.session.is_some(),
        ready: missing.is_empty(),
        missing,
    }
}

fn text(report: &ListReport) -> String {
    let row = |entry: &LanguageEntry| {
        let toolchain = match entry.missing.as_slice() {
            [] => "found".to_owned(),
            missing => format!("missing {}", missing.join(", ")),
        };
        [entry.name.clone(), entry.aliases.join(" "), entry.file.clone(), toolchain]
    };
    table::render(["name", "also called", "file", "toolchain"], report.languages.iter().map(row))
}

//! `rollcage languages list`.

use std::sync::Arc;

use rollcage_api::ExitCode;
use rollcage_language::Language;
use serde::Serialize;

use crate::cage_options::CageOptions;
use crate::commands::languages::args::Choice;
use crate::commands::languages::versions;
use crate::failure::Failure;
use crate::interrupt::cancellable;
use crate::language_files::{Origins, select};
use crate::visible_text::visible_line;
use crate::{output, table, toolchain};

/// Characters of a version in a table.
const VERSION_CHARACTERS_MAX: usize = 60;

#[derive(Serialize)]
struct ListReport {
    languages: Vec<LanguageEntry>,
}

#[derive(Serialize)]
struct LanguageEntry {
    name: String,
    display: String,
    aliases: Vec<String>,
    /// Whether its toolchain is on this host, or its root is built.
    present: bool,
    /// The first line its version command prints in a cage; `None` where it is not known.
    version: Option<String>,
    /// Whether something is kept started for it. Not yet for any language.
    warm: bool,
    /// The language file: a path, or `built-in`.
    source: String,
    toolchain: ToolchainKind,
    missing: Vec<String>,
    compiled: bool,
    session: bool,
}

/// Where a language's programs are.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum ToolchainKind {
    /// On the host.
    Host,
    /// In a root file system of its own.
    Root,
}

/// Runs the command.
pub(crate) fn run(choice: &Choice, cages: &CageOptions) -> Result<u8, Failure> {
    let set = choice.languages.load()?;
    let origins = choice.languages.origins()?;
    let languages = select(&set, &choice.names)?;
    let (json, cages) = (choice.json, cages.host_config(None));
    cancellable(move |cancel| {
        let mut versions = versions::ask(&languages, &cages, cancel);
        if cancel.is_cancelled() {
            return Ok(ExitCode::Cancelled.number());
        }
        let mut entry = |language: &Arc<Language>| entry(language, &origins, versions.remove(&language.name));
        let report = ListReport { languages: languages.iter().map(&mut entry).collect() };
        if json {
            output::print_json(&report)?;
        } else {
            output::print_text(&text(&report))?;
        }
        Ok(ExitCode::Success.number())
    })
}

fn entry(language: &Language, origins: &Origins, version: Option<String>) -> LanguageEntry {
    let missing = toolchain::missing(language);
    LanguageEntry {
        name: language.name.clone(),
        display: language.display.clone(),
        aliases: language.aliases.clone(),
        present: missing.is_empty(),
        version,
        warm: false,
        source: origins.get(&language.name).cloned().unwrap_or_else(|| "built-in".to_owned()),
        toolchain: if language.root.is_some() { ToolchainKind::Root } else { ToolchainKind::Host },
        missing,
        compiled: language.compile_command().is_some(),
        session: language.session.is_some(),
    }
}

fn text(report: &ListReport) -> String {
    let row = |entry: &LanguageEntry| {
        let toolchain = match (entry.missing.as_slice(), entry.toolchain) {
            ([], ToolchainKind::Host) => "found".to_owned(),
            ([], ToolchainKind::Root) => "root built".to_owned(),
            (missing, ToolchainKind::Host) => format!("missing {}", missing.join(", ")),
            (_, ToolchainKind::Root) => "root not built".to_owned(),
        };
        let version = entry.version.as_deref().unwrap_or("-");
        let version = visible_line(version, VERSION_CHARACTERS_MAX);
        [entry.name.clone(), entry.aliases.join(" "), entry.source.clone(), toolchain, version]
    };
    table::render(["name", "also called", "source", "toolchain", "version"], report.languages.iter().map(row))
}

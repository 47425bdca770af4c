//! `rollcage languages install`: the install lines of language files, run on the host.
//!
//! The one place that runs something outside the cage: the line is the administrator's own or comes with this
//! binary, and it is printed before it runs.

use std::process::{Command, Stdio};

use anyhow::Context as _;
use rollcage_api::ExitCode;
use rollcage_language::{Install, Language};
use serde::Serialize;

use crate::commands::languages::args::Choice;
use crate::failure::Failure;
use crate::language_files::select;
use crate::{output, table, toolchain};

#[derive(Serialize)]
struct InstallReport {
    languages: Vec<InstallResult>,
}

#[derive(Serialize)]
struct InstallResult {
    language: String,
    result: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Present,
    Installed,
    Failed,
    /// The file says how only for an image, or not at all.
    Manual,
    /// It has a root file system of its own, which is built.
    Build,
}

/// Runs the command.
pub(crate) fn run(choice: &Choice) -> Result<u8, Failure> {
    let set = choice.languages.load()?;
    let languages = select(&set, &choice.names)?;
    let results = languages.iter().map(|language| install(language)).collect::<Result<Vec<_>, _>>()?;
    let done = results.iter().all(|result| matches!(result.result, Outcome::Present | Outcome::Installed));
    let report = InstallReport { languages: results };
    if choice.json {
        output::print_json(&report)?;
    } else {
        output::print_text(&text(&report))?;
    }
    Ok(if done { ExitCode::Success } else { ExitCode::MissingToolchain }.number())
}

fn install(language: &Language) -> Result<InstallResult, Failure> {
    let result = |result, command: Option<&String>, reason: Option<String>| InstallResult {
        language: language.name.clone(),
        result,
        command: command.cloned(),
        reason,
    };
    if toolchain::missing(language).is_empty() {
        return Ok(result(Outcome::Present, None, None));
    }
    if language.root.is_some() {
        let (line, reason) =
            (format!("rollcage languages build {}", language.name), "it has a root file system of its own");
        return Ok(result(Outcome::Build, Some(&line), Some(reason.to_owned())));
    }
    let line = match &language.install {
        Some(Install::Shell(line)) => line,
        Some(Install::ContainerInstructions(lines)) => {
            let reason = "its file says how to build an image; do the same here";
            return Ok(result(Outcome::Manual, Some(lines), Some(reason.to_owned())));
        }
        None => return Ok(result(Outcome::Manual, None, Some("its file does not say how".to_owned()))),
    };
    output::note(&format!("installing {}: {line}", language.display));
    let status = Command::new("/bin/sh")
        .args(["-c", line])
        // A package manager that asks questions would wait for ever.
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        // Standard output is for our own answer.
        .stdout(Stdio::from(std::io::stderr()))
        .status()
        .with_context(|| format!("cannot run `{line}`"))
        .map_err(Failure::infrastructure)?;
    let missing = toolchain::missing(language);
    Ok(if !status.success() {
        result(
            Outcome::Failed,
            Some(line),
            Some(format!("the command ended with {status}; does it need root?")),
        )
    } else if !missing.is_empty() {
        let reason = format!("the command succeeded, but {} is still missing", missing.join(", "));
        result(Outcome::Failed, Some(line), Some(reason))
    } else {
        result(Outcome::Installed, Some(line), None)
    })
}

fn text(report: &InstallReport) -> String {
    let row = |one: &InstallResult| {
        let result = match one.result {
            Outcome::Present => "already here",
            Outcome::Installed => "installed",
            Outcome::Failed => "failed",
            Outcome::Manual => "not installed",
            Outcome::Build => "not built",
        };
        let texts = [one.command.clone().unwrap_or_default(), one.reason.clone().unwrap_or_default()];
        let [command, reason] = texts;
        [one.language.clone(), result.to_owned(), command, reason]
    };
    table::render(["language", "result", "command", "reason"], report.languages.iter().map(row))
}

//! `rollcage doctor`: what this host enforces, and which languages it can run.

use rollcage_api::{ExitCode, MechanismRecord};
use rollcage_language::{Install, Language, LanguageSet};
use rollcage_sandbox::{Cancel, Finding, Host, HostConfig, HostReport, LevelReport, probe};
use serde::Serialize;

use crate::cage_options::CageOptions;
use crate::failure::Failure;
use crate::interrupt::cancellable;
use crate::language_files::LanguagesOption;
use crate::{host, output, table, toolchain};

/// Show what this host enforces and which languages it can run
///
/// Looks at the host, tries every isolation level, and asks every toolchain for its version in a cage. Says what would
/// raise the level: a setting of the container, a sysctl, an AppArmor profile. Ends with 0 if the level asked for works,
/// and with 113 if it does not; missing toolchains are shown and change nothing.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Print one JSON object instead of tables
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    languages: LanguagesOption,
    #[command(flatten)]
    cages: CageOptions,
}

const EXAMPLES: &str = "\
Examples:
  rollcage doctor
  rollcage doctor --json | jq '.mechanisms[] | select(.state != \"full\")'";

#[derive(Serialize)]
struct DoctorReport {
    /// The isolation level that was tried.
    level: &'static str,
    /// Whether it works.
    works: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    findings: Vec<FindingReport>,
    /// Every level, the strongest first.
    levels: Vec<LevelRow>,
    mechanisms: Vec<MechanismRecord>,
    languages: Vec<LanguageReport>,
}

#[derive(Serialize)]
struct LevelRow {
    level: &'static str,
    works: bool,
    /// What is not in force in full, or why it does not start.
    lacks: Vec<String>,
    /// What would let it start.
    hints: Vec<String>,
}

#[derive(Serialize)]
struct FindingReport {
    name: &'static str,
    value: String,
    suffices: bool,
    hint: Option<String>,
}

#[derive(Serialize)]
struct LanguageReport {
    name: String,
    ready: bool,
    version: Option<String>,
    missing: Vec<String>,
    install: Option<String>,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<u8, Failure> {
    let set = args.languages.load()?;
    let json = args.json;
    let config = args.cages.host_config(None);
    cancellable(move |cancel| {
        let report = examine(&set, &config, cancel);
        if json {
            output::print_json(&report)?;
        } else {
            output::print_text(&text(&report))?;
        }
        Ok(if report.works { ExitCode::Success } else { ExitCode::Infrastructure }.number())
    })
}

fn examine(set: &LanguageSet, config: &HostConfig, cancel: &Cancel) -> DoctorReport {
    let HostReport { findings, levels, started } = probe(&HostConfig { slots: 1, ..config.clone() });
    let host = started.is_ok().then(|| host::start_with(1, config.clone()).ok()).flatten();
    let (mechanisms, error) = match started {
        Ok(enforcement) => (MechanismRecord::list(&enforcement), None),
        Err(error) => (Vec::new(), Some(format!("{:#}", anyhow::Error::new(error)))),
    };
    DoctorReport {
        level: config.isolation.as_str(),
        works: error.is_none(),
        error,
        findings: findings.into_iter().map(finding).collect(),
        levels: levels.into_iter().map(level_row).collect(),
        mechanisms,
        languages: set.iter().map(|language| examine_language(language, host.as_ref(), cancel)).collect(),
    }
}

fn level_row(report: LevelReport) -> LevelRow {
    let LevelReport { level, started, hints } = report;
    let (works, lacks) = match started {
        Ok(enforcement) => {
            (true, enforcement.gaps().map(|(mechanism, _)| mechanism.as_str().to_owned()).collect())
        }
        Err(error) => (false, vec![format!("{:#}", anyhow::Error::new(error))]),
    };
    LevelRow { level: level.as_str(), works, lacks, hints }
}

fn finding(finding: Finding) -> FindingReport {
    let Finding { name, value, suffices, hint } = finding;
    FindingReport { name, value, suffices, hint }
}

fn examine_language(language: &Language, host: Option<&Host>, cancel: &Cancel) -> LanguageReport {
    let missing = toolchain::missing(language);
    let ready = missing.is_empty();
    LanguageReport {
        name: language.name.clone(),
        version: host.filter(|_| ready).and_then(|host| toolchain::version(host, language, cancel)),
        ready,
        missing,
        install: language.install.as_ref().map(|install| match install {
            Install::Shell(line) | Install::ContainerInstructions(line) => line.clone(),
        }),
    }
}

fn text(report: &DoctorReport) -> String {
    let finding = |finding: &FindingReport| {
        let mark = if finding.suffices { "✓" } else { "✗" };
        let hint = finding.hint.clone().unwrap_or_default();
        [mark.to_owned(), finding.name.to_owned(), finding.value.clone(), hint]
    };
    let mechanism = |mechanism: &MechanismRecord| {
        let mark = if mechanism.state == "full" { "✓" } else { "!" };
        let why = mechanism.why.clone().unwrap_or_default();
        [mark.to_owned(), mechanism.mechanism.clone(), mechanism.state.clone(), why]
    };
    let language = |language: &LanguageReport| {
        let name = language.name.clone();
        if language.ready {
            let version = language.version.clone().unwrap_or_else(|| "version unknown".to_owned());
            return ["✓".to_owned(), name, version, String::new()];
        }
        let install = language.install.clone().unwrap_or_else(|| "its file does not say how".to_owned());
        ["–".to_owned(), name, format!("missing {}", language.missing.join(", ")), install]
    };
    let level = |level: &LevelRow| {
        let mark = if level.works { "✓" } else { "✗" };
        let lacks = if level.lacks.is_empty() { "nothing".to_owned() } else { level.lacks.join(", ") };
        [mark.to_owned(), level.level.to_owned(), lacks, level.hints.join("; ")]
    };
    let mut text = table::render(["", "host", "found", "hint"], report.findings.iter().map(finding));
    text.push('\n');
    text.push_str(&table::render(["", "level", "lacks", "what would help"], report.levels.iter().map(level)));
    text.push('\n');
    if !report.mechanisms.is_empty() {
        let rows = report.mechanisms.iter().map(mechanism);
        text.push_str(&table::render(["", "mechanism", "state", "why"], rows));
        text.push('\n');
    }
    text.push_str(&table::render(
        ["", "language", "toolchain", "install with"],
        report.languages.iter().map(language),
    ));
    let level = report.level;
    text.push_str(&match &report.error {
        None => format!("\nIsolation level `{level}` works.\n"),
        Some(error) => format!("\nIsolation level `{level}` does not work: {error}\n"),
    });
    text
}

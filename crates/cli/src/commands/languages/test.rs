//! `rollcage languages test`: the self-tests of languages, run in the cage.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use rollcage_api::ExitCode;
use rollcage_engine::drive::root_tree;
use rollcage_language::{Language, SelfTest, SelfTestRun};
use rollcage_roots::Roots;
use rollcage_sandbox::{Cancel, Host, HostConfig, RootTree};
use rollcage_types::ExecRequest;
use serde::Serialize;

use crate::cage_options::CageOptions;
use crate::commands::languages::args::Choice;
use crate::execute::{Executed, execute};
use crate::failure::Failure;
use crate::interrupt::cancellable;
use crate::language_files::select;
use crate::{host, output, table, toolchain};

#[derive(Serialize)]
struct TestReport {
    passed: usize,
    failed: usize,
    missing_toolchains: usize,
    tests: Vec<TestResult>,
}

#[derive(Serialize)]
struct TestResult {
    language: String,
    test: String,
    result: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Passed,
    Failed,
    MissingToolchain,
}

/// Runs the command.
pub(crate) fn run(choice: &Choice, cages: &CageOptions) -> Result<u8, Failure> {
    let set = choice.languages.load()?;
    let languages = select(&set, &choice.names)?;
    let json = choice.json;
    let cages = cages.host_config(None);
    cancellable(move |cancel| {
        let report = report(test_all(&languages, &cages, cancel)?);
        if cancel.is_cancelled() {
            return Ok(ExitCode::Cancelled.number());
        }
        if json {
            output::print_json(&report)?;
        } else {
            output::print_text(&text(&report))?;
        }
        Ok(report.exit_code().number())
    })
}

/// A test, or the lack of what it needs.
struct Planned<'a> {
    language: &'a Language,
    /// The root of the language's own.
    root: Option<PathBuf>,
    test: Result<&'a SelfTest, String>,
}

fn plan<'a>(language: &'a Language, cages: &HostConfig) -> Vec<Planned<'a>> {
    let lacks = |reason| vec![Planned { language, root: None, test: Err(reason) }];
    let root = match root_tree(cages, &Roots::of_user(), language) {
        Ok(root) => root,
        Err(error) => {
            return lacks(error.hint().map_or(error.to_string(), |hint| format!("{error}; {hint}")));
        }
    };
    let missing = toolchain::missing(language);
    if !missing.is_empty() {
        return lacks(format!("{} not found; {}", missing.join(", "), host::install_hint(language)));
    }
    let planned = |test| Planned { language, root: root.clone(), test: Ok(test) };
    language.tests.iter().map(planned).collect()
}

/// A host for each root that a test needs.
fn start_hosts(
    planned: &[Planned<'_>],
    workers: usize,
    cages: &HostConfig,
) -> Result<BTreeMap<Option<PathBuf>, Host>, Failure> {
    let roots: BTreeSet<_> =
        planned.iter().filter(|one| one.test.is_ok()).map(|one| one.root.clone()).collect();
    let start = |root: Option<PathBuf>| {
        let tree = root.clone().map_or_else(|| cages.tree.clone(), RootTree::Directory);
        Ok((root, host::start_with(workers, HostConfig { tree, ..cages.clone() })?))
    };
    roots.into_iter().map(start).collect()
}

/// Runs every test, as many at once as there are processors, and returns the results in the order of the files.
fn test_all(
    languages: &[Arc<Language>],
    cages: &HostConfig,
    cancel: &Cancel,
) -> Result<Vec<TestResult>, Failure> {
    let planned: Vec<Planned<'_>> = languages.iter().flat_map(|language| plan(language, cages)).collect();
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(planned.len().max(1));
    let hosts = start_hosts(&planned, workers, cages)?;
    let next = AtomicUsize::new(0);
    let (sender, results) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let (hosts, planned, next, sender) = (&hosts, &planned, &next, sender.clone());
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(one) = planned.get(index) else { break };
                    // The receiver lives until every worker has ended.
                    let _unheard = sender.send((index, perform(hosts, one, cancel)));
                }
            });
        }
    });
    drop(sender);
    let mut results: Vec<_> = results.into_iter().collect();
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

fn perform(
    hosts: &BTreeMap<Option<PathBuf>, Host>,
    planned: &Planned<'_>,
    cancel: &Cancel,
) -> Result<TestResult, Failure> {
    let language = planned.language;
    let result = |test: &str, result, reason| TestResult {
        language: language.name.clone(),
        test: test.to_owned(),
        result,
        reason,
    };
    let test = match &planned.test {
        Ok(test) => *test,
        Err(reason) => return Ok(result("toolchain", Outcome::MissingToolchain, Some(reason.clone()))),
    };
    let host = hosts.get(&planned.root).expect("a host was started for each root");
    let adjust = |request: &mut ExecRequest| {
        request.limits = language.run_limits(&test.limits);
        request.stdin = test.stdin.as_bytes().into();
    };
    let executed = execute(host, language, test.program.clone().into_bytes(), adjust, cancel)?;
    let run = match &executed {
        Executed::CompileFailed(outcome) => SelfTestRun::CompileFailed(outcome),
        Executed::Ran { outcome, .. } => SelfTestRun::Ran(outcome),
    };
    Ok(match test.check(run) {
        Ok(()) => result(&test.name, Outcome::Passed, None),
        Err(mismatch) => result(&test.name, Outcome::Failed, Some(mismatch.to_string())),
    })
}

fn report(tests: Vec<TestResult>) -> TestReport {
    let count = |outcome| tests.iter().filter(|test| test.result == outcome).count();
    TestReport {
        passed: count(Outcome::Passed),
        failed: count(Outcome::Failed),
        missing_toolchains: count(Outcome::MissingToolchain),
        tests,
    }
}

impl TestReport {
    fn exit_code(&self) -> ExitCode {
        match (self.failed, self.missing_toolchains) {
            (0, 0) => ExitCode::Success,
            (0, _) => ExitCode::MissingToolchain,
            (_, _) => ExitCode::NotAccepted,
        }
    }
}

fn text(report: &TestReport) -> String {
    let row = |test: &TestResult| {
        let result = match test.result {
            Outcome::Passed => "✓ passed",
            Outcome::Failed => "✗ failed",
            Outcome::MissingToolchain => "– missing",
        };
        [test.language.clone(), test.test.clone(), result.to_owned(), test.reason.clone().unwrap_or_default()]
    };
    let table = table::render(["language", "test", "result", "reason"], report.tests.iter().map(row));
    let TestReport { passed, failed, missing_toolchains, .. } = report;
    format!("{table}\n{passed} passed, {failed} failed, {missing_toolchains} without a toolchain\n")
}

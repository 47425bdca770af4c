//! What the server adds to the library: the same work asked of an engine in this process, and of `rollcage serve` in
//! another.

mod client;
mod crowd;
mod served;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use rollcage_api::{BenchReport, BenchRow, BenchTarget};
use rollcage_engine::drive::{self, Engine, EngineConfig, Executed, Program};
use rollcage_judge::{Checker, JudgeOptions, Problem, TestCase, Tests};
use rollcage_language::{Language, LanguageSet};
use rollcage_roots::Roots;
use rollcage_sandbox::{Cancel, HostConfig};
use rollcage_types::{LimitOverrides, ProblemId};
use serde_json::{Value, json};

use self::client::Client;
use self::served::Served;
use crate::bench::machine;
use crate::bench::measure::{Effort, Subject, measure};
use crate::bench::spread::milliseconds;
use crate::failure::Failure;
use crate::{host, toolchain};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum HttpCase {
    /// A run of `/bin/true`.
    True,
    /// A run of a Python program that prints a line.
    Python,
    /// A judgement of a Python program on ten cases.
    #[value(name = "judge-10")]
    Judge10,
}

/// How it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum HttpMode {
    /// One client with one connection.
    #[value(name = "http-1")]
    One,
    /// 64 clients at once, each with a connection of its own.
    #[value(name = "http-64")]
    Many,
}

/// What to measure and for how long.
#[derive(Clone, Debug)]
pub(crate) struct HttpPlan {
    pub(crate) host: HostConfig,
    pub(crate) cases: Vec<HttpCase>,
    pub(crate) modes: Vec<HttpMode>,
    pub(crate) effort: Effort,
}

const LIBRARY: &str = "library";
/// Clients of `http-64`.
const CLIENTS: usize = 64;
/// Cases of `judge-10`.
const JUDGED_CASES: usize = 10;
/// The promise, as the specification has it.
const ADDED_MS_MAX: f64 = 0.4;

/// A language whose programs do nothing, so that what is around them shows.
const TRUE_YAML: &str = "display: nothing\nprompt: Anything.\nfilename: snippet.txt\nexecute: /bin/true\n";
const PYTHON_SOURCE: &str = "print('hello')\n";
const SOLUTION: &str = "print(int(input()) + 1)\n";

/// Measures every case of `plan`.
pub(crate) fn http(plan: &HttpPlan, cancel: &Cancel) -> Result<BenchReport, Failure> {
    let machine = machine::describe();
    let languages = LanguageSet::built_in()
        .with_directory_files(vec![("true.yaml".to_owned(), TRUE_YAML.to_owned())])
        .map_err(Failure::infrastructure)?;
    let served = Served::start(&plan.host, TRUE_YAML)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
        .map_err(Failure::infrastructure)?;
    let engine = Engine::start(EngineConfig::plain(plan.host.clone(), Roots::of_user(), languages))
        .map_err(host::cannot_start)?;
    let mut rows = Vec::new();
    for case in &plan.cases {
        let work = Work::new(*case, &engine, &plan.host)?;
        rows.append(&mut measured(plan, *case, &work, &served, &engine, runtime.handle(), cancel)?);
    }
    let targets = plan.cases.iter().filter_map(|case| target(*case, &rows)).collect();
    Ok(BenchReport { bench: "http".to_owned(), machine, rows, targets })
}

fn measured(
    plan: &HttpPlan,
    case: HttpCase,
    work: &Work,
    served: &Served,
    engine: &Engine,
    runtime: &tokio::runtime::Handle,
    cancel: &Cancel,
) -> Result<Vec<BenchRow>, Failure> {
    let idle = Mutex::new(Vec::new());
    let library = || runtime.block_on(work.in_library(engine));
    let over_http = || {
        // As many connections as threads ask at once: each keeps one alive.
        let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut client = kept.map_or_else(|| Client::connect(served.address()), Ok)?;
        work.over_http(&mut client)?;
        idle.lock().unwrap_or_else(PoisonError::into_inner).push(client);
        Ok(())
    };
    let mut subjects = vec![Subject { case: case.name(), mode: LIBRARY, before: None, once: &library }];
    if plan.modes.contains(&HttpMode::One) {
        subjects.push(Subject {
            case: case.name(),
            mode: HttpMode::One.name(),
            before: None,
            once: &over_http,
        });
    }
    let mut rows = measure(&subjects, plan.effort, cancel)?;
    if plan.modes.contains(&HttpMode::Many) {
        rows.push(crowd::measure(
            case.name(),
            HttpMode::Many.name(),
            served.address(),
            work,
            plan.effort,
            cancel,
        )?);
    }
    Ok(rows)
}

impl HttpCase {
    /// Every case.
    pub(crate) const ALL: [Self; 3] = [Self::True, Self::Python, Self::Judge10];

    const fn name(self) -> &'static str {
        match self {
            Self::True => "true",
            Self::Python => "python",
            Self::Judge10 => "judge-10",
        }
    }
}

impl HttpMode {
    /// Every mode.
    pub(crate) const ALL: [Self; 2] = [Self::One, Self::Many];

    const fn name(self) -> &'static str {
        match self {
            Self::One => "http-1",
            Self::Many => "http-64",
        }
    }
}

/// One piece of work, as both sides are asked for it.
struct Work {
    asked: Asked,
    path: &'static str,
    body: Vec<u8>,
    /// What is in a reply that says that all went well.
    sign: &'static str,
}

enum Asked {
    Run(Box<Program>),
    Judge { problem: Arc<Problem>, language: Arc<Language> },
}

impl Work {
    fn new(case: HttpCase, engine: &Engine, config: &HostConfig) -> Result<Self, Failure> {
        let language = |name: &str| {
            let language =
                engine.languages().find(name).map_err(|error| Failure::infrastructure(*Box::new(error)))?;
            toolchain::require(language, config)?;
            Ok::<_, Failure>(Arc::clone(language))
        };
        let run = |language: Arc<Language>, code: &str| {
            let body = json!({"language": language.name, "code": code});
            let asked = Asked::Run(Box::new(Program::new(language, code.as_bytes())));
            Self {
                asked,
                path: "/v1/execute",
                body: body.to_string().into(),
                sign: r#"{"kind":"exited","code":0}"#,
            }
        };
        Ok(match case {
            HttpCase::True => run(language("true")?, ""),
            HttpCase::Python => run(language("python")?, PYTHON_SOURCE),
            HttpCase::Judge10 => {
                let language = language("python")?;
                let (problem, cases) = problem();
                let body =
                    json!({"language": language.name, "solution": SOLUTION, "problem": {"cases": cases}});
                let asked = Asked::Judge { problem: Arc::new(problem), language };
                let sign = r#""verdict":"accepted","score":1.0"#;
                Self { asked, path: "/v1/judge", body: body.to_string().into(), sign }
            }
        })
    }

    async fn in_library(&self, engine: &Engine) -> Result<(), Failure> {
        let went_well = match &self.asked {
            Asked::Run(program) => {
                let cages = engine.cages(&program.language).await.map_err(Failure::infrastructure)?;
                let (executed, _) = drive::execute(&cages, program).await.map_err(Failure::infrastructure)?;
                matches!(&executed, Executed::Ran { run, .. } if run.termination.is_success())
            }
            Asked::Judge { problem, language } => {
                // As the server judges: the cases of one judgement share the processors.
                let parallel = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
                let options = JudgeOptions { parallel, ..JudgeOptions::default() };
                drive::judge(engine, problem, language, SOLUTION, options).await.judgement.is_accepted()
            }
        };
        if went_well {
            Ok(())
        } else {
            Err(Failure::infrastructure(anyhow::anyhow!("the benchmark's program failed")))
        }
    }

    fn over_http(&self, client: &mut Client) -> Result<(), Failure> {
        let reply = client.post(self.path, &self.body)?;
        if reply.contains(self.sign) {
            return Ok(());
        }
        Err(Failure::infrastructure(anyhow::anyhow!("the server answered `{reply}`")))
    }
}

fn problem() -> (Problem, Vec<Value>) {
    let texts: Vec<(String, String)> =
        (0..JUDGED_CASES).map(|number| (format!("{number}\n"), format!("{}\n", number + 1))).collect();
    let case = |(stdin, expected): &(String, String)| TestCase {
        stdin: stdin.as_bytes().into(),
        expected: expected.as_bytes().into(),
    };
    let problem = Problem {
        id: ProblemId::new("judge-10"),
        language: None,
        tests: Tests::Cases(texts.iter().map(case).collect()),
        limits: LimitOverrides::default(),
        checker: Checker::Exact,
        files: Vec::new(),
    };
    let rows = texts.iter().map(|(stdin, expected)| json!({"stdin": stdin, "expected": expected})).collect();
    (problem, rows)
}

fn target(case: HttpCase, rows: &[BenchRow]) -> Option<BenchTarget> {
    let find = |mode| rows.iter().find(|row| row.case == case.name() && row.mode == mode);
    let (library, over_http) = (find(LIBRARY)?, find(HttpMode::One.name())?);
    let value = milliseconds(Duration::from_secs_f64((over_http.p50_ms - library.p50_ms).max(0.0) / 1e3));
    Some(BenchTarget {
        name: format!(
            "the server adds to the library at p50 for one client, case {}, in ms, at most",
            case.name()
        ),
        value,
        target: ADDED_MS_MAX,
        holds: value <= ADDED_MS_MAX,
    })
}

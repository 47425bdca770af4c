//! Which programs are copies of an interpreter, and what becomes of the interpreters.

use std::sync::Arc;
use std::time::Duration;

use rollcage_language::{Language, LanguageSet, SelfTestRun, Warm};
use rollcage_sandbox::{Cancel, Host, HostConfig, Mismatch};
use rollcage_types::{ByteSize, ExecOutcome, ExecRequest, FileEntry, IsolationLevel, LimitOverrides, Start};
use rollcage_warm::{Bounds, ColdReason, Pool};

use crate::harness::{Ended, has_module, host_of, kill_python_below, wait_until};

fn language(name: &str) -> Arc<Language> {
    Arc::clone(LanguageSet::built_in().find(name).unwrap())
}

/// Python as it is built in, with these changes of its `warm` section.
fn python_with(warm: &str) -> Language {
    let text = format!(
        "prompt: p\nfilename: snippet.py\nexecute: python3 -B snippet.py\ntoolchain: [python3]\n\
         warm: {{kind: fork, passes: 1, {warm}}}\n"
    );
    Language::parse("python.yaml", &text).unwrap()
}

fn pool_within(bounds: Bounds) -> Option<Pool> {
    let host: Arc<Host> = host_of(&HostConfig::default())?;
    Some(Pool::new(host, Some(bounds)))
}

fn pool() -> Option<Pool> {
    pool_within(Bounds::of_machine())
}

fn request(language: &Language, source: &str) -> ExecRequest {
    language.run_request(vec![language.source_file(source.as_bytes())])
}

fn run(pool: &Pool, language: &Language, source: &str) -> ExecOutcome {
    run_request(pool, language, &request(language, source))
}

fn run_request(pool: &Pool, language: &Language, request: &ExecRequest) -> ExecOutcome {
    pool.run(language, request, &Cancel::new()).unwrap()
}

/// Runs a program that prints a line, and says how it began.
fn start_of(pool: &Pool, language: &Language, source: &str) -> Start {
    let outcome = run(pool, language, source);
    assert!(outcome.termination.is_success(), "{}", outcome.stderr.to_text());
    outcome.start
}

#[test]
fn programs_are_run_cold_until_the_interpreter_waits() {
    let Some(pool) = pool() else { return };
    let python = language("python");
    assert_eq!(start_of(&pool, &python, "print(1)"), Start::Cold);
    assert_eq!(pool.counts().cold_for(ColdReason::Starting), 1);
    pool.await_ready(&python, None).unwrap();
    let outcome = run(&pool, &python, "print(1)");
    assert_eq!((outcome.start, outcome.stdout.to_text().as_str()), (Start::Fork, "1\n"));
    assert_eq!((pool.counts().forks, pool.counts().started), (1, 1));
    let [kept] = pool.kept().try_into().unwrap();
    assert_eq!((kept.language.as_str(), kept.preload, kept.forks), ("python", None, 1));
}

/// The files that a program of `language` is run from.
fn files(pool: &Pool, language: &Arc<Language>, source: &str) -> Result<Vec<FileEntry>, Box<ExecOutcome>> {
    let source = vec![language.source_file(source.as_bytes())];
    let Some(request) = language.compile_request(source.clone()) else { return Ok(source) };
    let compiled = pool.compile(language, &request, &Cancel::new()).unwrap();
    if compiled.termination.is_success() { Ok(compiled.files) } else { Err(Box::new(compiled)) }
}

#[test]
fn every_built_in_recipe_passes_the_self_tests_as_it_does_cold() {
    let Some(pool) = pool() else { return };
    for language in LanguageSet::built_in().iter().filter(|language| language.root.is_none()) {
        let Some(warm) = &language.warm else { continue };
        let missing = language.toolchain.iter().find(|name| {
            !["/usr/bin", "/usr/local/bin"].iter().any(|path| std::path::Path::new(path).join(name).exists())
        });
        if let Some(missing) = missing {
            eprintln!("skipped: no {missing}");
            continue;
        }
        for test in &language.tests {
            let run = match files(&pool, language, &test.program) {
                Err(failed) => {
                    test.check(SelfTestRun::CompileFailed(&failed))
                        .unwrap_or_else(|why| panic!("{}: {why}", test.name));
                    continue;
                }
                Ok(files) => ExecRequest {
                    stdin: test.stdin.as_bytes().into(),
                    limits: language.run_limits(&test.limits),
                    ..language.run_request(files)
                },
            };
            pool.await_ready(language, None)
                .unwrap_or_else(|why| panic!("{}: {}", language.name, why.as_str()));
            let outcome = run_request(&pool, language, &run);
            let as_expected = test.check(SelfTestRun::Ran(&outcome));
            as_expected.unwrap_or_else(|why| panic!("{} {}: {why}", language.name, test.name));
            let expected = match warm {
                Warm::Fork(_) => Start::Fork,
                // Those that wait have the usual limits.
                Warm::Spare(_) if test.limits == LimitOverrides::default() => Start::Spare,
                Warm::Spare(_) => Start::Cold,
            };
            assert_eq!(outcome.start, expected, "{} {}", language.name, test.name);
            let cold = pool.host().run(&run, &Cancel::new()).unwrap();
            assert_eq!(Ended::from(outcome), Ended::from(cold), "{} {}", language.name, test.name);
        }
    }
}

#[test]
fn spares_are_made_again_as_they_are_used() {
    let Some(pool) = pool() else { return };
    let text = "prompt: p\nfilename: snippet\nexecute: cat snippet\ntoolchain: [cat]\nwarm: {kind: spare, spares: 3}\n";
    let cat = Language::parse("cat.yaml", text).unwrap();
    assert_eq!(start_of(&pool, &cat, "a"), Start::Cold);
    for _ in 0..3 {
        pool.await_ready(&cat, None).unwrap();
        let [kept] = pool.kept().try_into().unwrap();
        assert_eq!((kept.language.as_str(), kept.spares), ("cat", 3));
        for _ in 0..3 {
            assert_eq!(start_of(&pool, &cat, "a"), Start::Spare);
        }
    }
    let counts = pool.counts();
    assert_eq!((counts.spares, counts.cold_for(ColdReason::Starting)), (9, 1));
}

#[test]
fn spares_that_do_not_wait_are_given_up() {
    let Some(pool) = pool() else { return };
    let text = "prompt: p\nfilename: snippet\nexecute: \"true\"\ntoolchain: [cat]\nwarm: {kind: spare}\n";
    let language = Language::parse("none.yaml", text).unwrap();
    assert_eq!(pool.await_ready(&language, None), Err(ColdReason::Refused));
    assert_eq!(start_of(&pool, &language, "a"), Start::Cold);
    assert_eq!(pool.counts().cold_for(ColdReason::Refused), 1);
}

#[test]
fn unused_and_outdated_spares_go() {
    let directory = tempfile::tempdir().unwrap();
    let text = format!(
        "prompt: p\nfilename: snippet\nexecute: cat snippet\ntoolchain: [cat]\nwarm: {{kind: spare, watches: [{}]}}\n",
        directory.path().display()
    );
    let cat = Language::parse("cat.yaml", &text).unwrap();
    let Some(pool) = pool() else { return };
    pool.await_ready(&cat, None).unwrap();
    std::fs::write(directory.path().join("new"), "").unwrap();
    wait_until("the change is noticed", || {
        let _ran = start_of(&pool, &cat, "a");
        pool.counts().outdated == 1
    });
    let bounds = Bounds { idle: Duration::from_millis(1), ..Bounds::of_machine() };
    let Some(pool) = pool_within(bounds) else { return };
    pool.await_ready(&cat, None).unwrap();
    wait_until("they are given up", || pool.kept().is_empty());
}

#[test]
fn imports_choose_the_interpreter() {
    if !has_module("pandas") || !has_module("sklearn") || !has_module("sympy") {
        return;
    }
    let Some(pool) = pool() else { return };
    let python = language("python");
    for preload in [None, Some("numpy"), Some("pandas"), Some("data")] {
        pool.await_ready(&python, preload).unwrap();
    }
    let loaded =
        "import sys\nprint('numpy' in sys.modules, 'pandas' in sys.modules, 'sympy' in sys.modules)\n";
    for (imports, expected) in [
        ("", "False False False\n"),
        ("import numpy as np\n", "True False False\n"),
        ("import json\nfrom pandas import DataFrame\n", "True True False\n"),
        ("import pandas\nfrom sympy import Symbol\n", "True True True\n"),
    ] {
        let outcome = run(&pool, &python, &format!("{imports}{loaded}"));
        assert_eq!((outcome.start, outcome.stdout.to_text().as_str()), (Start::Fork, expected), "{imports}");
    }
}

#[test]
fn what_a_copy_could_not_do_is_run_cold_and_counted() {
    let Some(pool) = pool() else { return };
    let python = language("python");
    pool.await_ready(&python, None).unwrap();
    let usual = request(&python, "print(1)");
    let mut without = usual.clone();
    without.files.clear();
    run_request(&pool, &python, &without);
    let mut archive = usual.clone();
    archive.files = vec![python.source_file(*b"print(1)\n#PK\x05\x06")];
    run_request(&pool, &python, &archive);
    let mut other = usual.clone();
    other.env_vars.push(("PYTHONHASHSEED".to_owned(), "1".to_owned()));
    run_request(&pool, &python, &other);
    let counts = pool.counts();
    for reason in [Mismatch::NoProgram, Mismatch::Content].map(ColdReason::Mismatch) {
        assert_eq!(counts.cold_for(reason), 1, "{}", reason.as_str());
    }
    assert_eq!((counts.cold_for(ColdReason::Rare), counts.forks), (1, 0));
    // A compiler, say, is no program.
    let mut compiler = usual;
    compiler.argv = vec!["/bin/true".to_owned()];
    assert_eq!(run_request(&pool, &python, &compiler).start, Start::Cold);
    assert_eq!(pool.counts(), counts);
}

#[test]
fn variables_that_many_programs_have_get_an_interpreter_of_their_own() {
    let Some(pool) = pool() else { return };
    let python = language("python");
    let ask = |seed: &str| {
        let mut request = request(&python, "print(hash('a'))");
        request.env_vars.push(("PYTHONHASHSEED".to_owned(), seed.to_owned()));
        run_request(&pool, &python, &request)
    };
    let cold = ask("7").stdout;
    wait_until("a copy is made", || ask("7").start == Start::Fork);
    assert_eq!(ask("7").stdout, cold);
    // The usual has a seed nobody knows.
    pool.await_ready(&python, None).unwrap();
    assert_ne!(run(&pool, &python, "print(hash('a'))").stdout, cold);
}

fn kill_the_only_one(pool: &Pool) {
    let [kept] = pool.kept().try_into().unwrap();
    kill_python_below(kept.process_id.unwrap());
}

#[test]
fn a_dead_interpreter_fails_no_request_and_is_replaced() {
    let Some(pool) = pool() else { return };
    let python = language("python");
    for turn in 1..=2 {
        pool.await_ready(&python, None).unwrap();
        // Long enough to be taken for a healthy one.
        for _ in 0..20 {
            assert_eq!(start_of(&pool, &python, "print(1)"), Start::Fork);
        }
        kill_the_only_one(&pool);
        // The kernel takes its time.
        wait_until("it is found dead", || start_of(&pool, &python, "print(1)") == Start::Cold);
        assert_eq!((pool.counts().died, pool.counts().cold_for(ColdReason::Died)), (turn, turn));
    }
    pool.await_ready(&python, None).unwrap();
    assert_eq!(start_of(&pool, &python, "print(1)"), Start::Fork);
}

#[test]
fn an_interpreter_that_dies_at_once_is_not_started_again_and_again() {
    let Some(pool) = pool() else { return };
    let python = language("python");
    pool.await_ready(&python, None).unwrap();
    kill_the_only_one(&pool);
    wait_until("it is found dead", || start_of(&pool, &python, "print(1)") == Start::Cold);
    assert_eq!(start_of(&pool, &python, "print(1)"), Start::Cold);
    assert_eq!((pool.counts().started, pool.counts().cold_for(ColdReason::Died)), (1, 2));
    // But once more, a little later.
    wait_until("another is started", || start_of(&pool, &python, "print(1)") == Start::Fork);
}

#[test]
fn an_interpreter_is_renewed_after_so_many_copies() {
    let Some(pool) = pool_within(Bounds { forks: 5, ..Bounds::of_machine() }) else { return };
    let python = language("python");
    pool.await_ready(&python, None).unwrap();
    let hash = || {
        let outcome = run(&pool, &python, "print(hash('a'))");
        assert_eq!(outcome.start, Start::Fork);
        outcome.stdout.to_text()
    };
    let first = hash();
    // The new one has another seed. Nobody waits for it.
    wait_until("another takes its place", || hash() != first);
    assert!(pool.counts().renewed >= 1);
    assert_eq!(pool.kept().len(), 1);
}

#[test]
fn a_changed_toolchain_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let watched = directory.path().join("packages");
    std::fs::create_dir(&watched).unwrap();
    let python = python_with(&format!("watches: [{}]", watched.display()));
    let Some(pool) = pool() else { return };
    pool.await_ready(&python, None).unwrap();
    assert_eq!(start_of(&pool, &python, "print(1)"), Start::Fork);
    let [before] = pool.kept().try_into().unwrap();
    std::fs::write(watched.join("new"), "").unwrap();
    wait_until("it is noticed", || start_of(&pool, &python, "print(1)") == Start::Cold);
    assert_eq!(pool.counts().outdated, 1);
    pool.await_ready(&python, None).unwrap();
    let [after] = pool.kept().try_into().unwrap();
    assert_ne!(after.process_id, before.process_id);
}

#[test]
fn an_interpreter_that_cannot_be_copied_is_given_up_until_its_toolchain_changes() {
    let directory = tempfile::tempdir().unwrap();
    let watches = format!("watches: [{}]", directory.path().display());
    let python = python_with(&format!(
        "{watches}, preloads: [{{name: threads, imports: [json], code: \"import threading, time\\n\
         threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\\n\"}}]"
    ));
    let Some(pool) = pool() else { return };
    assert_eq!(pool.await_ready(&python, Some("threads")), Err(ColdReason::Refused));
    for _ in 0..3 {
        assert_eq!(start_of(&pool, &python, "import json\nprint(1)"), Start::Cold);
    }
    assert_eq!((pool.counts().cold_for(ColdReason::Refused), pool.counts().started), (3, 0));
    std::fs::write(directory.path().join("new"), "").unwrap();
    wait_until("it is tried again", || {
        let _cold = run(&pool, &python, "import json\nprint(1)");
        pool.counts().cold_for(ColdReason::Starting) > 0
    });
}

#[test]
fn interpreters_fit_into_the_memory_they_may_have() {
    let Some(pool) = pool_within(Bounds { memory: ByteSize::kib(64), ..Bounds::of_machine() }) else {
        return;
    };
    let python = language("python");
    assert_eq!(pool.await_ready(&python, None), Err(ColdReason::Memory));
    assert_eq!(start_of(&pool, &python, "print(1)"), Start::Cold);
    assert_eq!((pool.counts().cold_for(ColdReason::Memory), pool.kept().len()), (1, 0));
}

#[test]
fn the_one_that_nobody_used_for_longest_makes_room() {
    let Some(pool) = pool() else { return };
    // Two of the same size; the first may be charged for pages that both use.
    let first = python_with("watches: []");
    let mut second = first.clone();
    second.name = "second".to_owned();
    pool.await_ready(&first, None).unwrap();
    pool.await_ready(&second, None).unwrap();
    let one = pool.kept()[1].memory.unwrap().as_u64();
    drop(pool);
    let memory = ByteSize::bytes(one + one / 2);
    let Some(pool) = pool_within(Bounds { memory, ..Bounds::of_machine() }) else { return };
    pool.await_ready(&first, None).unwrap();
    pool.await_ready(&second, None).unwrap();
    let kept: Vec<_> = pool.kept().into_iter().map(|kept| kept.language).collect();
    assert_eq!(kept, ["second"]);
}

#[test]
fn what_nobody_uses_is_given_up() {
    let bounds = Bounds { idle: Duration::from_millis(1), ..Bounds::of_machine() };
    let Some(pool) = pool_within(bounds) else { return };
    let holders = || Arc::strong_count(pool.host());
    let before = holders();
    // Nobody waits for it to be ready, which it may be for a moment only.
    pool.ahead(&language("perl"), None);
    wait_until("it is started", || pool.counts().started == 1);
    // An interpreter holds the host from before it is kept until it is gone.
    wait_until("it is given up", || holders() == before);
    assert!(pool.kept().is_empty());
}

#[test]
fn without_bounds_or_mounts_nothing_is_kept() {
    let python = language("python");
    if let Some(host) = host_of(&HostConfig::default()) {
        let pool = Pool::new(host, None);
        assert_eq!(pool.await_ready(&python, None), Err(ColdReason::Off));
        assert_eq!(start_of(&pool, &python, "print(1)"), Start::Cold);
        assert_eq!(pool.counts().cold_for(ColdReason::Off), 1);
    }
    if let Some(host) = host_of(&HostConfig::at(IsolationLevel::Process)) {
        let pool = Pool::new(host, Some(Bounds::of_machine()));
        assert_eq!(start_of(&pool, &python, "print(1)"), Start::Cold);
        assert_eq!(pool.counts().cold_for(ColdReason::Level), 1);
    }
    let directory = tempfile::tempdir().unwrap();
    let config = HostConfig { base: Some(directory.path().to_owned()), ..HostConfig::default() };
    if let Some(host) = host_of(&config) {
        let pool = Pool::new(host, Some(Bounds::of_machine()));
        assert_eq!(start_of(&pool, &python, "print(1)"), Start::Cold);
        assert_eq!(pool.counts().cold_for(ColdReason::Mismatch(Mismatch::Base)), 1);
    }
}

#[test]
fn a_pool_that_is_dropped_does_not_wait_for_what_it_starts() {
    let Some(pool) = pool() else { return };
    let python =
        python_with("preloads: [{name: slow, imports: [json], code: \"import time; time.sleep(3600)\"}]");
    pool.ahead(&python, Some("slow"));
    let host = Arc::downgrade(pool.host());
    drop(pool);
    assert!(host.upgrade().is_none(), "nobody has the host any more");
}

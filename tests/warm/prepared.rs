//! What is made once for all compilers of a language.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rollcage_language::{Language, LanguageSet};
use rollcage_sandbox::{Cancel, Host, HostConfig};
use rollcage_types::{ExecOutcome, IsolationLevel, Start};
use rollcage_warm::{Bounds, Pool, prepared_directory};

use crate::harness::{host_of, wait_until};

/// A language whose compiler says what it found.
fn language(prepare: &str) -> Arc<Language> {
    let text = format!(
        "name: made\nprompt: p\nfilename: source\nexecute: cat program\ntoolchain: [cat]\n\
         compile: cat ${{PREPARED:-/dev}}/made >program 2>/dev/null || echo none >program\n\
         prepare: {{command: {prepare}, compile_env_vars: {{PREPARED: \"{{prepared}}\"}}}}\n\
         tests: [{{name: a, program: sample}}]\n"
    );
    Arc::new(Language::parse("made.yaml", &text).unwrap())
}

fn pool_at(level: IsolationLevel, cache: &Path) -> Option<Pool> {
    let prepared = Some(prepared_directory(cache).unwrap());
    let host: Arc<Host> = host_of(&HostConfig { prepared, ..HostConfig::at(level) })?;
    Some(Pool::new(host, Some(Bounds::of_machine())))
}

/// A directory that cages may look into, as the cache is.
fn cache() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(directory.path(), open).unwrap();
    directory
}

fn compile(pool: &Pool, language: &Arc<Language>, source: &str) -> ExecOutcome {
    let request = language.compile_request(vec![language.source_file(source.as_bytes())]).unwrap();
    pool.compile(language, &request, &Cancel::new()).unwrap()
}

fn program(pool: &Pool, language: &Arc<Language>) -> String {
    let outcome = compile(pool, language, "source");
    assert!(outcome.termination.is_success(), "{}", outcome.stderr.to_text());
    let file = outcome.files.iter().find(|file| file.path.as_str() == "program").unwrap();
    String::from_utf8_lossy(&file.content).into_owned()
}

#[test]
fn compilers_find_it_once_it_is_there_and_go_without_before() {
    for level in [IsolationLevel::Full, IsolationLevel::Rootless] {
        let cache = cache();
        let Some(pool) = pool_at(level, cache.path()) else { continue };
        let language = language("cp source made");
        assert_eq!(program(&pool, &language), "none\n", "{level}");
        assert!(pool.await_prepared(&language));
        assert_eq!(program(&pool, &language), "sample", "{level}");
        // Another process with the same cache need not make it.
        let Some(other) = pool_at(level, cache.path()) else { continue };
        assert_eq!(program(&other, &language), "sample", "{level}");
    }
}

#[test]
fn another_recipe_takes_its_place() {
    let cache = cache();
    let Some(pool) = pool_at(IsolationLevel::Full, cache.path()) else { return };
    assert!(pool.await_prepared(&language("cp source made")));
    let Some(pool) = pool_at(IsolationLevel::Full, cache.path()) else { return };
    let changed = language("echo changed >made");
    assert!(pool.await_prepared(&changed));
    assert_eq!(program(&pool, &changed), "changed\n");
    let left = fs::read_dir(cache.path().join("prepared")).unwrap();
    let names: Vec<_> = left.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let visible: Vec<_> = names.iter().filter(|name| !name.starts_with('.')).collect();
    assert_eq!(visible.len(), 2, "a link and one directory: {names:?}");
}

#[test]
fn what_is_removed_is_made_again() {
    let cache = cache();
    let Some(pool) = pool_at(IsolationLevel::Full, cache.path()) else { return };
    let language = language("cp source made");
    assert!(pool.await_prepared(&language));
    for entry in fs::read_dir(cache.path().join("prepared")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() { fs::remove_file(path).unwrap() } else { drop(fs::remove_dir_all(path)) }
    }
    assert_eq!(program(&pool, &language), "none\n");
    wait_until("it is there again", || program(&pool, &language) == "sample");
}

#[test]
fn a_command_that_fails_leaves_compilers_as_they_are() {
    for failing in ["\"false\"", "ln -s /etc/passwd made", "exit 3"] {
        let cache = cache();
        let Some(pool) = pool_at(IsolationLevel::Full, cache.path()) else { return };
        let language = language(failing);
        assert!(!pool.await_prepared(&language), "{failing}");
        assert_eq!(program(&pool, &language), "none\n", "{failing}");
    }
}

#[test]
fn no_program_changes_it() {
    let cache = cache();
    let Some(pool) = pool_at(IsolationLevel::Full, cache.path()) else { return };
    let language = language("cp source made");
    assert!(pool.await_prepared(&language));
    let bash = LanguageSet::built_in().find("bash").unwrap().clone();
    let script = "cd /ws/prepared && ls -A && cat made/made && ! { echo bad >made/made; } 2>&1 &&\n\
                  ! rm made/made 2>/dev/null && ! touch new 2>/dev/null && ! ln -sfn / made 2>/dev/null && exit 7\n";
    let request = bash.run_request(vec![bash.source_file(script.as_bytes())]);
    let outcome = pool.run(&bash, &request, &Cancel::new()).unwrap();
    let said = outcome.stdout.to_text();
    assert_eq!(outcome.termination, rollcage_types::Termination::Exited { code: 7 }, "{said}");
    assert_eq!(program(&pool, &language), "sample");
}

/// Which look for nothing there, and are made in another way.
#[test]
fn copies_of_an_interpreter_see_it_too() {
    let cache = cache();
    let Some(pool) = pool_at(IsolationLevel::Full, cache.path()) else { return };
    assert!(pool.await_prepared(&language("cp source made")));
    let bash = LanguageSet::built_in().find("bash").unwrap().clone();
    pool.await_ready(&bash, None).unwrap();
    let request = bash
        .run_request(vec![bash.source_file(*b"cat /ws/prepared/made/made; ! echo bad >/ws/prepared/new")]);
    let outcome = pool.run(&bash, &request, &Cancel::new()).unwrap();
    assert_eq!((outcome.start, outcome.stdout.to_text().as_str()), (Start::Fork, "sample"));
    assert!(outcome.termination.is_success(), "{}", outcome.stderr.to_text());
}

#[test]
fn without_mounts_or_a_directory_there_is_nothing() {
    let cache = cache();
    let language = language("cp source made");
    if let Some(pool) = pool_at(IsolationLevel::Process, cache.path()) {
        assert!(!pool.await_prepared(&language));
        assert_eq!(program(&pool, &language), "none\n");
    }
    if let Some(host) = host_of(&HostConfig::default()) {
        let pool = Pool::new(host, Some(Bounds::of_machine()));
        assert!(!pool.await_prepared(&language));
    }
}

/// Seconds each: a header and a compiler's own classes.
#[test]
fn the_built_in_recipes_work() {
    let cache = cache();
    let Some(pool) = pool_at(IsolationLevel::Full, cache.path()) else { return };
    for (name, source) in [
        ("cpp", "#include <bits/stdc++.h>\nint main() { std::cout << std::gcd(12, 18) << '\\n'; }\n"),
        ("java", "class Main { public static void main(String[] a) { System.out.println(6); } }\n"),
    ] {
        let language = LanguageSet::built_in().find(name).unwrap().clone();
        if !Path::new("/usr/bin").join(&language.toolchain[0]).exists() {
            eprintln!("skipped: no {}", language.toolchain[0]);
            continue;
        }
        assert!(pool.await_prepared(&language), "{name}");
        let compiled = compile(&pool, &language, source);
        assert!(compiled.termination.is_success(), "{name}: {}", compiled.stderr.to_text());
        assert_eq!(compiled.stderr.to_text(), "", "{name}");
        let ran = pool.run(&language, &language.run_request(compiled.files), &Cancel::new()).unwrap();
        assert_eq!(ran.stdout.to_text(), "6\n", "{name}");
    }
}

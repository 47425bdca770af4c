//! What cannot be run is refused by name, and leaves the host working.

use std::io::ErrorKind;

use rollcage_sandbox::{Cancel, SandboxError};
use rollcage_types::{ByteSize, ExecRequest};

use crate::harness::{check_prints, file, host, sh, with};

/// Runs what must be refused, looks at how, and runs something else.
fn refused(request: &ExecRequest, is_expected: impl FnOnce(&SandboxError) -> bool) {
    let Some(host) = host() else { return };
    let error = host.run(request, &Cancel::new()).expect_err("must be refused");
    assert!(is_expected(&error), "{error:?}");
    assert!(!error.is_retryable(), "{error:?}");
    check_prints(&sh("echo works"), "works\n");
}

fn is_exec(error: &SandboxError, name: &str, kind: ErrorKind) -> bool {
    matches!(error, SandboxError::Exec { program, source } if program == name && source.kind() == kind)
}

#[test]
fn a_program_that_is_not_there_is_named() {
    for name in ["no-such-program", "/usr/bin/no-such-program", "./no-such-program", "/ws/work/x/y"] {
        refused(&ExecRequest::new([name]), |error| is_exec(error, name, ErrorKind::NotFound));
    }
}

#[test]
fn a_file_that_may_not_be_executed_is_named() {
    let request =
        with(ExecRequest::new(["./data"]), |request| request.files.push(file("data", b"no program")));
    refused(&request, |error| is_exec(error, "./data", ErrorKind::PermissionDenied));
}

#[test]
fn a_request_without_a_program_is_refused() {
    refused(&ExecRequest::new([""; 0]), |error| matches!(error, SandboxError::NoProgram));
    refused(&ExecRequest::new([""]), |error| matches!(error, SandboxError::NoProgram));
}

#[test]
fn a_request_too_large_to_pass_on_is_refused() {
    let long = "x".repeat(1 << 20);
    refused(&ExecRequest::new(["echo", &long]), |error| matches!(error, SandboxError::Request(_)));
    let many = vec!["x"; 100_000];
    refused(&ExecRequest::new(many), |error| matches!(error, SandboxError::Request(_)));
    let variables = with(ExecRequest::new(["env"]), |request| {
        request.env_vars = (0..5000).map(|index| (format!("V{index}"), "x".to_owned())).collect();
    });
    refused(&variables, |error| matches!(error, SandboxError::Request(_)));
}

#[test]
fn a_large_request_that_fits_is_passed_on() {
    let argument = "x".repeat(100_000);
    check_prints(
        &with(sh("echo ${#1}"), |request| request.argv.extend(["sh".to_owned(), argument])),
        "100000\n",
    );
}

#[test]
fn files_that_do_not_fit_are_named() {
    let request = with(sh("true"), |request| {
        request.limits.disk = ByteSize::mib(1);
        request.files.push(file("small", b"x"));
        request.files.push(file("deep/large", &vec![0; 2 << 20]));
    });
    refused(
        &request,
        |error| matches!(error, SandboxError::FilesTooLarge { path } if path.as_str() == "deep/large"),
    );
}

#[test]
fn a_file_in_the_place_of_a_directory_is_named() {
    let request = with(sh("true"), |request| {
        request.files.push(file("a", b"x"));
        request.files.push(file("a/b", b"x"));
    });
    refused(&request, |error| matches!(error, SandboxError::Place { path, .. } if path.as_str() == "a/b"));
}

//! Help teaches: it has examples, units, defaults and exit codes.

use crate::harness::rollcage;

#[test]
fn help_tells_what_one_needs_to_know() {
    for (arguments, facts) in [
        (["--help"].as_slice(), ["rollcage run hello.py", "113 we failed", "ROLLCAGE_LOG"].as_slice()),
        (
            &["run", "--help"],
            &[
                "Examples:",
                "[default: 512MiB]",
                "[default: 10s]",
                "104 memory",
                "256MiB",
                "111 it does not compile",
                "compile.succeeded",
            ],
        ),
        (&["doctor", "--help"], &["Examples:", "113", "--json"]),
        (
            &["languages", "--help"],
            &["Examples:", "list", "test", "install", "prompt: Use Fortran", "ROLLCAGE_LANGUAGES"],
        ),
        (&["languages", "test", "--help"], &["112 if a toolchain is missing", "--languages"]),
        (&["languages", "install", "--help"], &["as root", "prints each command"]),
        (&["bench", "--help"], &["Examples:", "rollcage bench exec"]),
        (&["bench", "exec", "--help"], &["bare-cold", "caged-cold", "--quick", "--case", "ten seconds"]),
    ] {
        let finished = rollcage(arguments);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        // The terminal's width decides where lines break.
        let text = finished.text().split_whitespace().collect::<Vec<_>>().join(" ");
        for fact in facts {
            assert!(text.contains(fact), "{arguments:?} does not say {fact:?}: {text}");
        }
    }
}

#[test]
fn the_version_is_a_result() {
    let finished = rollcage(&["--version"]);
    assert_eq!(finished.text(), concat!("rollcage ", env!("CARGO_PKG_VERSION"), "\n"));
    assert_eq!(rollcage(&[]).code, Some(2));
}

//! Builds the library that is preloaded into interpreters, to be carried inside this crate.
//!
//! It is another kind of artefact than a library to link (linking it would replace `open`), so it is built by a cargo of
//! its own, for its own profile, into this build's directory.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Crates that the library is made of.
const SOURCES: [&str; 4] = ["shim", "guest", "sys", "types"];
/// What cargo, clippy or a sanitizer sets for the build around us and must not be set for the one inside.
const NOT_INHERITED: [&str; 8] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET",
    "CARGO_MAKEFLAGS",
    "RUSTC_BOOTSTRAP",
];

fn main() {
    let out: PathBuf = env::var_os("OUT_DIR").expect("cargo names a directory").into();
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for name in SOURCES {
        println!("cargo::rerun-if-changed={}", crates.join(name).join("src").display());
        println!("cargo::rerun-if-changed={}", crates.join(name).join("Cargo.toml").display());
    }
    println!("cargo::rerun-if-changed={}", crates.join("../Cargo.toml").display());
    let target = out.join("shim");
    let mut command = Command::new(env::var_os("CARGO").expect("cargo names itself"));
    command
        .args(["build", "--quiet", "--profile", "shim", "--package", "rollcage-shim", "--target-dir"])
        .arg(&target)
        .current_dir(crates.join("shim"));
    for name in NOT_INHERITED {
        command.env_remove(name);
    }
    let status = command.status().expect("cargo can be started");
    assert!(status.success(), "the preloaded library does not build");
    let built = target.join("shim/librollcage_shim.so");
    fs::copy(&built, out.join("librollcage_shim.so")).expect("the library was built");
}

//! Links the unwinder into the library instead of needing `libgcc_s`, which most interpreters do not have: nothing of ours
//! shall be loaded into them but this.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let out: PathBuf = env::var_os("OUT_DIR").expect("cargo names a directory").into();
    // A linker script under the name that the standard library asks for.
    fs::write(out.join("libgcc_s.so"), "INPUT ( -lgcc_eh )\n").expect("the directory can be written");
    println!("cargo::rustc-link-search=native={}", out.display());
}

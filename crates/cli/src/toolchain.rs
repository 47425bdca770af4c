//! Whether the programs a language needs are on this host, and which version they are.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use rollcage_api::ExitCode;
use rollcage_language::Language;
use rollcage_sandbox::{Cancel, Host};
use rollcage_types::ExecRequest;

use crate::failure::Failure;
use crate::host::install_hint;

/// Where a cage looks for programs; it sees the host's `/usr`.
const DIRECTORIES: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

/// Fails if a program that `language` needs is missing.
pub(crate) fn require(language: &Language) -> Result<(), Failure> {
    let missing = missing(language);
    if missing.is_empty() {
        return Ok(());
    }
    let programs = missing.iter().map(|program| format!("`{program}`")).collect::<Vec<_>>().join(", ");
    let error = anyhow::anyhow!("{} needs {programs}, which this host does not have", language.display);
    Err(Failure::new(ExitCode::MissingToolchain, error).with_hint(install_hint(language)))
}

/// The programs `language` needs that are not on this host.
pub(crate) fn missing(language: &Language) -> Vec<String> {
    language.toolchain.iter().filter(|program| find(program).is_none()).cloned().collect()
}

fn find(program: &str) -> Option<PathBuf> {
    DIRECTORIES.iter().map(|directory| PathBuf::from(directory).join(program)).find(|path| {
        path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    })
}

/// The first line the language's version command prints in a cage, where it has one that works.
pub(crate) fn version(host: &Host, language: &Language, cancel: &Cancel) -> Option<String> {
    let command = language.version.as_ref()?;
    let request = ExecRequest::new(command.argv.iter().cloned());
    let outcome = host.run(&request, cancel).ok().filter(|outcome| outcome.termination.is_success())?;
    // Some toolchains think of their version as an error message.
    [&outcome.stdout, &outcome.stderr].into_iter().find_map(|stream| {
        stream.to_text().lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
    })
}

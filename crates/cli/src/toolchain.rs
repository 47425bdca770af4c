//! Whether the programs a language needs are on this host, and which version they are.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use rollcage_api::ExitCode;
use rollcage_engine::drive::root_tree;
use rollcage_language::Language;
use rollcage_roots::Roots;
use rollcage_sandbox::{Cancel, Host, HostConfig};
use rollcage_types::ExecRequest;

use crate::engine_host::toolchain_failed;
use crate::failure::Failure;
use crate::host::install_hint;

/// Where a cage looks for programs; it sees the host's `/usr`.
const DIRECTORIES: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

/// The slowest toolchains take a second on a busy host.
const VERSION_WALL_TIME_MAX: Duration = Duration::from_secs(10);

/// Fails if what `language` needs is missing on a host set up as `config` says.
pub(crate) fn require(language: &Language, config: &HostConfig) -> Result<(), Failure> {
    root_tree(config, &Roots::of_user(), language).map_err(toolchain_failed)?;
    let missing = missing(language);
    if missing.is_empty() {
        return Ok(());
    }
    let programs = missing.iter().map(|program| format!("`{program}`")).collect::<Vec<_>>().join(", ");
    let error = anyhow::anyhow!("{} needs {programs}, which this host does not have", language.display);
    Err(Failure::new(ExitCode::MissingToolchain, error).with_hint(install_hint(language)))
}

/// The programs `language` needs that are not on this host; all of them where its root is not built.
pub(crate) fn missing(language: &Language) -> Vec<String> {
    if let Some(recipe) = &language.root {
        let is_built = Roots::of_user().find(recipe).is_some();
        return if is_built { Vec::new() } else { language.toolchain.clone() };
    }
    language.toolchain.iter().filter(|program| find(program).is_none()).cloned().collect()
}

/// Where a cage on the host's toolchains finds a program.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    DIRECTORIES.iter().map(|directory| PathBuf::from(directory).join(program)).find(|path| {
        path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    })
}

/// The first line the language's version command prints in a cage, where it has one that works.
pub(crate) fn version(host: &Host, language: &Language, cancel: &Cancel) -> Option<String> {
    let command = language.version.as_ref()?;
    let mut request = ExecRequest::new(command.argv.iter().cloned());
    request.limits.wall_time = VERSION_WALL_TIME_MAX;
    let outcome = host.run(&request, cancel).ok().filter(|outcome| outcome.termination.is_success())?;
    // Some toolchains think of their version as an error message.
    [&outcome.stdout, &outcome.stderr].into_iter().find_map(|stream| {
        stream.to_text().lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
    })
}

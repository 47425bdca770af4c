//! Starting the host, and turning what it can fail at into failures of a command.

use std::io;

use rollcage_api::ExitCode;
use rollcage_engine::drive::root_tree;
use rollcage_language::{Install, Language};
use rollcage_roots::Roots;
use rollcage_sandbox::{Host, HostConfig, HostError, RootTree, SandboxError};

use crate::engine_host::toolchain_failed;
use crate::failure::Failure;

/// Starts a host.
pub(crate) fn start(config: &HostConfig) -> Result<Host, Failure> {
    Host::start(config).map_err(cannot_start)
}

/// Starts a host with room for `slots` cages at once.
pub(crate) fn start_with(slots: usize, config: HostConfig) -> Result<Host, Failure> {
    start(&HostConfig { slots, ..config })
}

/// Starts a host for programs of `language`, on a root of its own if it has one.
pub(crate) fn start_for(language: &Language, slots: usize, config: HostConfig) -> Result<Host, Failure> {
    let root = root_tree(&config, &Roots::of_user(), language).map_err(toolchain_failed)?;
    let tree = root.map_or_else(|| config.tree.clone(), RootTree::Directory);
    start_with(slots, HostConfig { tree, ..config })
}

/// Why a host did not start, and what helps.
pub(crate) fn cannot_start(error: HostError) -> Failure {
    let hint = match &error {
        HostError::NotRoot { .. } => {
            "run it as root, for example with sudo; or name a level that needs none, as in `--isolation rootless`"
        }
        HostError::NoCgroups { .. } => {
            "`--accounting sampled` does without, and says so; `rollcage doctor` shows what this host has and lacks"
        }
        HostError::Slots { .. }
        | HostError::Path { .. }
        | HostError::System { .. }
        | HostError::NoFreeBlock { .. }
        | HostError::Lacking { .. }
        | HostError::NoRootTree { .. }
        | HostError::Launcher { .. } => "`rollcage doctor` shows what this host has and lacks",
    };
    Failure::infrastructure(error).with_hint(hint)
}

/// A run of `language` that has no outcome. A program the cage does not have is a missing toolchain.
pub(crate) fn no_outcome(error: SandboxError, language: &Language) -> Failure {
    match &error {
        SandboxError::Exec { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            let hint = install_hint(language);
            Failure::new(ExitCode::MissingToolchain, error).with_hint(hint)
        }
        SandboxError::Request(_)
        | SandboxError::FilesTooLarge { .. }
        | SandboxError::NoNetwork { .. }
        | SandboxError::NoProgram => Failure::bad_input(error),
        SandboxError::Exec { .. }
        | SandboxError::Place { .. }
        | SandboxError::Cage { .. }
        | SandboxError::System { .. }
        | SandboxError::NotReady { .. }
        | SandboxError::Unkillable { .. }
        | SandboxError::StubLost
        | SandboxError::Agent { .. }
        | SandboxError::HostExhausted { .. }
        | SandboxError::LauncherGone => {
            Failure::infrastructure(error).with_hint("`rollcage doctor` shows what this host has and lacks")
        }
    }
}

/// How the toolchain of `language` can be had.
pub(crate) fn install_hint(language: &Language) -> String {
    let name = &language.name;
    if language.root.is_some() {
        return format!("build its root file system with `rollcage languages build {name}`");
    }
    match &language.install {
        Some(Install::Shell(line)) => {
            format!(
                "install {} with `rollcage languages install {name}` (it runs `{line}`)",
                language.display
            )
        }
        Some(Install::ContainerInstructions(_)) => {
            format!("`rollcage languages install {name}` shows how an image gets {}", language.display)
        }
        None => format!("install {} below /usr; its file does not say how", language.toolchain.join(", ")),
    }
}

//! Toolchains: whether they are there, what they say of themselves, and the fingerprint made of that.

use std::path::PathBuf;
use std::sync::Arc;

use rollcage_api::{FingerprintRecord, LimitsRecord, MechanismRecord, ToolchainRecord};
use rollcage_judge::Unscorable;
use rollcage_language::{Install, Language};
use rollcage_sandbox::{HostError, SandboxError};
use rollcage_types::{ByteSize, CapturePlan, ExecRequest, LimitKind, Limits, Termination};

use super::engine::Engine;

/// Names the first of its arguments that is not a program, and fails.
const FIND_MISSING: &str =
    "for name do command -v \"$name\" >/dev/null 2>&1 || { printf %s \"$name\"; exit 3; }; done";

/// The code it fails with. Any other is not its answer.
const IS_MISSING: u8 = 3;

/// Prints each of its arguments that does not exist, one a line.
const LIST_ABSENT: &str = "for path do [ -e \"$path\" ] || printf '%s\\n' \"$path\"; done";

/// Bytes kept of what a toolchain says of itself. Only its first line is recorded.
const VERSION_BYTES_MAX: ByteSize = ByteSize::kib(4);

/// A toolchain that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// The language's name.
    pub language: String,
    /// BLAKE3 of the language as it was parsed, in hexadecimal: two spellings of one recipe are one recipe.
    pub recipe_blake3: String,
    /// The first line of what it says of itself; empty for a language without a `version`.
    pub version: String,
    /// Paths of libraries for tests given as code that are not there.
    pub missing_libraries: Vec<String>,
}

/// Why a language cannot be used on this host.
#[derive(Debug, thiserror::Error)]
pub enum ToolchainError {
    /// A program is not installed where cages find programs.
    #[error("language `{language}` needs `{program}`, which is not installed below /usr")]
    Missing {
        /// The language.
        language: String,
        /// The program.
        program: String,
        /// How it is installed, as a line for a root shell.
        install: Option<String>,
    },
    /// It has a root file system of its own, and nobody has built that.
    #[error("language `{language}` has a root file system of its own, which is not built")]
    NotBuilt {
        /// The language.
        language: String,
    },
    /// It has a root file system of its own, and the level has no mounts to give programs one.
    #[error(
        "language `{language}` has a root file system of its own, and level process has no mounts for it"
    )]
    NoMounts {
        /// The language.
        language: String,
    },
    /// No cages could be made on its root file system.
    #[error("cannot start cages for language `{language}` on `{}`", root.display())]
    Host {
        /// The language.
        language: String,
        /// Its root.
        root: PathBuf,
        /// Why not.
        #[source]
        source: HostError,
    },
    /// The programs are there, but asking for the version failed.
    #[error("language `{language}`: `{command}` does not say its version: {why}")]
    Broken {
        /// The language.
        language: String,
        /// The command.
        command: String,
        /// What happened.
        why: String,
    },
    /// We looked, and did not learn it.
    #[error("cannot tell whether the toolchain of language `{language}` is installed: {why}")]
    Unclear {
        /// The language.
        language: String,
        /// How looking ended.
        why: String,
    },
    /// We could not look.
    #[error("cannot look for the toolchain of language `{language}`")]
    Sandbox {
        /// The language.
        language: String,
        /// Why not.
        #[source]
        source: SandboxError,
    },
}

impl ToolchainError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { install: Some(install), .. } => Some(format!("install it with `{install}`")),
            Self::Missing { install: None, program, .. } => {
                Some(format!("install a package that provides `{program}`"))
            }
            Self::Broken { .. } => {
                Some("install it again, or correct `version` in the language file".to_owned())
            }
            Self::NotBuilt { language } => {
                Some(format!("build it with `rollcage languages build {language}`"))
            }
            Self::NoMounts { .. } => Some("use level full or rootless".to_owned()),
            Self::Unclear { .. } | Self::Sandbox { .. } | Self::Host { .. } => None,
        }
    }

    /// Whether the toolchain is not there or of no use. Otherwise we could not find out.
    pub const fn is_missing(&self) -> bool {
        match self {
            Self::Missing { .. } | Self::Broken { .. } | Self::NotBuilt { .. } | Self::NoMounts { .. } => {
                true
            }
            Self::Unclear { .. } | Self::Sandbox { .. } | Self::Host { .. } => false,
        }
    }

    /// Whether the same may fare better a little later.
    pub const fn is_retryable(&self) -> bool {
        !self.is_missing()
    }
}

/// Nothing can be said of a solution that could not be run.
impl From<ToolchainError> for Unscorable {
    fn from(error: ToolchainError) -> Self {
        let reason = match error.hint() {
            Some(hint) => format!("{}; {hint}", super::error_chain(&error)),
            None => super::error_chain(&error),
        };
        Self::infrastructure(reason, error.is_retryable())
    }
}

impl Engine {
    /// The toolchain of `language`, asked once and remembered.
    pub async fn toolchain(&self, language: &Arc<Language>) -> Result<Arc<Toolchain>, ToolchainError> {
        let known = self.known_toolchain(&language.name);
        known.get_or_try_init(|| async { self.ask(language).await.map(Arc::new) }).await.map(Arc::clone)
    }

    /// What identifies the environment that runs in `languages` have.
    pub async fn fingerprint(
        &self,
        languages: impl IntoIterator<Item = &Arc<Language>>,
    ) -> Result<FingerprintRecord, ToolchainError> {
        let mut toolchains = Vec::new();
        for language in languages {
            let Toolchain { language, recipe_blake3, version, missing_libraries: _ } =
                self.toolchain(language).await?.as_ref().clone();
            toolchains.push(ToolchainRecord { language, recipe_blake3, compiler_version: version });
        }
        toolchains.sort_by(|a, b| a.language.cmp(&b.language));
        toolchains.dedup();
        let system = rustix::system::uname();
        let host = self.host();
        let enforcement = host.enforcement();
        Ok(FingerprintRecord {
            toolchains,
            limits: LimitsRecord::from(&Limits::default()),
            kernel_release: system.release().to_string_lossy().into_owned(),
            machine: system.machine().to_string_lossy().into_owned(),
            isolation: enforcement.level.as_str().to_owned(),
            enforcement: MechanismRecord::list(enforcement),
        })
    }

    async fn ask(&self, language: &Arc<Language>) -> Result<Toolchain, ToolchainError> {
        let name = || language.name.clone();
        let cages = self.cages(language).await?;
        let sandbox = |source| ToolchainError::Sandbox { language: name(), source };
        let words = ["/bin/sh", "-c", FIND_MISSING, "sh"].map(str::to_owned);
        let found = cages
            .run(request(words.into_iter().chain(language.toolchain.iter().cloned())))
            .await
            .map_err(sandbox)?
            .outcome;
        if found.termination == (Termination::Exited { code: IS_MISSING }) {
            let install = match &language.install {
                Some(Install::Shell(line)) => Some(line.clone()),
                Some(Install::ContainerInstructions(_)) | None => None,
            };
            return Err(ToolchainError::Missing {
                language: name(),
                program: found.stdout.to_text(),
                install,
            });
        }
        if !found.termination.is_success() {
            return Err(ToolchainError::Unclear {
                language: name(),
                why: format!("{:?}", found.termination),
            });
        }
        let version = match &language.version {
            None => String::new(),
            Some(command) => {
                let broken =
                    |why| ToolchainError::Broken { language: name(), command: command.to_string(), why };
                let asked = cages.run(request(command.argv.iter().cloned())).await.map_err(|error| {
                    if matches!(error, SandboxError::Exec { .. }) {
                        broken(super::error_chain(&error))
                    } else {
                        sandbox(error)
                    }
                })?;
                let outcome = asked.outcome;
                match outcome.termination {
                    Termination::Exited { code: 0 } => {}
                    // On a machine with too much to do the best toolchain is late.
                    Termination::LimitExceeded(
                        LimitKind::CpuTime | LimitKind::WallTime | LimitKind::IdleTime,
                    )
                    | Termination::Cancelled => {
                        let why = format!("`{command}`: {:?}", outcome.termination);
                        return Err(ToolchainError::Unclear { language: name(), why });
                    }
                    ended @ (Termination::Exited { .. }
                    | Termination::Signaled { .. }
                    | Termination::LimitExceeded(
                        LimitKind::Memory
                        | LimitKind::Output
                        | LimitKind::Processes
                        | LimitKind::FileSize
                        | LimitKind::DiskSpace,
                    )) => return Err(broken(format!("{ended:?}"))),
                }
                // Some print it to standard error.
                let said = [outcome.stdout.to_text(), outcome.stderr.to_text()];
                let line = said.iter().flat_map(|text| text.lines()).find(|line| !line.trim().is_empty());
                line.unwrap_or_default().trim().to_owned()
            }
        };
        let recipe_blake3 = blake3::hash(format!("{language:?}").as_bytes()).to_hex().to_string();
        let missing_libraries = self.missing_libraries(language).await?;
        Ok(Toolchain { language: name(), recipe_blake3, version, missing_libraries })
    }

    async fn missing_libraries(&self, language: &Arc<Language>) -> Result<Vec<String>, ToolchainError> {
        let libraries = language.test_code.iter().flat_map(|section| &section.libraries);
        let paths: Vec<String> = libraries.map(|library| library.path.clone()).collect();
        if paths.is_empty() {
            return Ok(paths);
        }
        let name = || language.name.clone();
        let words = ["/bin/sh", "-c", LIST_ABSENT, "sh"].map(str::to_owned);
        let looked = self.cages(language).await?.run(request(words.into_iter().chain(paths))).await;
        let outcome = looked.map_err(|source| ToolchainError::Sandbox { language: name(), source })?.outcome;
        match outcome.stdout.complete() {
            Some(listed) if outcome.termination.is_success() => {
                Ok(String::from_utf8_lossy(&listed).lines().map(str::to_owned).collect())
            }
            Some(_) | None => {
                Err(ToolchainError::Unclear { language: name(), why: format!("{:?}", outcome.termination) })
            }
        }
    }
}

fn request(argv: impl IntoIterator<Item = String>) -> ExecRequest {
    let capture = CapturePlan { head: VERSION_BYTES_MAX, tail: ByteSize::default() };
    ExecRequest { capture, ..ExecRequest::new(argv) }
}

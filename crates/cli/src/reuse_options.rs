//! The options that say what is kept ready, and what is kept from earlier.

use std::path::Path;
use std::sync::Arc;

use rollcage_engine::drive::{DiskCache, EngineConfig};
use rollcage_language::LanguageSet;
use rollcage_roots::Roots;
use rollcage_sandbox::HostConfig;
use rollcage_types::ByteSize;
use rollcage_warm::{Bounds, prepared_directory};

use crate::cache_directory::cache_directory;
use crate::output;

/// Executables of a hundred thousand programs.
const COMPILED_BYTES: ByteSize = ByteSize::gib(2);

/// What is kept ready, and what is kept from earlier.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Reuse")]
pub(crate) struct ReuseOptions {
    /// How programs start: `warm`, as copies of interpreters that wait, where their language says how; `cold`, each by
    /// itself. They do the same either way
    #[arg(long, value_enum, value_name = "HOW", default_value_t = StartKind::Warm)]
    start: StartKind,
    /// Memory that waiting interpreters may take together [default: an eighth of the machine's]
    #[arg(long, value_name = "SIZE")]
    warm_memory: Option<ByteSize>,
    /// What compilers made is kept on disk up to this size, for every run that follows; 0 keeps nothing
    #[arg(long, value_name = "SIZE", default_value_t = COMPILED_BYTES)]
    compile_cache: ByteSize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum StartKind {
    Warm,
    Cold,
}

impl ReuseOptions {
    /// An engine that reuses what these options say.
    pub(crate) fn engine_config(&self, host: &HostConfig, languages: LanguageSet) -> EngineConfig {
        let mut config = EngineConfig::plain(host.clone(), Roots::of_user(), languages);
        if self.start == StartKind::Cold && self.compile_cache.as_u64() == 0 {
            return config;
        }
        match cache_directory() {
            Ok(cache) => self.reuse(&cache, &mut config),
            Err(failure) => output::note(&format!("nothing is kept on disk: {}", failure.error)),
        }
        config.warm = self.bounds();
        config
    }

    fn reuse(&self, cache: &Path, config: &mut EngineConfig) {
        if self.compile_cache.as_u64() > 0 {
            match DiskCache::open(cache, self.compile_cache) {
                Ok(disk) => config.disk_cache = Some(Arc::new(disk)),
                Err(error) => output::note(&format!("what compilers make is not kept: {error}")),
            }
        }
        if self.start == StartKind::Warm {
            match prepared_directory(cache) {
                Ok(directory) => config.host.prepared = Some(directory),
                Err(error) => output::note(&format!("compilers go without what is made for all: {error}")),
            }
        }
    }

    /// What waiting interpreters may take; `None` without any.
    fn bounds(&self) -> Option<Bounds> {
        let usual = Bounds::of_machine();
        match self.start {
            StartKind::Warm => Some(Bounds { memory: self.warm_memory.unwrap_or(usual.memory), ..usual }),
            StartKind::Cold => None,
        }
    }
}

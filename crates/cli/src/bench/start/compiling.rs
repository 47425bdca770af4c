//! Compilers: bare, in a cage, with what is made for all of them, and where the same was compiled before.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use rollcage_api::BenchRow;
use rollcage_engine::drive::{DiskCache, Engine, EngineConfig};
use rollcage_language::{Language, LanguageSet};
use rollcage_roots::Roots;
use rollcage_sandbox::{Cancel, Host, HostConfig};
use rollcage_types::{ByteSize, ExecRequest};
use rollcage_warm::{Bounds, Pool};

use super::cases::StartCase;
use super::{WARM, check};
use crate::bench::exec::{BARE, CAGED, directory_of, run_bare};
use crate::bench::measure::{Effort, Subject, measure};
use crate::failure::Failure;
use crate::host;

/// What was made before is found on disk.
pub(super) const REPEATED: &str = "caged-repeated";

/// Measures a compiler.
pub(super) fn measured(
    case: StartCase,
    language: &Arc<Language>,
    config: &HostConfig,
    effort: Effort,
    cache: &Path,
    cancel: &Cancel,
) -> Result<Vec<BenchRow>, Failure> {
    let host: Arc<Host> = Arc::new(host::start(config)?);
    let pool = Pool::new(Arc::clone(&host), Some(Bounds::of_machine()));
    let source = vec![language.source_file(case.source().as_bytes())];
    let request = language
        .compile_request(source)
        .with_context(|| format!("{} has no compiler", language.display))
        .map_err(Failure::infrastructure)?;
    let directory = directory_of(&request.files)?;
    if !pool.await_prepared(language) {
        let why = anyhow::anyhow!("nothing can be made for compilers of {}", language.display);
        return Err(Failure::infrastructure(why));
    }
    let again = Again::new(language, config, cache, &request)?;
    let afresh = || again.start_afresh();
    let bare = || run_bare(&request, directory.path());
    let caged = || check(&host.run(&request, cancel).map_err(Failure::infrastructure)?, None, cancel);
    let warm =
        || check(&pool.compile(language, &request, cancel).map_err(Failure::infrastructure)?, None, cancel);
    let name = case.name();
    let subjects = [
        Subject { case: name, mode: BARE, before: None, once: &bare },
        Subject { case: name, mode: CAGED, before: None, once: &caged },
        Subject { case: name, mode: WARM, before: None, once: &warm },
    ];
    let mut rows = measure(&subjects, effort, cancel)?;
    let repeated = || again.compile();
    let subject = [Subject { case: name, mode: REPEATED, before: Some(&afresh), once: &repeated }];
    rows.append(&mut measure(&subject, Effort::QUICK, cancel)?);
    Ok(rows)
}

/// An engine like the one before it, which has compiled the same.
struct Again<'a> {
    language: &'a Arc<Language>,
    config: &'a HostConfig,
    cache: &'a Path,
    request: &'a ExecRequest,
    runtime: tokio::runtime::Runtime,
    engine: Mutex<Option<Engine>>,
}

impl<'a> Again<'a> {
    fn new(
        language: &'a Arc<Language>,
        config: &'a HostConfig,
        cache: &'a Path,
        request: &'a ExecRequest,
    ) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime")
            .map_err(Failure::infrastructure)?;
        let again = Self { language, config, cache, request, runtime, engine: Mutex::default() };
        again.start_afresh()?;
        again.compile()?;
        Ok(again)
    }

    /// One that remembers nothing.
    fn start_afresh(&self) -> Result<(), Failure> {
        let disk = DiskCache::open(self.cache, ByteSize::gib(1))
            .context("cannot open a cache")
            .map_err(Failure::infrastructure)?;
        let plain = EngineConfig::plain(self.config.clone(), Roots::of_user(), LanguageSet::built_in());
        let engine = Engine::start(EngineConfig { disk_cache: Some(Arc::new(disk)), ..plain });
        let engine = engine.map_err(host::cannot_start)?;
        *self.lock() = Some(engine);
        Ok(())
    }

    fn compile(&self) -> Result<(), Failure> {
        let engine = self.lock().clone();
        let Some(engine) = engine else { return Ok(()) };
        let compiled = self.runtime.block_on(async {
            let cages = engine.cages(self.language).await.map_err(Failure::infrastructure)?;
            cages.compile(self.request.clone()).await.map_err(Failure::infrastructure)
        })?;
        check(&compiled.outcome, None, &Cancel::new())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Engine>> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

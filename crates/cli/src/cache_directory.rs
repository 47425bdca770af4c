//! Where what can be made again is kept between runs.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::failure::Failure;

/// Names another directory.
const VARIABLE: &str = "ROLLCAGE_CACHE_DIR";
/// Where root keeps it.
const OF_ROOT: &str = "/var/cache/rollcage";

/// This user's directory, made if it is missing.
pub(crate) fn cache_directory() -> Result<PathBuf, Failure> {
    let cache = if let Some(named) = std::env::var_os(VARIABLE) {
        PathBuf::from(named)
    } else if rustix::process::geteuid().is_root() {
        PathBuf::from(OF_ROOT)
    } else {
        let own = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let of_home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
        let cache = own.or_else(of_home).context("neither XDG_CACHE_HOME nor HOME says where caches lie");
        cache.map_err(Failure::infrastructure)?.join("rollcage")
    };
    std::fs::create_dir_all(&cache)
        .with_context(|| format!("cannot create `{}`", cache.display()))
        .map_err(Failure::infrastructure)?;
    Ok(cache)
}

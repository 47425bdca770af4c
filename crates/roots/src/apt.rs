//! A state of apt's own for one recipe: which packages its root is made of, and fetching them.
//!
//! Nothing of the host's state is read but how its proxies are reached, and nothing of it is written: every directory
//! apt knows is named here. Signatures and checksums are apt's to verify; what does not verify is not fetched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rollcage_language::RootRecipe;

use crate::child::{self, Ended, Watch};
use crate::error::{BuildError, file};
use crate::machine::Machine;

/// The keys that Debian signs its suites with.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// What every root holds besides its packages: the directories of a system, a C library, and a shell, which language
/// files may need and with which we look for programs.
const BASE: [&str; 4] = ["base-files", "dash", "libc-bin", "libc6"];

/// apt's state, in a directory.
pub(crate) struct Apt<'a> {
    directory: &'a Path,
    recipe: &'a RootRecipe,
    mirror: &'a str,
    watch: &'a dyn Watch,
}

/// A package's archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Archive {
    /// The name of its file: package, version and architecture.
    pub(crate) name: String,
    pub(crate) bytes: u64,
}

impl<'a> Apt<'a> {
    /// A state in `directory`, which may hold what an earlier attempt left.
    pub(crate) fn new(
        directory: &'a Path,
        recipe: &'a RootRecipe,
        mirror: &'a str,
        machine: Machine,
        watch: &'a dyn Watch,
    ) -> Result<Self, BuildError> {
        if !Path::new(KEYRING).exists() {
            return Err(BuildError::HostLacks {
                what: KEYRING.to_owned(),
                package: "debian-archive-keyring",
            });
        }
        let apt = Self { directory, recipe, mirror, watch };
        for part in ["state/lists/partial", "cache/archives/partial", "etc/trusted.gpg.d", "log"] {
            let path = directory.join(part);
            fs::create_dir_all(&path).map_err(file("create", &path))?;
        }
        let options = if recipe.is_archived { " check-valid-until=no" } else { "" };
        let source = format!(
            "deb [arch={} signed-by={KEYRING}{options}] {mirror} {} main\n",
            machine.architecture, recipe.suite
        );
        let proxies = apt.proxies()?;
        for (name, content) in [
            ("etc/sources.list", source),
            // No package is installed here.
            ("status", String::new()),
            ("apt.conf", configuration(directory, machine)? + &proxies),
        ] {
            let path = directory.join(name);
            fs::write(&path, content).map_err(file("write", &path))?;
        }
        Ok(apt)
    }

    /// Fetches the suite's index, and returns the archives that the recipe comes to.
    pub(crate) fn resolve(&self) -> Result<Vec<Archive>, BuildError> {
        let updated = self.apt_get(&["update"])?;
        if !updated.status.success() {
            return Err(BuildError::Index {
                suite: self.recipe.suite.clone(),
                mirror: self.mirror.to_owned(),
                why: updated.complaint(),
            });
        }
        let listed = self.apt_get(&self.install("--print-uris"))?;
        let archives: Option<Vec<_>> =
            listed.stdout.lines().filter(|line| line.starts_with('\'')).map(archive).collect();
        match archives {
            Some(archives) if listed.status.success() && !archives.is_empty() => Ok(archives),
            Some(_) | None => {
                Err(BuildError::Resolve { suite: self.recipe.suite.clone(), why: listed.complaint() })
            }
        }
    }

    /// Fetches what [`Apt::resolve`] returned, but for what an earlier attempt fetched.
    pub(crate) fn fetch(&self) -> Result<(), BuildError> {
        let fetched = self.apt_get(&self.install("--download-only"))?;
        if fetched.status.success() {
            return Ok(());
        }
        Err(BuildError::Fetch { mirror: self.mirror.to_owned(), why: fetched.complaint() })
    }

    fn install(&self, how: &'static str) -> Vec<&str> {
        let mut arguments = vec!["install", how, "--no-install-recommends", "--yes", "--"];
        arguments.extend(BASE);
        arguments.extend(self.recipe.packages.iter().map(String::as_str));
        arguments
    }

    fn apt_get(&self, arguments: &[&str]) -> Result<Ended, BuildError> {
        let mut command = Command::new("apt-get");
        command.arg("-q").args(arguments).env("APT_CONFIG", self.directory.join("apt.conf"));
        child::run("apt-get", command, self.directory, self.watch)
    }

    /// How the host reaches servers, as lines for our own configuration.
    fn proxies(&self) -> Result<String, BuildError> {
        let mut command = Command::new("apt-config");
        command.args(["dump", "Acquire::http", "Acquire::https"]);
        let dumped = child::run("apt-config", command, self.directory, self.watch)?;
        Ok(dumped.stdout)
    }
}

/// Where archives lie once they are fetched.
pub(crate) fn archives(directory: &Path) -> PathBuf {
    directory.join("cache/archives")
}

/// Bytes fetched so far, those of an archive under way included.
pub(crate) fn fetched_bytes(directory: &Path) -> u64 {
    let whole = archives(directory);
    let entries = [whole.join("partial"), whole].into_iter().filter_map(|path| fs::read_dir(path).ok());
    entries
        .flatten()
        .flatten()
        .filter_map(|entry| entry.metadata().ok())
        .filter(fs::Metadata::is_file)
        .map(|m| m.len())
        .sum()
}

fn configuration(directory: &Path, machine: Machine) -> Result<String, BuildError> {
    // The format has no escapes.
    let plain = directory.to_str().filter(|path| !path.contains(['"', '\n', '\\']));
    let directory = plain.ok_or_else(|| BuildError::File {
        action: "give apt the directory",
        path: directory.to_owned(),
        source: std::io::ErrorKind::InvalidFilename.into(),
    })?;
    let architecture = machine.architecture;
    Ok(format!(
        "Dir::State \"{directory}/state/\";\n\
         Dir::State::lists \"{directory}/state/lists/\";\n\
         Dir::State::status \"{directory}/status\";\n\
         Dir::Cache \"{directory}/cache/\";\n\
         Dir::Etc \"{directory}/etc/\";\n\
         Dir::Etc::trusted \"/dev/null\";\n\
         Dir::Log \"{directory}/log/\";\n\
         APT::Architecture \"{architecture}\";\n\
         APT::Architectures \"{architecture}\";\n\
         APT::Update::Error-Mode \"any\";\n\
         Acquire::Languages \"none\";\n\
         Acquire::Retries \"2\";\n\
         Acquire::http::Timeout \"30\";\n\
         Acquire::https::Timeout \"30\";\n"
    ))
}

/// An archive from a line such as `'http://m/p/x_1_amd64.deb' x_1_amd64.deb 123 MD5Sum:…`.
fn archive(line: &str) -> Option<Archive> {
    let mut words = line.split(' ').skip(1);
    let (name, bytes) = (words.next()?, words.next()?.parse().ok()?);
    let is_plain = name.ends_with(".deb") && !name.starts_with('.') && !name.contains('/');
    is_plain.then(|| Archive { name: name.to_owned(), bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_read_from_what_apt_lists() {
        let line = "'http://m.test/pool/libc6_2.31-13_amd64.deb' libc6_2.31-13_amd64.deb 2825484 MD5Sum:0a";
        let expected = Archive { name: "libc6_2.31-13_amd64.deb".to_owned(), bytes: 2_825_484 };
        assert_eq!(archive(line), Some(expected));
        assert_eq!(archive("'http://m.test/x' ../x.deb 1 MD5Sum:0a"), None);
        assert_eq!(archive("'http://m.test/x' x.deb"), None);
    }
}

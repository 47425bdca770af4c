//! Whether a language's toolchain is still what it was, by what the file system says of it.
//!
//! A look costs a few microseconds, so it can be taken before any program is run by what was made with the toolchain.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rollcage_language::{Language, Warm};
use rollcage_sandbox::{Host, RootTree};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, openat, openat2};

/// Where cages look for programs.
const PROGRAMS: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

/// Written whenever Debian's packages change: most of a toolchain is no program of its own.
const PACKAGES: &str = "/var/lib/dpkg/status";

/// Of what is known of a file.
const FACTS_BYTES: usize = 48;

/// The files by which a language's toolchain is known.
#[derive(Clone, Debug)]
pub struct ToolchainFiles {
    root: PathBuf,
    files: Vec<String>,
}

/// What was seen. Equal if nothing has changed; stable over time, on one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ToolchainIdentity([u8; 32]);

impl ToolchainIdentity {
    /// As bytes, for keys.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl ToolchainFiles {
    /// Of `language` as programs of `host` find it.
    pub fn of(language: &Language, host: &Host) -> Self {
        let root = match host.tree() {
            RootTree::HostToolchains => PathBuf::from("/"),
            RootTree::Directory(tree) => tree.clone(),
        };
        let in_each = |name: &String| PROGRAMS.map(|directory| format!("{directory}/{name}"));
        let mut files: Vec<String> = language.toolchain.iter().flat_map(in_each).collect();
        files.push(PACKAGES.to_owned());
        let (executable, watches) = match &language.warm {
            Some(Warm::Fork(recipe)) => (recipe.executable.as_ref(), recipe.watches.as_slice()),
            Some(Warm::Spare(recipe)) => (recipe.executable.as_ref(), recipe.watches.as_slice()),
            None => (None, [].as_slice()),
        };
        files.extend(executable.into_iter().chain(watches).cloned());
        Self { root, files }
    }

    /// What is there now.
    pub fn look(&self) -> ToolchainIdentity {
        let mut hasher = blake3::Hasher::new();
        let root = openat(CWD, &self.root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok();
        for file in &self.files {
            hasher.update(file.as_bytes());
            hasher.update(&[0]);
            let found = root.as_ref().and_then(|root| look_at(root, Path::new(file)));
            hasher.update(&found.unwrap_or([0; FACTS_BYTES]));
        }
        ToolchainIdentity(*hasher.finalize().as_bytes())
    }
}

/// Which file it is, how long it is and when it was changed; links lead where they lead for somebody whose root this is.
fn look_at(root: &OwnedFd, path: &Path) -> Option<[u8; FACTS_BYTES]> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let file = openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT).ok()?;
    let found = fstat(file.as_fd()).ok()?;
    let mut words = [0; FACTS_BYTES];
    let facts = [
        found.st_dev,
        found.st_ino,
        found.st_size.cast_unsigned(),
        found.st_mtime.cast_unsigned(),
        found.st_mtime_nsec,
        // Changes with whatever is done to it, an earlier time of change among it.
        found.st_ctime.cast_unsigned().wrapping_mul(1_000_000_000).wrapping_add(found.st_ctime_nsec),
    ];
    for (place, fact) in words.chunks_exact_mut(8).zip(facts) {
        place.copy_from_slice(&fact.to_le_bytes());
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_and_nothing_else_is() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("tool"), "one").unwrap();
        let files = vec!["/tool".to_owned(), "/link".to_owned(), "/absent".to_owned()];
        let toolchain = ToolchainFiles { root: directory.path().to_owned(), files };
        let first = toolchain.look();
        assert_eq!(toolchain.look(), first);
        std::fs::write(directory.path().join("tool"), "two").unwrap();
        let second = toolchain.look();
        assert_ne!(second, first);
        // Below the directory, whatever it is called outside.
        std::os::unix::fs::symlink("/tool", directory.path().join("link")).unwrap();
        let third = toolchain.look();
        assert_ne!(third, second);
        std::fs::remove_file(directory.path().join("tool")).unwrap();
        assert_ne!(toolchain.look(), third);
    }
}

//! Whether an executable loads libraries at all: one that is linked statically ignores the one that is preloaded, and would
//! run instead of becoming a server.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};

/// The beginning of a file holds its program headers in practice; see elf(5).
const LOOKED_AT: u64 = 64 * 1024;
const MAGIC: &[u8] = b"\x7fELF\x02\x01";
/// `PT_INTERP`: the path of the dynamic loader.
const LOADER: u32 = 3;

/// Whether the first of `candidates` that exists below `root` is an ELF executable without a dynamic loader. What cannot be
/// read or is no ELF file (a script, say) is not.
pub(super) fn is_static(root: &Path, candidates: &[String]) -> bool {
    candidates.iter().find_map(|path| open_in(root, path)).is_some_and(has_no_loader)
}

/// Links lead where they lead for somebody whose root this is.
fn open_in(root: &Path, path: &str) -> Option<File> {
    let root = openat(CWD, root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT).ok().map(|file: OwnedFd| file.into())
}

fn has_no_loader(file: File) -> bool {
    let mut bytes = Vec::new();
    if file.take(LOOKED_AT).read_to_end(&mut bytes).is_err() || !bytes.starts_with(MAGIC) {
        return false;
    }
    let number = |at: usize, length: usize| -> Option<usize> {
        let mut word = [0; 8];
        word[..length].copy_from_slice(bytes.get(at..at.checked_add(length)?)?);
        usize::try_from(u64::from_le_bytes(word)).ok()
    };
    // e_phoff, e_phentsize, e_phnum.
    let (Some(at), Some(size), Some(count)) = (number(32, 8), number(54, 2), number(56, 2)) else {
        return false;
    };
    let kind = |index: usize| number(at.checked_add(index.checked_mul(size)?)?, 4);
    let kinds: Option<Vec<usize>> = (0..count).map(kind).collect();
    kinds.is_some_and(|kinds| !kinds.contains(&(LOADER as usize)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_with_a_loader_and_other_files_are_not_static() {
        let check = |path: &str| is_static(Path::new("/"), &["/no/such/file".to_owned(), path.to_owned()]);
        assert!(!check("/usr/bin/python3"));
        assert!(!check("/etc/passwd"));
        assert!(!check("/no/such/file/either"));
    }

    #[test]
    fn an_executable_without_a_loader_is_static() {
        let directory = tempfile::tempdir().unwrap();
        let source = directory.path().join("a.c");
        std::fs::write(&source, "int main(void) { return 0; }\n").unwrap();
        let program = directory.path().join("a");
        let built =
            std::process::Command::new("gcc").arg("-static").arg(&source).arg("-o").arg(&program).status();
        if !built.is_ok_and(|status| status.success()) {
            eprintln!("skipped: no C compiler with a static C library");
            return;
        }
        assert!(is_static(directory.path(), &["/a".to_owned()]));
    }
}

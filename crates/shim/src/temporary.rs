//! Directories that the interpreter made for its temporary files when it started, which each program must find in a `/tmp`
//! of its own: R makes one, and matplotlib.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::raw::{self, Errno};

/// Where every cage has its own.
const PLACE: &str = "/tmp";
/// Directories within directories.
const DEPTH_MAX: usize = 4;
/// An interpreter makes one or two.
const COUNT_MAX: usize = 64;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Directories(Vec<CString>);

impl Directories {
    /// Those there are now, each before what is in it. Files are left out: whoever needs one makes it.
    pub(crate) fn look() -> Self {
        let mut found = Self::default();
        found.collect(Path::new(PLACE), 0);
        found
    }

    fn collect(&mut self, place: &Path, depth: usize) {
        // One that cannot be read holds nothing of the interpreter's.
        for entry in fs::read_dir(place).into_iter().flatten().flatten() {
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if !is_directory || self.0.len() >= COUNT_MAX || depth >= DEPTH_MAX {
                continue;
            }
            let path = entry.path();
            self.0.extend(CString::new(path.as_os_str().as_bytes()));
            self.collect(&path, depth + 1);
        }
    }

    /// Makes them. Allocates nothing.
    pub(crate) fn make(&self) -> Result<(), Errno> {
        self.0.iter().try_for_each(|path| match raw::make_directory(path) {
            Err(libc::EEXIST) => Ok(()),
            made => made,
        })
    }
}

//! One entry of a layer, from what its headers say to what is done to the tree.
//!
//! Set-user-id, set-group-id bits are dropped: cages mount without them, so inside they would do nothing, while on
//! the host a root-owned program of somebody else's making that any user may start is a way in. Devices and FIFOs
//! are not made, for the same reason; extended attributes (capabilities among them) are not kept.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{Gid, Mode, Timespec, Uid};

use crate::error::EntryError;
use crate::names::{self, Marker, NameError};
use crate::tarball::{Entry, Kind};
use crate::tree::{Attributes, Tree};
use crate::unpack::{Ids, UnpackReport};

/// Permissions and the sticky bit.
const MODE_KEPT: u32 = 0o1777;
const SET_ID: u32 = 0o6000;
/// The latest second that ext4 can hold, in the year 2446; a later one would come out as something else.
const SECONDS_MAX: u64 = 15_032_385_535;

/// Applies one entry, whose content follows in `content`.
pub(crate) fn apply(
    tree: &mut Tree,
    ids: Ids,
    entry: &Entry,
    content: &mut impl Read,
    report: &mut UnpackReport,
) -> Result<(), EntryError> {
    let path = names::plain(&entry.path).map_err(EntryError::Path)?;
    match names::marker(&path).map_err(EntryError::Path)? {
        Marker::Plain => {}
        Marker::Hides(name) => {
            report.whiteouts += 1;
            return tree.hide(&path.with_file_name(name)).map_err(EntryError::Make);
        }
        Marker::Opaque => {
            report.whiteouts += 1;
            let directory = path.parent().unwrap_or(&path);
            return tree.hide_contents(directory).map_err(EntryError::Make);
        }
        Marker::Foreign => {
            report.ignored += 1;
            return Ok(());
        }
    }
    if path.as_os_str().is_empty() && entry.kind != Kind::Directory {
        return Err(EntryError::Path(NameError::Root));
    }
    let attributes = attributes(entry, ids)?;
    match entry.kind {
        Kind::File => {
            report.bytes += tree.file(&path, attributes, content).map_err(EntryError::Make)?;
            report.files += 1;
        }
        Kind::Directory => {
            tree.directory(&path, attributes).map_err(EntryError::Make)?;
            report.directories += 1;
        }
        Kind::Symlink => {
            if entry.link.contains(&0) {
                return Err(EntryError::Target(NameError::Zero));
            }
            tree.symlink(&path, attributes, OsStr::from_bytes(&entry.link)).map_err(EntryError::Make)?;
            report.symlinks += 1;
        }
        Kind::HardLink => {
            let target = names::plain(&entry.link).map_err(EntryError::Target)?;
            tree.hard_link(&path, &target).map_err(EntryError::Make)?;
            report.hard_links += 1;
        }
        Kind::Device | Kind::Fifo => {
            tree.absent(&path).map_err(EntryError::Make)?;
            let left_out = if entry.kind == Kind::Fifo {
                &mut report.fifos_left_out
            } else {
                &mut report.devices_left_out
            };
            *left_out += 1;
        }
    }
    // Of a symbolic link the mode means nothing, and of a hard link its target's counts.
    if entry.mode & SET_ID != 0 && matches!(entry.kind, Kind::File | Kind::Directory) {
        report.set_ids_dropped += 1;
    }
    Ok(())
}

/// What a directory has that no layer describes, and the root directory until one does.
pub(crate) fn implied(ids: Ids) -> Attributes {
    let owner = match ids {
        Ids::Keep => Some((Uid::ROOT, Gid::ROOT)),
        Ids::Own => None,
    };
    Attributes { mode: Mode::from_raw_mode(0o755), owner, modified: Timespec { tv_sec: 0, tv_nsec: 0 } }
}

fn attributes(entry: &Entry, ids: Ids) -> Result<Attributes, EntryError> {
    let owner = match ids {
        Ids::Keep => Some((Uid::from_raw(id(entry.uid)?), Gid::from_raw(id(entry.gid)?))),
        Ids::Own => None,
    };
    let (seconds, nanoseconds) = entry.mtime;
    let tv_sec = i64::try_from(seconds.min(SECONDS_MAX)).expect("the bound fits");
    let modified = Timespec { tv_sec, tv_nsec: nanoseconds.into() };
    Ok(Attributes { mode: Mode::from_raw_mode(entry.mode & MODE_KEPT), owner, modified })
}

/// An id the kernel takes. The highest one means "leave it as it is".
fn id(found: u64) -> Result<u32, EntryError> {
    u32::try_from(found).ok().filter(|id| *id != u32::MAX).ok_or(EntryError::Id { found })
}

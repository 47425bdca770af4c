//! Removing variables so that nothing remembers them: neither `environ` nor `/proc/self/environ`.
//!
//! The kernel shows the memory that the strings lay in when the program started. So they are overwritten, and those
//! behind them move up.

use core::ffi::{CStr, c_char, c_void};
use core::ptr;

use rollcage_guest::fork_server::{
    EXECUTABLE_VARIABLE, HIDDEN_VARIABLE, LIBRARIES_VARIABLE, PASSES_VARIABLE, POINT_VARIABLE,
    PRELOAD_VARIABLE, SOCKET_VARIABLE, SPARE_VARIABLE, STOP_VARIABLE,
};

unsafe extern "C" {
    static environ: *mut *mut c_char;
}

/// The value of a variable. It lies in the environment: copy it before anything is removed.
pub(crate) fn value(name: &str) -> Option<&'static CStr> {
    entries().find_map(|entry| {
        // SAFETY: entries of the environment are NUL-terminated and live as long as the process.
        let text = unsafe { CStr::from_ptr(entry) };
        let after = text.to_bytes_with_nul().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        CStr::from_bytes_with_nul(after).ok()
    })
}

/// Removes this library's own variables, and its entry of `LD_PRELOAD`.
pub(crate) fn remove_own() {
    let own = [
        EXECUTABLE_VARIABLE,
        HIDDEN_VARIABLE,
        PASSES_VARIABLE,
        POINT_VARIABLE,
        PRELOAD_VARIABLE,
        SOCKET_VARIABLE,
        SPARE_VARIABLE,
        STOP_VARIABLE,
    ];
    let others = value(LIBRARIES_VARIABLE).map(|list| other_libraries(list.to_bytes()));
    match others {
        Some(others) if !others.is_empty() => shorten_libraries(&others),
        _ => remove(|name| name == LIBRARIES_VARIABLE.as_bytes()),
    }
    remove(|name| own.iter().any(|own| own.as_bytes() == name));
}

/// Removes each variable that is named in a list with commas.
pub(crate) fn remove_listed(list: &CStr) {
    if !list.is_empty() {
        remove(|name| list.to_bytes().split(|byte| *byte == b',').any(|listed| listed == name));
    }
}

/// The pointers of the environment.
fn entries() -> impl Iterator<Item = *mut c_char> {
    // SAFETY: libc's list of pointers, or NULL before it is set up.
    let list = unsafe { environ };
    (0..).map_while(move |index| {
        if list.is_null() {
            return None;
        }
        // SAFETY: the list ends with NULL, and `map_while` does not pass it.
        let place = unsafe { list.add(index) };
        // SAFETY: as above.
        let entry = unsafe { *place };
        (!entry.is_null()).then_some(entry)
    })
}

/// The list without this library, in the loader's own form.
fn other_libraries(list: &[u8]) -> Vec<u8> {
    let own = own_path();
    let is_other = |name: &&[u8]| !name.is_empty() && Some(*name) != own.map(CStr::to_bytes);
    let others: Vec<&[u8]> = list.split(|byte| matches!(byte, b':' | b' ')).filter(is_other).collect();
    others.join(&b':')
}

/// The path by which the loader found this library.
fn own_path() -> Option<&'static CStr> {
    // SAFETY: all-zero bytes are a valid `Dl_info` of null pointers.
    let mut info: libc::Dl_info = unsafe { core::mem::zeroed() };
    // SAFETY: the address is one of this library's functions, and there is room for one `Dl_info`.
    let found = unsafe { libc::dladdr(own_path as *const c_void, &raw mut info) };
    if found == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: the loader keeps the name, NUL-terminated, as long as the library is loaded.
    Some(unsafe { CStr::from_ptr(info.dli_fname) })
}

/// Writes a shorter list of libraries over the longer one.
fn shorten_libraries(others: &[u8]) {
    let Some(list) = value(LIBRARIES_VARIABLE) else { return };
    let start = list.as_ptr().cast_mut().cast::<u8>();
    // SAFETY: `others` is a part of `list`, so it and its NUL fit.
    unsafe { ptr::copy(others.as_ptr(), start, others.len()) };
    let rest = list.to_bytes().len() - others.len();
    // SAFETY: still in the old list.
    let behind = unsafe { start.add(others.len()) };
    // SAFETY: what follows up to the old end belongs to the old list.
    unsafe { ptr::write_bytes(behind, 0, rest) };
}

/// Removes every variable whose name is `unwanted`.
fn remove(unwanted: impl Fn(&[u8]) -> bool) {
    // SAFETY: see `entries`.
    let list = unsafe { environ };
    if list.is_null() {
        return;
    }
    let mut kept = 0;
    let mut end_of_kept: *mut c_char = ptr::null_mut();
    let mut end_of_last: *mut c_char = ptr::null_mut();
    for entry in entries() {
        // SAFETY: entries are NUL-terminated.
        let text = unsafe { CStr::from_ptr(entry) }.to_bytes_with_nul();
        let name = text.split(|byte| *byte == b'=').next().unwrap_or_default();
        let (length, is_unwanted) = (text.len(), unwanted(name));
        // Strings that are not one behind the other were put there since the start; they stay where they are.
        let follows = entry == end_of_last;
        // SAFETY: one past the end of the string.
        end_of_last = unsafe { entry.add(length) };
        if !follows {
            end_of_kept = entry;
        }
        if is_unwanted {
            // SAFETY: the string is the process's own; nothing else refers to it by the caller's word.
            unsafe { ptr::write_bytes(entry, 0, length) };
            continue;
        }
        let to = end_of_kept;
        if to != entry {
            // SAFETY: `to` lies before `entry` in one run of strings, and what lies between was removed or moved.
            unsafe { ptr::copy(entry, to, length) };
            // SAFETY: the string in its new place ends here.
            let end = unsafe { to.add(length) };
            // SAFETY: from the new end to the old one; not beyond the string.
            unsafe { clear(end, end_of_last) };
        }
        // SAFETY: `kept` has not passed the index that is being read.
        let place = unsafe { list.add(kept) };
        // SAFETY: as above.
        unsafe { *place = to };
        kept += 1;
        // SAFETY: one past the end of the string in its place.
        end_of_kept = unsafe { to.add(length) };
    }
    // SAFETY: no more are kept than there were, and the list had room for its NULL behind them.
    let last = unsafe { list.add(kept) };
    // SAFETY: as above.
    unsafe { *last = ptr::null_mut() };
    end_environment_at(end_of_kept);
}

/// # Safety
///
/// All from `from` to `to` belongs to the environment.
unsafe fn clear(from: *mut c_char, to: *mut c_char) {
    let length = (to as usize).saturating_sub(from as usize);
    // SAFETY: by the contract.
    unsafe { ptr::write_bytes(from, 0, length) };
}

/// Tells the kernel where the environment ends now, so that `/proc/self/environ` has no run of zeros at its end. Takes a
/// privilege; without it the zeros stay, and are all that is to be seen.
fn end_environment_at(end: *mut c_char) {
    // SAFETY: the kernel checks that the address is mapped, and uses it for /proc only.
    let _denied = unsafe { libc::prctl(libc::PR_SET_MM, libc::PR_SET_MM_ENV_END, end, 0, 0) };
}

//! Which parts of the host every program may read: its toolchains and what they need, nothing private.

/// Trees of the host that hold toolchains. On most systems all but `/usr` are links into it.
pub(crate) const HOST_TREES: [&str; 7] = ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// Entries of the host's `/etc` that toolchains need and that hold nothing private.
pub(crate) const ETC_ENTRIES: [&str; 8] = [
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "alternatives",
    "magic",
    "mime.types",
    "services",
    "protocols",
];
/// Files of the host's `/etc` that programs take for granted once they can tell that they exist: where the host's own tree
/// is there to be looked at, and reading them is not refused with the words for a file that is missing.
pub(crate) const ETC_INSISTED_ON: [&str; 1] = ["ssl/openssl.cnf"];
/// Prefixes of further such entries: `java-17-openjdk`, `python3.11`, …
const ETC_PREFIXES: [&str; 7] = ["java-", "python", "perl", "R", "lua", "php", "matplotlib"];

/// Whether an entry of `/etc` belongs to a toolchain.
pub(crate) fn is_wanted_in_etc(name: &str) -> bool {
    ETC_ENTRIES.contains(&name) || ETC_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

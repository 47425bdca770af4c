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
/// Prefixes of further such entries: `java-17-openjdk`, `python3.11`, …
const ETC_PREFIXES: [&str; 6] = ["java-", "python", "perl", "R", "lua", "php"];

/// Whether an entry of `/etc` belongs to a toolchain.
pub(crate) fn is_wanted_in_etc(name: &str) -> bool {
    ETC_ENTRIES.contains(&name) || ETC_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

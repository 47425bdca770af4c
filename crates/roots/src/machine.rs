//! What Debian calls the machine this was built for.

/// A machine's names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine {
    /// In packages' names.
    pub(crate) architecture: &'static str,
    /// In the names of library directories.
    pub(crate) triplet: &'static str,
}

/// The machine's names, if Debian has packages for it that we know of.
pub(crate) fn machine() -> Option<Machine> {
    let (architecture, triplet) = match std::env::consts::ARCH {
        "x86_64" => ("amd64", "x86_64-linux-gnu"),
        "aarch64" => ("arm64", "aarch64-linux-gnu"),
        _ => return None,
    };
    Some(Machine { architecture, triplet })
}

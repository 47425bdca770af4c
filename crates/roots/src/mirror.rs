//! Which mirror packages come from: the one named, or the one this host's own packages come from.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::child::{self, Watch};
use crate::error::BuildError;

/// Says which distribution this is.
const OS_RELEASE: &str = "/etc/os-release";

/// The mirror that was named, if it is an address: it becomes a word of a line that apt reads.
pub(crate) fn named(mirror: &str) -> Result<String, BuildError> {
    let trimmed = mirror.trim_end_matches('/');
    let has_scheme = trimmed.split_once(":/").is_some_and(|(scheme, rest)| {
        !scheme.is_empty() && !rest.is_empty() && scheme.chars().all(|c| c.is_ascii_lowercase() || c == '+')
    });
    if !has_scheme || trimmed.chars().any(|c| c.is_whitespace() || c.is_control() || "[]\"#".contains(c)) {
        return Err(BuildError::BadMirror { mirror: mirror.to_owned() });
    }
    Ok(trimmed.to_owned())
}

/// The mirror of this host's own suite, as apt would use it.
pub(crate) fn of_host(scratch: &Path, watch: &dyn Watch) -> Result<String, BuildError> {
    let release = fs::read_to_string(OS_RELEASE).unwrap_or_default();
    let field = |name: &str| {
        let value = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.map(|value| value.trim_matches('"').to_owned())
    };
    let suite = field("VERSION_CODENAME").filter(|_| field("ID").as_deref() == Some("debian"));
    let mut command = Command::new("apt-get");
    command.args(["update", "--print-uris"]);
    let listed = child::run("apt-get", command, scratch, watch)?;
    find(&listed.stdout, suite.as_deref()).ok_or(BuildError::NoMirror)
}

/// The start of the first address of an index of `suite`, or of one of the names that every Debian mirror has.
fn find(listed: &str, suite: Option<&str>) -> Option<String> {
    const MOVING: [&str; 3] = ["stable", "testing", "sid"];
    let suites = suite.into_iter().flat_map(|suite| std::iter::once(suite).chain(MOVING));
    let addresses: Vec<_> =
        listed.lines().filter_map(|line| line.strip_prefix('\'')?.split('\'').next()).collect();
    suites.into_iter().find_map(|suite| {
        let end = format!("/dists/{suite}/InRelease");
        addresses.iter().find_map(|address| address.strip_suffix(&end)).map(str::to_owned)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_that_of_the_hosts_own_suite() {
        let listed = "'http://other.test/x/dists/nodistro/InRelease' other_InRelease 0 \n\
            'http://m.test/debian/dists/bookworm/InRelease' m.test_InRelease 0 \n\
            'http://m.test/debian-security/dists/bookworm-security/InRelease' m_InRelease 0 \n";
        assert_eq!(find(listed, Some("bookworm")).as_deref(), Some("http://m.test/debian"));
        assert_eq!(find(listed, Some("trixie")), None);
        assert_eq!(find(listed, None), None);
        let moving = "'mirror+file:/etc/m.list/dists/stable/InRelease' m 0 \n";
        assert_eq!(find(moving, Some("bookworm")).as_deref(), Some("mirror+file:/etc/m.list"));
    }

    #[test]
    fn only_an_address_is_taken_for_a_mirror() {
        for (given, expected) in [
            ("http://m.test/debian/", Some("http://m.test/debian")),
            ("file:/srv/debian", Some("file:/srv/debian")),
            ("m.test/debian", None),
            ("http://m.test/debian bullseye main\ndeb x", None),
            ("http://m.test/[trusted=yes]", None),
            ("", None),
        ] {
            assert_eq!(named(given).ok().as_deref(), expected, "{given}");
        }
    }
}

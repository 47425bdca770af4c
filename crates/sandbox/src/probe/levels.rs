//! Which isolation levels really start here.

use std::sync::Arc;

use rollcage_types::{Enforcement, IsolationLevel};

use super::findings::{self, Finding};
use super::obstacles;
use crate::config::{Accounting, HostConfig};
use crate::error::HostError;
use crate::host::Host;

/// All findings, and whether a host really starts.
#[derive(Debug)]
pub struct HostReport {
    /// In the order to print them.
    pub findings: Vec<Finding>,
    /// Every level, the strongest first.
    pub levels: Vec<LevelReport>,
    /// The proof: a started host's enforcement, or why none starts.
    pub started: Result<Arc<Enforcement>, HostError>,
}

/// Whether one level starts.
#[derive(Debug)]
pub struct LevelReport {
    /// Which.
    pub level: IsolationLevel,
    /// What it enforces, or why it does not start.
    pub started: Result<Arc<Enforcement>, HostError>,
    /// What would let it start.
    pub hints: Vec<String>,
}

/// Looks at the host and tries to start on it as asked, and at each level as well as that can be had.
pub fn probe(config: &HostConfig) -> HostReport {
    let try_level = |level| {
        let started = start(&HostConfig { slots: 1, accounting: Accounting::Best, ..HostConfig::at(level) });
        let hints = if started.is_ok() { Vec::new() } else { hints(level) };
        LevelReport { level, started, hints }
    };
    HostReport {
        findings: findings::all(),
        levels: IsolationLevel::ALL.into_iter().map(try_level).collect(),
        started: start(config),
    }
}

fn start(config: &HostConfig) -> Result<Arc<Enforcement>, HostError> {
    Host::start(config).map(|host| Arc::clone(host.enforcement()))
}

/// What would let `level` start, by what is seen of the settings that usually keep it from it.
fn hints(level: IsolationLevel) -> Vec<String> {
    let obstacles =
        || obstacles::of_namespaces().into_iter().map(|found| format!("{}: {}", found.setting, found.remedy));
    match level {
        IsolationLevel::Full if !rustix::process::geteuid().is_root() => {
            vec!["run it as root, for example with sudo".to_owned()]
        }
        IsolationLevel::Full => {
            let capability =
                "without CAP_SYS_ADMIN: docker run --privileged --cgroupns=host, or in Kubernetes \
                              securityContext.privileged"
                    .to_owned();
            std::iter::once(capability).chain(obstacles()).collect()
        }
        IsolationLevel::Rootless => obstacles().collect(),
        IsolationLevel::Process => {
            vec!["Linux 6.12 or later, with landlock in its lsm= boot option".to_owned()]
        }
    }
}

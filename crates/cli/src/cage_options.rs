//! The options that say how cages are built.

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use rollcage_sandbox::{Accounting, HostConfig};
use rollcage_types::{IsolationLevel, Mechanism};

/// How cages are built. Only who runs the command lowers it, never what runs in them.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Cages")]
pub(crate) struct CageOptions {
    /// How cages are built: `full` needs root; `rootless` a kernel that lets users make namespaces; `process` neither,
    /// for containers that refuse both [default: full]
    #[arg(long, value_name = "LEVEL", value_parser = level())]
    isolation: Option<IsolationLevel>,
    /// What limits and counts a tree's memory, processes and CPU time: `kernel`, its control groups; `sampled`, a look
    /// every 10 ms; `best`, the first that can be had [default: kernel at level full, best below]
    #[arg(long, value_name = "KIND", value_parser = accounting())]
    accounting: Option<Accounting>,
    /// Refuse to run anything where this mechanism is not in force in full; may be given more than once
    #[arg(long, value_name = "MECHANISM", value_parser = mechanism(), hide_possible_values = true)]
    require: Vec<Mechanism>,
}

impl CageOptions {
    /// The host asked for; at level `named` where no option says another.
    pub(crate) fn host_config(&self, named: Option<IsolationLevel>) -> HostConfig {
        let level = self.isolation.or(named).unwrap_or_default();
        let usual = HostConfig::at(level);
        HostConfig {
            accounting: self.accounting.unwrap_or(usual.accounting),
            requires: self.require.clone(),
            ..usual
        }
    }
}

fn level() -> impl clap::builder::TypedValueParser<Value = IsolationLevel> {
    named(IsolationLevel::ALL, IsolationLevel::as_str)
}

fn accounting() -> impl clap::builder::TypedValueParser<Value = Accounting> {
    named(Accounting::ALL, Accounting::as_str)
}

fn mechanism() -> impl clap::builder::TypedValueParser<Value = Mechanism> {
    named(Mechanism::ALL, Mechanism::as_str)
}

/// One of `all`, by its name.
fn named<T: Copy + Send + Sync + 'static, const N: usize>(
    all: [T; N],
    name: fn(T) -> &'static str,
) -> impl clap::builder::TypedValueParser<Value = T> {
    PossibleValuesParser::new(all.map(name)).map(move |given| {
        all.into_iter().find(|value| name(*value) == given).expect("clap lets only these names through")
    })
}

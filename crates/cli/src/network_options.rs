//! The options that say what a program may reach over the network.

use rollcage_types::{AllowList, NetworkAccess};

use crate::failure::Failure;

/// What the program may reach. Nothing, unless an option says more.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Network")]
pub(crate) struct NetworkOptions {
    /// `none`: no network at all; `loopback`: one of its own with `lo` and nothing else [default: none]
    #[arg(long, value_name = "NETWORK", value_enum)]
    network: Option<Network>,
    /// Let it reach this host by TCP, as `HOST`, which is ports 80 and 443, or `HOST:PORT,PORT`; may be given more than
    /// once. What it asked for and connected to is in the JSON
    #[arg(long = "allow-host", value_name = "HOST", conflicts_with = "network")]
    hosts: Vec<String>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Network {
    None,
    Loopback,
}

impl NetworkOptions {
    /// The network asked for.
    pub(crate) fn access(&self) -> Result<NetworkAccess, Failure> {
        if !self.hosts.is_empty() {
            let list = AllowList::parse(self.hosts.iter().map(String::as_str));
            return list.map(NetworkAccess::Allow).map_err(|error| Failure::usage(error.to_string()));
        }
        Ok(match self.network {
            None | Some(Network::None) => NetworkAccess::None,
            Some(Network::Loopback) => NetworkAccess::Loopback,
        })
    }
}

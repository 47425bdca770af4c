//! `rollcage languages`: what can be run here, whether it works, and how to get what is missing.

mod args;
mod build;
mod install;
mod list;
mod test;
mod versions;

pub(crate) use args::{Args, run};

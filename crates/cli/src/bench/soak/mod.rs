//! A soak: all kinds of work on one host for minutes or hours, and whether everything stays as it should be.
//!
//! Numbers are not its point. It passes if no outcome was wrong and nothing has become more.

mod accident;
mod attacks;
mod benign;
mod blocks;
mod course;
mod draw;
mod faulty;
mod hostile;
mod inventory;
mod leg;
mod processes;
mod report;
mod statistics;
mod tally;
mod text;
mod work;

pub(crate) use course::{SoakPlan, soak};
pub(crate) use text::{markdown, render};

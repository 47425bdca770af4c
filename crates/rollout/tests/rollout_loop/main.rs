//! The loop against a driver without effects.

mod driver;
mod properties;
mod stories;

//! Images made by hand, good and hostile, unpacked.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_sign_loss,
    reason = "a test that cannot go on says where, and the numbers in it are small"
)]

mod cache;
mod formats;
mod fuzz;
mod hostile;
mod layers;
mod refused;
mod support;

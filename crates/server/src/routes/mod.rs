//! What is done for each route.

pub(crate) mod batch;
pub(crate) mod execute;
pub(crate) mod info;
pub(crate) mod judge;
pub(crate) mod limits;

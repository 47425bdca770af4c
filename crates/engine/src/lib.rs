//! Admission, drivers, model clients and the store
#![forbid(unsafe_code)]

pub mod policy;
pub mod store;

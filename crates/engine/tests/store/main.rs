//! The store at its boundary: real files, real processes that are killed, a real disk that is full.

mod export;
mod faults;
mod kill;
mod records;
mod writes;

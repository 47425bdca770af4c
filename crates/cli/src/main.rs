//! The `rollcage` command.

fn main() {}

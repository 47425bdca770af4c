//! The cage's own hazards: each was met in a prototype, and each corrupts verdicts, accounts or the host when it
//! returns. What hostile programs try is in `tests/escape`; here programs are honest, or merely unlucky.

mod accounting;
mod crash;
mod faults;
mod harness;
mod inherited;
mod leaks;
mod levels;
mod lifetime;
mod limits;
mod mounts;
mod networks;
mod refusals;
mod roots;
mod streams;
mod traces;
mod verdicts;

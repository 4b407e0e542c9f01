//! What survives: processes killed under load, and disks that lose what was not synced.
//!
//! All heavy tests are in this one binary. The process under test is this binary again: [`child`] loads a
//! store and ends by force; the tests then look at what it left behind ([`verify`]).

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking and print what they found"
)]

mod child;
mod crash;
mod image;
mod load;
mod power_loss;
mod reopen;
mod sync_failure;

mod trace;
mod verify;

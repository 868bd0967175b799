//! Black-box tests of the store: real files, real second processes. Each test is named after its claim.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod collection;
mod copies;
mod damage;
mod golden;
mod harness;
mod kills;
mod leases;
mod opening;
mod processes;
mod publishing;
mod read_only;
mod retention;
mod round_trips;
mod sharing;
mod unreadable;
mod verifying;

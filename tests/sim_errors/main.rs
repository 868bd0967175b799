//! `astra-store sim` on every input on which the original simulator aborts, hangs, exits or corrupts its memory: our
//! exit code and message, or the time where the rules imply one.
//!
//! Exit 2: the command line; 3: a file that is missing or wrong, or inputs that do not fit each other; 1: a node that
//! cannot be executed, or a stall.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod deepflow;
mod files;
mod inputs;
mod networks;
mod runs;

//! Graphs: read, converted, and compared with what DeepFlow made of the same graphs.
//!
//! `own` and `mends` hold everywhere; `recorded` compares with measured data where that lies beside the workspace.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod neutral;
mod recorded;

//! Graphs: read, converted, and compared with what DeepFlow made of the same graphs.
//!
//! `recorded`, and part of `running`, compare with measured data where that lies beside the workspace; without it they
//! say so and pass. Everything else holds everywhere.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod exported;
mod mends;
mod neutral;
mod own;
mod reading;
mod recorded;
mod running;
mod small;
mod times;

//! Answering requests, a line of JSON each, for programs that ask often: everything stays open between two questions.
//!
//! `docs/interop.md` describes the lines. Depends on the steps and on runs of given files. Knows nothing of where lines come
//! from and go to, and of no environment.

mod fields;
mod hardware;
mod request;
mod server;
mod traces;

pub use request::PROTOCOL;
pub use server::{MAX_LINE_BYTES, Server};

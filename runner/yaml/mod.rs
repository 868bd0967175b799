//! YAML with places: text → [`Node`], and typed access with errors that name file, line and key.
//!
//! The YAML crate is named in `parse` only. Nothing here knows what a key means.

mod node;
mod parse;
mod section;

pub use node::{Entry, Node, Value};
pub use parse::parse;
pub(crate) use section::{Section, boolean, integer, integer_to, list, number, text};

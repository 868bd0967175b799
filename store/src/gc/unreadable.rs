//! What hides from collection what else is needed.

use crate::digest::{ActionKey, Digest};
use std::fmt;

/// Something between a root's name and what the root needs that is missing, damaged, or not what it should be: what
/// lies behind it is not known. `Display` makes a sentence of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The root of this name itself.
    Root(String),
    /// A tree or a closure.
    List {
        /// The root that leads to it.
        root: String,
        /// The blob that should be a list.
        digest: Digest,
    },
    /// The record of an action that a closure lists.
    Record {
        /// The root that leads to it.
        root: String,
        /// The action.
        key: ActionKey,
    },
}

impl Unreadable {
    /// The name of the root that cannot be followed to the end.
    pub fn root(&self) -> &str {
        match self {
            Self::Root(root) | Self::List { root, .. } | Self::Record { root, .. } => root,
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(root) => write!(f, "the root `{root}` is damaged"),
            Self::List { root, digest } => {
                write!(f, "the root `{root}` needs the list {digest}, which is missing, damaged or no list")
            }
            Self::Record { root, key } => {
                write!(f, "the root `{root}` needs the record of action {key}, which is missing or damaged")
            }
        }
    }
}

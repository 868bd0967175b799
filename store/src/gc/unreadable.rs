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
        /// How many times the root has been set to something else since it led there.
        back: usize,
        /// The blob that should be a list.
        digest: Digest,
    },
    /// The record of an action that a closure lists.
    Record {
        /// The root that leads to it.
        root: String,
        /// How many times the root has been set to something else since it led there.
        back: usize,
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

    /// How many times the root has been set to something else since it led there: 0 for what it is now.
    pub fn back(&self) -> usize {
        match self {
            Self::Root(_) => 0,
            Self::List { back, .. } | Self::Record { back, .. } => *back,
        }
    }

    fn needs(&self) -> String {
        match self.back() {
            0 => format!("the root `{}` needs", self.root()),
            1 => format!("what the root `{}` was before needs", self.root()),
            back => format!("what the root `{}` was {back} times before needs", self.root()),
        }
    }

    /// What to do, as a sentence without its end.
    pub fn remedy(&self) -> String {
        let root = self.root();
        match self.back() {
            0 => {
                format!("build again what the root `{root}` stands for, or give it up with `roots --remove`")
            }
            back => format!(
                "build again what the root `{root}` stood for, or give that up with `gc --keep-last {back}`"
            ),
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(root) => write!(f, "the root `{root}` is damaged"),
            Self::List { digest, .. } => {
                write!(f, "{} the list {digest}, which is missing, damaged or no list", self.needs())
            }
            Self::Record { key, .. } => {
                write!(f, "{} the record of action {key}, which is missing or damaged", self.needs())
            }
        }
    }
}

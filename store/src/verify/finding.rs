//! What can be wrong with a store, in kinds that scripts tell apart by a code.

use crate::digest::{ActionKey, Digest};
use crate::inspect::Found;
use std::fmt;

/// A kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Bytes are not what they were.
    Corrupt,
    /// Something that is named is not there.
    Missing,
    /// A record that nothing tells what it is the result of.
    Untrusted,
    /// Rows that belong to nothing, or that nothing can be made of.
    Other,
}

impl Trouble {
    /// The power of two that stands for it in [`crate::Verification::code`].
    pub const fn code(self) -> u8 {
        match self {
            Self::Corrupt => 1,
            Self::Missing => 2,
            Self::Untrusted => 4,
            Self::Other => 8,
        }
    }

    /// A word for it: `corrupt`, `missing`, `untrusted`, `other`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Corrupt => "corrupt",
            Self::Missing => "missing",
            Self::Untrusted => "untrusted",
            Self::Other => "other",
        }
    }
}

/// What needs something that is not there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Needs {
    /// A record, or a list: a tree or a closure.
    Content(Found),
    /// A root.
    Root(String),
}

/// Something that is wrong. `Display` makes a sentence of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// A blob is not what its name says.
    Blob(Digest),
    /// A record is not what was written.
    Record(ActionKey),
    /// A root is not what was written.
    Root(String),
    /// A part of the file cannot be read. Says what it holds, and why.
    Table(&'static str, String),
    /// Something is not there. Says what needs it.
    Missing(Found, Needs),
    /// The description that an action's key is made of is missing or damaged.
    Preimage(ActionKey),
    /// A blob is not the list that something takes it for.
    NoList(Digest, Needs),
    /// Parts of content, under this name, that nothing puts together.
    StrayChunks(Digest),
    /// Who computed an action cannot be read.
    Provenance(ActionKey),
    /// What the commit of this number wrote cannot be read, or has the number of a commit that is still to come.
    Arrival(u64),
}

impl Finding {
    /// Which kind of trouble it is.
    pub fn trouble(&self) -> Trouble {
        match self {
            Self::Blob(_) | Self::Record(_) | Self::Root(_) | Self::Table(..) | Self::Arrival(_) => {
                Trouble::Corrupt
            }
            Self::Missing(..) => Trouble::Missing,
            Self::Preimage(_) => Trouble::Untrusted,
            Self::NoList(..) | Self::StrayChunks(_) | Self::Provenance(_) => Trouble::Other,
        }
    }
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Content(found) => found.fmt(f),
            Self::Root(name) => write!(f, "the root `{name}`"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob(digest) => write!(f, "blob {digest} is not what its name says"),
            Self::Record(key) => write!(f, "the record of action {key} is damaged"),
            Self::Root(name) => write!(f, "the root `{name}` is damaged"),
            Self::Table(what, why) => write!(f, "the {what} cannot all be read: {why}"),
            Self::Missing(what, needs) => write!(f, "{what} is missing, and {needs} needs it"),
            Self::Preimage(key) => {
                write!(
                    f,
                    "what action {key} is made of is missing or damaged, so its record cannot be told from a false one"
                )
            }
            Self::NoList(digest, needs) => {
                write!(f, "blob {digest} is not the list that {needs} takes it for")
            }
            Self::StrayChunks(digest) => write!(f, "parts of {digest} are there that nothing puts together"),
            Self::Provenance(key) => write!(f, "who computed action {key} cannot be read"),
            Self::Arrival(number) => {
                write!(
                    f,
                    "the list of what commit {number} wrote is damaged, or that commit is still to come"
                )
            }
        }
    }
}

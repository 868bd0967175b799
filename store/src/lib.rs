//! A content-addressed artifact store: blobs, trees, action records, roots and collection.
//!
//! Bytes are named by their hash; a record says which outputs an action gave; a root says what is still
//! needed. Everything lies in one file that several processes read and write at once. This crate knows
//! bytes, hashes, locks and disks, and must never know what the bytes mean.
//!
//! A build opens a [`Store`], takes a [`Session`], asks [`Store::hit`] before it does anything, takes a
//! [`Claim`] for what it does itself, and hands results over with [`Store::publish`].

#![forbid(unsafe_code)]

mod arrivals;
mod blob;
pub mod bundle;

mod claim;
mod closure;
mod committer;
mod compact;
#[cfg(test)]
mod crash;
mod db;
mod digest;
mod encoding;
mod error;
mod file;
mod filesystem;
mod format;
mod gc;
#[cfg(test)]
mod halt;
mod health;
mod hit;
mod identity;
mod in_memory;
mod inspect;
mod last_use;
mod lease;
mod locks;
mod opening;
mod options;
mod payload;
mod pins;
mod publish;
mod quarantine;
mod rebuild;
mod record;
pub mod remote;
mod root;
mod roots;
mod shared_bytes;
mod sharing;
mod spool;
mod staged;
mod store;
mod tally;
mod tree;
pub mod trust;
mod usage;
mod verify;

pub use blob::Blob;
pub use claim::{Claim, ClaimWait};
pub use closure::Closure;
pub use compact::Compaction;
pub use db::Panic;
pub use digest::{ActionKey, Digest, HexPrefix};
pub use error::{Error, ErrorKind, Result};
pub use filesystem::FileSystem;
pub use gc::{Amount, Because, Content, GcPlan, GcPolicy, GcReport, GivenUp, Keeper, Kept, Unreadable, Why};
pub use health::Health;
pub use inspect::{BlobInfo, Found, Stats};
pub use lease::Session;
pub use options::{Notice, Options};
pub use pins::Pinned;
pub use publish::{NewAction, Publication, Ticket};
pub use rebuild::Rebuilt;
pub use record::{ActionRecord, Output, OutputKind, Provenance};
pub use root::Root;
pub use roots::RootVersion;
pub use shared_bytes::SharedBytes;
pub use store::Store;
pub use tally::Uses;
pub use tree::{Tree, TreeEntry};
pub use usage::Usage;
pub use verify::{Depth, Finding, Needs, Repair, Trouble, Verification};

//! A content-addressed artifact store: blobs, trees, action records, roots and collection.
//!
//! Bytes are named by their hash; a record says which outputs an action gave; a root says what is still
//! needed. Everything lies in one file that several processes read and write at once. This crate knows
//! bytes, hashes, locks and disks, and must never know what the bytes mean.
//!
//! A build opens a [`Store`], takes a [`Session`], asks [`Store::hit`] before it does anything, takes a
//! [`Claim`] for what it does itself, and hands results over with [`Store::publish`].

mod blob;
pub mod bundle;
mod claim;
mod closure;
mod committer;
mod db;
mod digest;
mod encoding;
mod error;
mod format;
mod gc;
mod hit;
mod inspect;
mod locks;
mod mark;
mod options;
mod payload;
mod publish;
mod quarantine;
mod record;
pub mod remote;
mod root;
mod roots;
mod staged;
mod store;
mod tree;
pub mod trust;

pub use blob::Blob;
pub use claim::Claim;
pub use closure::Closure;
pub use digest::{ActionKey, Digest, HexPrefix};
pub use error::{Error, ErrorKind, Result};
pub use gc::{Amount, GcMode, GcReport};
pub use inspect::{BlobInfo, Found, Stats};
pub use locks::Session;
pub use mark::Unreadable;
pub use options::{Notice, Options};
pub use publish::{NewAction, Publication, Ticket};
pub use record::{ActionRecord, Output, OutputKind, Provenance};
pub use root::Root;
pub use store::Store;
pub use tree::{Tree, TreeEntry};

//! Leases: what a running build relies on, said to collection before it is relied on.
//!
//! Every process that builds has one file below `locks/leases`, which it holds locked and to which it appends names.
//! The lock is the lease: when its owner dies, the file is free and what it says is void. Appending needs the *gate*,
//! shared; collection deletes with the gate held alone. The tests in `model` try every order of events.

mod files;
#[cfg(test)]
mod model;

pub(crate) use files::{LeaseFiles, LeasedBy};

use crate::digest::{ActionKey, Digest, Id};
use crate::error::{Error, Result};
use crate::locks::{Locks, Patience, has_mark, set_mark, try_lock_shared};
use crate::options::Options;
use crate::record::OutputKind;
use std::collections::HashSet;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Something that is relied on. What it leads to is leased with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Leased {
    /// A blob, and what it lists.
    Output(OutputKind, Digest),
    /// The outputs of an action.
    Action(ActionKey),
    /// The roots of a group: they are in use. Named by the digest of its name.
    Group(Digest),
}

/// A byte that says what, and a name.
const ENTRY_BYTES: usize = 1 + 32;

const ACTION: u8 = 16;
const GROUP: u8 = 17;

impl Leased {
    /// The roots of this group.
    pub(crate) fn group(name: &str) -> Self {
        Self::Group(Digest::of(name.as_bytes()))
    }

    fn encode(self) -> [u8; ENTRY_BYTES] {
        let (tag, id) = match self {
            Self::Output(kind, digest) => (kind.code(), *digest.as_bytes()),
            Self::Action(key) => (ACTION, *key.as_bytes()),
            Self::Group(digest) => (GROUP, *digest.as_bytes()),
        };
        let mut entry = [tag; ENTRY_BYTES];
        entry[1..].copy_from_slice(&id);
        entry
    }

    /// `None` for what nobody writes; an append that failed half-way may have left it, and was never relied on.
    fn decode(entry: &[u8; ENTRY_BYTES]) -> Option<Self> {
        let [tag, id @ ..] = *entry;
        let id: Id = id;
        Some(match tag {
            ACTION => Self::Action(ActionKey::from_bytes(id)),
            GROUP => Self::Group(Digest::from_bytes(id)),
            kind => Self::Output(OutputKind::of_code(kind)?, Digest::from_bytes(id)),
        })
    }
}

/// The lease of an open store. Ends when dropped, or with the process.
#[derive(Debug)]
pub(crate) struct Lease {
    path: PathBuf,
    gate: File,
    gate_path: PathBuf,
    options: Options,
    said: Mutex<Said>,
}

#[derive(Debug)]
struct Said {
    file: File,
    len: u64,
    /// Whether the last append failed, and may have left a part of it.
    failed: bool,
    /// What the file says, and what follows from that.
    names: HashSet<Leased>,
}

impl Lease {
    /// Begins a lease of nothing.
    pub(crate) fn begin(locks: &Locks, options: &Options) -> Result<Self> {
        let gate_path = locks.gate();
        let gate = crate::locks::open(&gate_path)?;
        // A file that is not locked is void and may be removed, so collection must not see it before it is locked.
        let (path, file) = {
            let _passage = Passage::enter(&gate, &gate_path, options)?;
            files::create(&locks.leases(), options)?
        };
        let said = Mutex::new(Said { file, len: 0, failed: false, names: HashSet::new() });
        Ok(Self { path, gate, gate_path, options: options.clone(), said })
    }

    /// Leases these. To be called *before* looking whether they are there. Either a deletion that does not know of
    /// them is over when this returns, and the look that follows sees what it left; or it begins later, and spares
    /// them.
    ///
    /// A collection that died while it committed has left its mark at the gate. What it deleted may still be seen, until
    /// the next change begins and makes that commit known: `settle` begins one.
    pub(crate) fn announce(&self, leased: &[Leased], settle: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let new: Vec<Leased> = leased.iter().filter(|name| !said.names.contains(name)).copied().collect();
        if new.is_empty() {
            return Ok(());
        }
        let bytes: Vec<u8> = new.iter().flat_map(|name| name.encode()).collect();
        let _passage = Passage::enter(&self.gate, &self.gate_path, &self.options)?;
        if has_mark(&self.gate, &self.gate_path)? {
            settle()?;
            set_mark(&self.gate, &self.gate_path, false)?;
        }
        if said.failed {
            // What the failed attempt left is written over.
            let end = SeekFrom::Start(said.len);
            said.file.seek(end).map_err(|e| Error::io("write the lease", &self.path, &e))?;
        }
        let written = said.file.write_all(&bytes);
        said.failed = written.is_err();
        written.map_err(|e| Error::io("write the lease", &self.path, &e))?;
        said.len += bytes.len() as u64;
        said.names.extend(new);
        Ok(())
    }

    /// Notes what is leased already because something that leads to it is. Should a record be replaced by one with other
    /// outputs, which only an action that is not deterministic does, those it had may be collected: they are missed
    /// then, and made again.
    pub(crate) fn follows(&self, leased: impl Iterator<Item = Leased>) {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).names.extend(leased);
    }

    /// Whether this is leased.
    pub(crate) fn holds(&self, leased: &Leased) -> bool {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).names.contains(leased)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // One that stays is removed by the next collection: its lock is freed with the file.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The gate, held shared: no collection deletes meanwhile. Nobody holds it for longer than an append.
struct Passage<'a>(&'a File);

impl<'a> Passage<'a> {
    fn enter(gate: &'a File, path: &std::path::Path, options: &Options) -> Result<Self> {
        if !try_lock_shared(gate, path)? {
            let mut patience = Patience::new("a collection to delete", options);
            while !try_lock_shared(gate, path)? {
                patience.wait(path)?;
            }
        }
        Ok(Self(gate))
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        // Cannot fail for a lock that is held; if it did, collections would wait and say so.
        let _ = self.0.unlock();
    }
}

/// Keeps from collection what is looked up and published while it lives. Hold it from before the first look into the
/// store until everything is published, flushed and rooted.
#[derive(Clone, Debug)]
#[must_use = "what is relied on is kept only as long as the session lives"]
pub struct Session {
    /// None where nothing can be written.
    pub(crate) lease: Option<Arc<Lease>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_comes_back_and_nonsense_does_not() {
        let (digest, key) = (Digest::of(b"a"), ActionKey::of_preimage(b"a"));
        let kinds = [OutputKind::Blob, OutputKind::Tree, OutputKind::Closure];
        let outputs = kinds.map(|kind| Leased::Output(kind, digest));
        for leased in outputs.into_iter().chain([Leased::Action(key), Leased::group("a")]) {
            assert_eq!(Leased::decode(&leased.encode()), Some(leased));
        }
        assert_eq!(Leased::decode(&[99; ENTRY_BYTES]), None);
    }
}

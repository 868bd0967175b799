//! Claims: the right to run one action, among all processes that use a store.
//!
//! Keys are spread over a thousand lock files. Within a process each key is claimed for itself; among
//! processes a lock file stands for all keys that fall on it, which at worst delays somebody without need.

use crate::digest::ActionKey;
use crate::error::Result;
use crate::locks::{Held, Patience};
use crate::options::Options;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many lock files there are at most; they are made when first needed.
const SLOTS: u16 = 1024;

/// How often somebody who waits looks again, at least.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// What one open store has claimed.
#[derive(Debug)]
pub(crate) struct Claims {
    directory: PathBuf,
    slots: Mutex<HashMap<u16, Slot>>,
}

/// A lock file that is locked as long as any of its keys is claimed here.
#[derive(Debug)]
struct Slot {
    keys: Vec<ActionKey>,
    _held: Held,
}

impl Claims {
    /// The lock files are in this directory.
    pub(crate) fn new(directory: PathBuf) -> Arc<Self> {
        Arc::new(Self { directory, slots: Mutex::default() })
    }

    /// Waiting for whoever has the right to run an action.
    pub(crate) fn wait<'a>(&self, key: &ActionKey, options: &'a Options) -> ClaimWait<'a> {
        let patience = Patience::new("another process to finish the same work", options);
        ClaimWait { patience: patience.trying_every(LOOK_AGAIN), lock: self.file(slot_of(key)) }
    }

    /// Takes the right to run an action, unless somebody in this or another process has it.
    pub(crate) fn claim(self: &Arc<Self>, key: &ActionKey) -> Result<Option<Claim>> {
        let number = slot_of(key);
        match self.slots().entry(number) {
            Entry::Occupied(slot) if slot.get().keys.contains(key) => return Ok(None),
            Entry::Occupied(mut slot) => slot.get_mut().keys.push(*key),
            Entry::Vacant(slot) => match Held::try_take(&self.file(number))? {
                Some(held) => drop(slot.insert(Slot { keys: vec![*key], _held: held })),
                None => return Ok(None),
            },
        }
        Ok(Some(Claim { key: *key, claims: Arc::clone(self) }))
    }

    fn file(&self, number: u16) -> PathBuf {
        self.directory.join(format!("{number:03x}"))
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<u16, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn slot_of(key: &ActionKey) -> u16 {
    let bytes = key.as_bytes();
    u16::from_le_bytes([bytes[0], bytes[1]]) % SLOTS
}

/// The right to run one action, among all processes that use the store. Freed when dropped, and when the process
/// dies. Give it to [`crate::Publication`] so that it is freed once the result can be seen by everybody.
#[derive(Debug)]
#[must_use = "dropping a claim lets others run the action"]
pub struct Claim {
    key: ActionKey,
    claims: Arc<Claims>,
}

impl Claim {
    /// The action.
    pub fn key(&self) -> &ActionKey {
        &self.key
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Entry::Occupied(mut slot) = self.claims.slots().entry(slot_of(&self.key)) {
            slot.get_mut().keys.retain(|key| *key != self.key);
            if slot.get().keys.is_empty() {
                slot.remove();
            }
        }
    }
}

/// Waiting for whoever has claimed an action: announced after one second, and not longer than
/// [`Options::lock_timeout`].
#[derive(Debug)]
pub struct ClaimWait<'a> {
    patience: Patience<'a>,
    lock: PathBuf,
}

impl ClaimWait<'_> {
    /// Sleeps a little; then look for the result and try to claim the action again.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Busy`] when the time is up, with who has claimed it where the system tells.
    pub fn pause(&mut self) -> Result<()> {
        self.patience.wait(&self.lock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_share_a_lock_file_delay_other_processes_but_not_their_own() {
        let directory = tempfile::tempdir().unwrap();
        // Two sets of claims on one directory behave like two processes.
        let [here, there] = [(); 2].map(|()| Claims::new(directory.path().to_owned()));
        let [one, two] = [1, 2].map(|n| {
            let mut bytes = [7; 32];
            bytes[31] = n;
            ActionKey::from_bytes(bytes)
        });
        let first = here.claim(&one).unwrap().unwrap();
        let second = here.claim(&two).unwrap().unwrap();
        assert!(here.claim(&one).unwrap().is_none() && here.claim(&two).unwrap().is_none());
        assert!(there.claim(&two).unwrap().is_none());
        drop(first);
        assert!(there.claim(&one).unwrap().is_none(), "the second claim still holds the file");
        drop(second);
        assert!(there.claim(&two).unwrap().is_some());
    }
}

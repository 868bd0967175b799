//! The one place where what a remote hands out is compared with its name.

use crate::blob::Blob;
use crate::digest::ActionKey;
use crate::error::{Error, Result};
use crate::remote::{ActionEntry, Remote, Reply, Wanted};
use std::collections::HashSet;

/// What became of something asked for; `Err` says in words why it cannot be used.
pub(super) type Checked<T> = std::result::Result<T, String>;

/// Asks for blobs and delivers each once, hashed.
pub(super) fn get_blobs(
    remote: &dyn Remote,
    wanted: &[Wanted],
    deliver: &mut dyn FnMut(&Wanted, Checked<Blob>) -> Result<()>,
) -> Result<()> {
    remote.get_many(wanted, &mut |wanted, reply| deliver(wanted, check_blob(remote, wanted, reply)))
}

fn check_blob(remote: &dyn Remote, wanted: &Wanted, reply: Reply) -> Checked<Blob> {
    let bytes = found(remote, reply)?;
    // Whoever writes a remote may forget the limit.
    if bytes.len() as u64 > wanted.most_bytes {
        return Err(too_long(bytes.len() as u64, wanted.most_bytes));
    }
    let blob = Blob::new(bytes);
    if blob.digest() != wanted.digest {
        return Err(format!(
            "{} has other bytes under this name: they hash to {}",
            remote.name(),
            blob.digest()
        ));
    }
    Ok(blob)
}

/// Asks for entries and delivers each once, decoded, with its key checked, until so many bytes have come. Gives the keys
/// that are still to be asked for.
pub(super) fn get_actions(
    remote: &dyn Remote,
    keys: &[ActionKey],
    enough_bytes: u64,
    deliver: &mut dyn FnMut(&ActionKey, Checked<ActionEntry>),
) -> Result<Vec<ActionKey>> {
    let mut delivered = HashSet::new();
    let mut bytes = 0;
    let asked = remote.get_actions(keys, &mut |key, reply| {
        let entry = found(remote, reply).and_then(|found| {
            bytes += found.len() as u64;
            ActionEntry::decode(key, &found)
                .map_err(|e| format!("its entry in {} is damaged: {e}", remote.name()))
        });
        deliver(key, entry);
        delivered.insert(*key);
        match bytes < enough_bytes {
            true => Ok(()),
            // Ends the asking and goes no further.
            false => Err(Error::invalid("enough has come")),
        }
    });
    if bytes < enough_bytes {
        return asked.map(|()| Vec::new());
    }
    Ok(keys.iter().filter(|key| !delivered.contains(key)).copied().collect())
}

fn found(remote: &dyn Remote, reply: Reply) -> Checked<Vec<u8>> {
    match reply {
        Reply::Found(bytes) => Ok(bytes),
        Reply::Missing => Err(format!("{} does not have it", remote.name())),
        Reply::Unusable(error) => Err(error.to_string()),
    }
}

/// What to say of something longer than it may be.
pub(super) fn too_long(found: u64, most: u64) -> String {
    format!("it has {found} bytes, and at most {most} were expected")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::ActionRecord;
    use crate::remote::MemoryRemote;

    #[test]
    fn entries_come_until_there_are_enough_and_each_comes_once() {
        let remote = MemoryRemote::new();
        let entry = |n: u8| ActionEntry::new(vec![n; 1000], ActionRecord::default());
        let entries: Vec<ActionEntry> = (0..10).map(entry).collect();
        remote.put_actions(&entries).unwrap();
        let all: Vec<ActionKey> = entries.iter().map(|entry| *entry.key()).collect();
        let (mut rest, mut came, mut batches) = (all.clone(), Vec::new(), Vec::new());
        while !rest.is_empty() {
            let before = came.len();
            rest = get_actions(&remote, &rest, 2500, &mut |key, entry| {
                assert_eq!(entry.unwrap().key(), key);
                came.push(*key);
            })
            .unwrap();
            batches.push(came.len() - before);
        }
        assert_eq!((came, batches), (all, vec![3, 3, 3, 1]));
    }
}

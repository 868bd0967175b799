//! The one place where what a remote hands out is compared with its name.

use crate::blob::Blob;
use crate::digest::ActionKey;
use crate::error::Result;
use crate::remote::{ActionEntry, Remote, Reply, Wanted};

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

/// Asks for entries and delivers each once, decoded, with its key checked.
pub(super) fn get_actions(
    remote: &dyn Remote,
    keys: &[ActionKey],
    deliver: &mut dyn FnMut(&ActionKey, Checked<ActionEntry>) -> Result<()>,
) -> Result<()> {
    remote.get_actions(keys, &mut |key, reply| {
        let entry = found(remote, reply).and_then(|bytes| {
            ActionEntry::decode(key, &bytes)
                .map_err(|e| format!("its entry in {} is damaged: {e}", remote.name()))
        });
        deliver(key, entry)
    })
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

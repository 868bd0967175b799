//! A directory as a remote: shared over a network file system, kept in step with rsync, or behind a web server.
//!
//! ```text
//! FORMAT                                  "remote 1"
//! blobs/blake3/<2 hex>/<64 hex>           one zstd frame that says its length; "zstd -dc FILE | b3sum" checks it
//! actions/<2 hex>/<64 hex>                the entry of an action
//! signatures/<2 hex>/<64 hex>-<64 hex>    64 bytes; the names of action and signer
//! tmp/<writer>/                           what is being written
//! ```
//!
//! Blobs lie compressed because they travel more often than they are written: traces and text shrink 3 to 20 times, and
//! neither rsync nor a web server compresses reliably by itself. Names are of the bytes inside. A file gets its name by
//! rename, after its bytes are on disk. What is no plain file is not read: a pipe would be waited for. The system calls for
//! a directory know no timeout: one on a server that does not answer blocks as long as it is mounted to.

mod frame;
mod layout;
mod write;

use crate::blob::Blob;
use crate::digest::{ActionKey, Digest};
use crate::error::{Error, ErrorKind, Result};
use crate::remote::{ActionEntry, Deliver, MOST_ENTRY_BYTES, PutAction, Remote, Reply, Wanted, checked};
use crate::trust::{PublicKey, SIGNATURE_BYTES, Signature};
use frame::{Compressor, Decompressor};
use layout::Layout;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::{self, Read};
use std::panic::resume_unwind;
use std::path::Path;
use write::{Batch, Writer};

/// From so many names in one of the 256 parts on, that part is listed instead of asked for each. A look costs a round
/// trip on a network file system, a listing a few.
const LIST_FROM: usize = 32;

/// A remote that is a directory.
#[derive(Debug)]
pub struct DirectoryRemote {
    layout: Layout,
    writer: Writer,
}

impl DirectoryRemote {
    /// Opens a directory that is a remote.
    ///
    /// # Errors
    /// It is not there, is something else (a store, say), or has a newer format.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self> {
        let layout = Layout::new(directory.as_ref());
        layout.check_format()?;
        Ok(Self { writer: Writer::new(layout.clone()), layout })
    }

    /// Opens a directory that is a remote; makes it one if it is empty or not there.
    ///
    /// # Errors
    /// As for [`Self::open`], or it cannot be written.
    pub fn create(directory: impl AsRef<Path>) -> Result<Self> {
        let layout = Layout::new(directory.as_ref());
        layout.make()?;
        Ok(Self { writer: Writer::new(layout.clone()), layout })
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        self.layout.directory()
    }
}

/// An I/O failure of a remote.
fn failed(doing: &str, path: &Path, source: &io::Error) -> Error {
    let (kind, hint) = match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            (ErrorKind::Permission, "pushing needs a directory that this user may write, pulling one to read")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (ErrorKind::Full, "free some space there, then push again: it goes on where it stopped")
        }
        _ => (ErrorKind::Remote, "check that the directory is there and mounted, then try again"),
    };
    Error::new(kind, format!("cannot {doing}: {source}")).at(path).hint(hint)
}

impl DirectoryRemote {
    /// Reads a file of at most so many bytes. One that cannot be read says nothing about the others, as long as the remote
    /// is there.
    fn read(&self, path: &Path, most_bytes: u64) -> Result<Reply> {
        read(path, most_bytes).or_else(|e| self.layout.check_format().map(|()| Reply::Unusable(e)))
    }

    /// Writes the files of some of so many blobs, without names yet.
    fn write(&self, blobs: &[Blob], of: usize) -> Result<Batch<'_>> {
        let mut compressor = Compressor::new()?;
        let mut batch = self.writer.batch(of)?;
        for blob in blobs {
            batch.write(&compressor.compress(blob.bytes())?, self.layout.blob(&blob.digest()))?;
        }
        Ok(batch)
    }
}

/// Blobs in parts of about equal length, one for each processor, if there is enough to do for several.
fn shares(blobs: &[Blob]) -> Vec<&[Blob]> {
    /// What one blob costs beside its bytes, as if it were so many more.
    const PER_BLOB_BYTES: u64 = 16 << 10;
    /// Less is not worth a thread.
    const LEAST_BYTES: u64 = 1 << 20;
    let cost = |blob: &Blob| blob.len() + PER_BLOB_BYTES;
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let share = blobs.iter().map(cost).sum::<u64>().div_ceil(threads).max(LEAST_BYTES);
    let (mut shares, mut start, mut sum) = (Vec::new(), 0, 0);
    for (i, blob) in blobs.iter().enumerate() {
        sum += cost(blob);
        if sum >= share || i + 1 == blobs.len() {
            shares.push(&blobs[start..=i]);
            (start, sum) = (i + 1, 0);
        }
    }
    shares
}

impl Remote for DirectoryRemote {
    fn name(&self) -> String {
        self.directory().display().to_string()
    }

    fn has_many(&self, digests: &[Digest]) -> Result<Vec<bool>> {
        let path_of = |digest: &Digest| self.layout.blob(digest);
        // A blob in a part that cannot be looked into is none that can be had. Whoever puts it there learns why.
        let unusable = |_| self.layout.check_format();
        has(digests, Digest::as_bytes, &|part| self.layout.blobs_of(part), &path_of, &unusable)
    }

    fn has_actions(&self, keys: &[ActionKey]) -> Result<Vec<bool>> {
        let path_of = |key: &ActionKey| self.layout.action(key);
        has(keys, ActionKey::as_bytes, &|part| self.layout.actions_of(part), &path_of, &Err)
    }

    fn get_many(&self, wanted: &[Wanted], deliver: &mut Deliver<'_, Wanted>) -> Result<()> {
        let mut decompressor = Decompressor::new()?;
        for wanted in wanted {
            let path = self.layout.blob(&wanted.digest);
            let reply = match self.read(&path, frame::most_frame_bytes(wanted.most_bytes))? {
                Reply::Found(frame) => match decompressor.decompress(&frame, wanted.most_bytes) {
                    Ok(bytes) => Reply::Found(bytes),
                    Err(why) => Reply::Unusable(Error::new(ErrorKind::Remote, why).at(&path)),
                },
                other => other,
            };
            deliver(wanted, reply)?;
        }
        Ok(())
    }

    fn get_actions(&self, keys: &[ActionKey], deliver: &mut Deliver<'_, ActionKey>) -> Result<()> {
        keys.iter().try_for_each(|key| deliver(key, self.read(&self.layout.action(key), MOST_ENTRY_BYTES)?))
    }

    fn put_many(&self, blobs: &[Blob]) -> Result<()> {
        let all = self.writer.batch(blobs.len())?;
        // Compressing and making files take their time; that they are on disk is seen to once, for all of them.
        let parts = std::thread::scope(|scope| {
            let write = |share| scope.spawn(move || self.write(share, blobs.len()));
            let threads: Vec<_> = shares(blobs).into_iter().map(write).collect();
            let written =
                threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
            written.collect::<Result<Vec<_>>>()
        })?;
        parts.into_iter().fold(all, Batch::and).finish()
    }

    fn put_actions(&self, entries: &[ActionEntry]) -> Result<Vec<PutAction>> {
        let mut batch = self.writer.batch(entries.len())?;
        for entry in entries {
            let bytes = entry.encode();
            if bytes.len() as u64 > MOST_ENTRY_BYTES {
                let why = checked::too_long(bytes.len() as u64, MOST_ENTRY_BYTES);
                return Err(Error::invalid(format!("the entry of action {}: {why}", entry.key())));
            }
            batch.write(&bytes, self.layout.action(entry.key()))?;
        }
        batch.finish_new(&|i, path| match self.read(path, MOST_ENTRY_BYTES)? {
            Reply::Found(bytes) if ActionEntry::decode(entries[i].key(), &bytes).is_ok() => Ok(Some(bytes)),
            // What this user may not read may be one.
            Reply::Unusable(error) if error.kind() == ErrorKind::Permission => Err(error),
            // What is no entry claims nothing; it is replaced.
            _ => Ok(None),
        })
    }

    fn get_signatures(&self, key: &ActionKey, signers: &[PublicKey]) -> Result<Vec<Signature>> {
        let mut signatures = Vec::new();
        for signer in signers {
            if let Reply::Found(bytes) =
                self.read(&self.layout.signature(key, signer), SIGNATURE_BYTES as u64)?
                && let Ok(bytes) = bytes.try_into()
            {
                signatures.push(Signature::new(*signer, bytes));
            }
        }
        Ok(signatures)
    }

    fn put_signatures(&self, key: &ActionKey, signatures: &[Signature]) -> Result<()> {
        let mut batch = self.writer.batch(signatures.len())?;
        for signature in signatures {
            batch.write(signature.bytes(), self.layout.signature(key, signature.signer()))?;
        }
        batch.finish()
    }

    fn list_actions(&self) -> Result<Option<Vec<ActionKey>>> {
        let mut keys = Vec::new();
        for part in 0..=u8::MAX {
            let names = layout::list(&self.layout.actions_of(part))?;
            keys.extend(names.iter().filter_map(|name| name.parse::<ActionKey>().ok()));
        }
        keys.sort_unstable();
        keys.dedup();
        Ok(Some(keys))
    }

    fn flush(&self) -> Result<()> {
        self.writer.flush()
    }
}

/// Which files are there: by listing the parts that much is asked of, by looking for each elsewhere. Of a part that cannot
/// be looked into `unusable` is told; when that is no failure, none are there.
fn has<N: ToString>(
    names: &[N],
    id: impl Fn(&N) -> &[u8; 32],
    directory_of: &dyn Fn(u8) -> std::path::PathBuf,
    path_of: &dyn Fn(&N) -> std::path::PathBuf,
    unusable: &dyn Fn(Error) -> Result<()>,
) -> Result<Vec<bool>> {
    let mut parts: BTreeMap<u8, Vec<usize>> = BTreeMap::new();
    for (i, name) in names.iter().enumerate() {
        parts.entry(id(name)[0]).or_default().push(i);
    }
    let mut there = vec![false; names.len()];
    let mut look = |part: u8, asked: &[usize]| {
        if asked.len() >= LIST_FROM {
            let listed: HashSet<String> = layout::list(&directory_of(part))?.into_iter().collect();
            asked.iter().for_each(|&i| there[i] = listed.contains(&names[i].to_string()));
        } else {
            for &i in asked {
                let path = path_of(&names[i]);
                there[i] = is_there(&path).map_err(|e| failed("look for the file", &path, &e))?;
            }
        }
        Ok(())
    };
    parts.into_iter().try_for_each(|(part, asked)| look(part, &asked).or_else(unusable))?;
    Ok(there)
}

/// Whether something has this name, as a listing would say: whoever reads it learns whether it is of use.
fn is_there(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// Reads a file of at most so many bytes.
fn read(path: &Path, most_bytes: u64) -> Result<Reply> {
    let file = match layout::open(path) {
        Ok(Some(file)) => file,
        Ok(None) => {
            let why = "this is not a plain file";
            return Ok(Reply::Unusable(Error::new(ErrorKind::Remote, why).at(path)));
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Reply::Missing),
        Err(e) => return Err(failed("open the file", path, &e)),
    };
    let mut bytes = Vec::new();
    file.take(most_bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|e| failed("read the file", path, &e))?;
    if bytes.len() as u64 > most_bytes {
        let why = format!("the file is longer than the {most_bytes} bytes that were expected");
        return Ok(Reply::Unusable(Error::new(ErrorKind::Remote, why).at(path)));
    }
    Ok(Reply::Found(bytes))
}

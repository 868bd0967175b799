//! Where goes what comes: into a store, or nowhere, to find out what would come.
//!
//! Of what goes nowhere the names are remembered; the bytes of lists, which say what else belongs to it, wait in a
//! temporary file.

use crate::blob::Blob;
use crate::closure::Closure;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::publish::{NewAction, Publication};
use crate::remote::Needs;
use crate::shared_bytes::SharedBytes;
use crate::spool::{Place, Spool};
use crate::store::Store;
use crate::tree::Tree;
use std::cell::RefCell;
use std::collections::HashMap;

/// What repeats itself in a list must not fill the disk.
const LEVEL: i32 = 1;

/// Where goes what comes.
pub(crate) struct Landing<'s> {
    store: &'s Store,
    planned: Option<Planned>,
    /// Lengths of blobs that came.
    lens: HashMap<Digest, u64>,
}

/// What would be in the store.
struct Planned {
    blobs: HashMap<Digest, Bytes>,
    lists: RefCell<Spool>,
}

/// What is known of the bytes of a blob.
#[derive(Clone, Copy)]
enum Bytes {
    /// They are a list, compressed here.
    List(Place),
    /// They are no list.
    NoList,
    /// They did not come.
    Unseen,
}

impl<'s> Landing<'s> {
    /// Into this store; of a dry run nowhere, beside what the store has.
    pub(crate) fn new(store: &'s Store, dry_run: bool) -> Self {
        let planned =
            dry_run.then(|| Planned { blobs: HashMap::new(), lists: RefCell::new(Spool::new(store)) });
        Self { store, planned, lens: HashMap::new() }
    }

    /// Whether nothing is to be changed.
    pub(crate) fn is_dry(&self) -> bool {
        self.planned.is_some()
    }

    /// Which of these blobs neither are here nor have come, in the order given.
    pub(crate) fn missing(&self, digests: &[Digest]) -> Result<Vec<Digest>> {
        let mut missing = self.store.missing(digests)?;
        if let Some(planned) = &self.planned {
            missing.retain(|digest| !planned.blobs.contains_key(digest));
        }
        Ok(missing)
    }

    /// The bytes of a list.
    pub(crate) fn list(&self, digest: &Digest) -> Result<Option<SharedBytes>> {
        let Some(planned) = &self.planned else { return self.store.get(digest) };
        match planned.blobs.get(digest) {
            None => self.store.get(digest),
            Some(Bytes::Unseen) => Ok(None),
            // As good as any other bytes that are none.
            Some(Bytes::NoList) => Ok(Some(Vec::new().into())),
            Some(Bytes::List(place)) => planned.list(*place, self.lens[digest]).map(Some),
        }
    }

    /// Which length that is claimed for a blob is not the one it has, whether it came or was here before.
    pub(crate) fn lie(&self, needs: &Needs) -> Result<Option<String>> {
        let was_here: Vec<Digest> =
            needs.blobs.keys().filter(|digest| !self.lens.contains_key(digest)).copied().collect();
        let lens = self.store.lens(&was_here)?;
        let lens: HashMap<&Digest, u64> =
            was_here.iter().zip(lens).filter_map(|(digest, len)| Some((digest, len?))).collect();
        let lies = |(digest, claimed): (&Digest, &Option<u64>)| {
            let (claimed, len) = ((*claimed)?, *self.lens.get(digest).or_else(|| lens.get(digest))?);
            let lie = || format!("it says that blob {digest} has {claimed} bytes, which has {len}");
            (claimed != len).then(lie)
        };
        Ok(needs.blobs.iter().find_map(lies))
    }

    /// Takes blobs. A failure of the store is told by its next flush.
    ///
    /// # Errors
    /// Of a dry run: a list cannot be kept.
    pub(crate) fn blobs(&mut self, blobs: Vec<Blob>) -> Result<()> {
        self.lens.extend(blobs.iter().map(|blob| (blob.digest(), blob.len())));
        match &mut self.planned {
            Some(planned) => blobs.iter().try_for_each(|blob| planned.take(blob))?,
            None if blobs.is_empty() => {}
            None => drop(self.store.publish(Publication { blobs, ..Publication::default() })),
        }
        Ok(())
    }

    /// Of a dry run: this blob, which is no list, would come.
    pub(crate) fn would_take(&mut self, digest: Digest) {
        if let Some(planned) = &mut self.planned {
            planned.blobs.insert(digest, Bytes::Unseen);
        }
    }

    /// Takes an action. A failure is told by the next flush of the store.
    pub(crate) fn action(&self, action: NewAction) {
        if !self.is_dry() {
            drop(self.store.publish(Publication { action: Some(action), ..Publication::default() }));
        }
    }
}

impl Planned {
    fn take(&mut self, blob: &Blob) -> Result<()> {
        let is_list = Tree::decode(blob.bytes()).is_ok() || Closure::decode(blob.bytes()).is_ok();
        let bytes = if is_list {
            let frame = zstd::bulk::compress(blob.bytes(), LEVEL).map_err(compressor)?;
            Bytes::List(self.lists.get_mut().put(&frame)?)
        } else {
            Bytes::NoList
        };
        self.blobs.insert(blob.digest(), bytes);
        Ok(())
    }

    /// A list of so many bytes.
    fn list(&self, place: Place, len: u64) -> Result<SharedBytes> {
        let frame = self.lists.borrow_mut().get(place)?;
        // Fits: it was in memory before.
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        Ok(zstd::bulk::decompress(&frame, len).map_err(compressor)?.into())
    }
}

fn compressor(e: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot compress a list: {e}"))
}

//! A file with changes that stay in memory: what opening a file would write is not written. Nobody else is kept out, and
//! nobody notices.

use crate::db::{BackendError, DatabaseError, StorageBackend};
use crate::file::StoreFile;
use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is kept is a multiple of this, and begins at one.
const PIECE: u64 = 4096;

/// The file, and what differs from it.
#[derive(Debug)]
pub(crate) struct InMemory {
    file: StoreFile,
    file_len: u64,
    changed: Mutex<Changed>,
}

#[derive(Debug)]
struct Changed {
    len: u64,
    /// By where they begin.
    pieces: BTreeMap<u64, Vec<u8>>,
}

impl InMemory {
    pub(crate) fn over(file: StoreFile) -> Result<Self, DatabaseError> {
        let file_len = file.len()?;
        let changed = Changed { len: file_len, pieces: BTreeMap::new() };
        Ok(Self { file, file_len, changed: Mutex::new(changed) })
    }

    fn changed(&self) -> MutexGuard<'_, Changed> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes of a piece as they are in the file, and zeros after its end.
    fn original(&self, start: u64) -> io::Result<Vec<u8>> {
        let mut piece = vec![0; PIECE as usize];
        let there = self.file_len.saturating_sub(start).min(PIECE) as usize;
        self.file.read(start, &mut piece[..there])?;
        Ok(piece)
    }
}

/// The pieces that a part of a file touches: where each begins, and which of its bytes are which of the part's.
fn pieces(
    offset: u64,
    len: usize,
) -> impl Iterator<Item = (u64, std::ops::Range<usize>, std::ops::Range<usize>)> {
    let end = offset + len as u64;
    (offset / PIECE..end.div_ceil(PIECE)).map(move |number| {
        let start = number * PIECE;
        let (from, to) = (offset.max(start), end.min(start + PIECE));
        let within = |base: u64| (from - base) as usize..(to - base) as usize;
        (start, within(start), within(offset))
    })
}

impl StorageBackend for InMemory {
    fn len(&self) -> io::Result<u64> {
        Ok(self.changed().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let changed = self.changed();
        let end = offset.saturating_add(out.len() as u64);
        if end > changed.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let is_original =
            end <= self.file_len && changed.pieces.range(offset - offset % PIECE..end).next().is_none();
        if is_original {
            return self.file.read(offset, out);
        }
        for (start, of_piece, of_part) in pieces(offset, out.len()) {
            match changed.pieces.get(&start) {
                Some(piece) => out[of_part].copy_from_slice(&piece[of_piece]),
                None => out[of_part].copy_from_slice(&self.original(start)?[of_piece]),
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut changed = self.changed();
        for (start, of_piece, of_part) in pieces(offset, data.len()) {
            let piece = match changed.pieces.remove(&start) {
                Some(piece) => piece,
                None => self.original(start)?,
            };
            changed.pieces.entry(start).or_insert(piece)[of_piece].copy_from_slice(&data[of_part]);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.changed().len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn try_lock_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn try_lock_shared_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn lock_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn lock_shared_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn unlock_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Result<bool, BackendError> {
        Ok(false)
    }
}

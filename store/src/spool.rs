//! Bytes that are needed once more and are too many to be kept in memory: a temporary file beside the store's, or memory, as
//! long as they are few.

use crate::error::{Error, Result};
use crate::store::Store;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use tempfile::SpooledTempFile;

/// So many bytes stay in memory.
const MEMORY_BYTES: usize = 16 << 20;

pub(crate) struct Spool {
    file: SpooledTempFile,
    directory: PathBuf,
    end: u64,
}

/// Where in a spool something lies.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    at: u64,
    len: usize,
}

impl Spool {
    pub(crate) fn new(store: &Store) -> Self {
        let directory = store.directory().to_owned();
        Self { file: tempfile::spooled_tempfile_in(MEMORY_BYTES, &directory), directory, end: 0 }
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<Place> {
        let place = Place { at: self.end, len: bytes.len() };
        let written = self.file.seek(SeekFrom::Start(place.at)).and_then(|_| self.file.write_all(bytes));
        written.map_err(|e| self.failed(&e))?;
        self.end += bytes.len() as u64;
        Ok(place)
    }

    pub(crate) fn get(&mut self, place: Place) -> Result<Vec<u8>> {
        let mut bytes = vec![0; place.len];
        let read = self.file.seek(SeekFrom::Start(place.at)).and_then(|_| self.file.read_exact(&mut bytes));
        read.map_err(|e| self.failed(&e))?;
        Ok(bytes)
    }

    fn failed(&self, e: &std::io::Error) -> Error {
        Error::io("keep what has come in a temporary file", &self.directory, e)
    }
}

//! Bundles: a part of a store in one file, for where no directory is shared; and merging a whole store directory.
//!
//! A bundle is written and read as a stream, says what is in it before it says it, and is believed only when its last
//! byte has been checked. Equal content gives equal bytes. Depends on the store and on what moves between stores; the
//! format is described in `docs/bundle-format.md`.

mod contents;
mod directory;
mod export;
mod import;
mod item;
mod stream;

pub use contents::contents;
pub use directory::{MergeReport, import_dir};
pub use export::{ExportOptions, ExportReport, export};
pub use import::{ImportOptions, ImportReport, import};

use crate::digest::{ActionKey, Digest};
use crate::encoding::Magic;
use crate::error::Result;
use crate::record::OutputKind;
use crate::remote::Selection;
use std::io::{Read, Write};
use stream::{Sink, Source};

/// What a bundle begins with. What follows the version is one zstd frame.
const MAGIC: Magic = Magic { letters: b"bndl", version: 1, what: "a bundle" };

/// What a bundle says of itself before anything else.
#[derive(Debug, Default)]
struct Header {
    /// What was asked for.
    selection: Selection,
    blobs: u64,
    /// Bytes of all blobs.
    bytes: u64,
    actions: u64,
}

impl Header {
    fn write(&self, out: &mut Sink<impl Write>) -> Result<()> {
        out.u64(self.selection.actions.len() as u64)?;
        self.selection.actions.iter().try_for_each(|key| out.write(key.as_bytes()))?;
        out.u64(self.selection.outputs.len() as u64)?;
        for (kind, digest) in &self.selection.outputs {
            out.write(&[kind.code()])?;
            out.write(digest.as_bytes())?;
        }
        out.u64(self.blobs)?;
        out.u64(self.bytes)?;
        out.u64(self.actions)
    }

    fn read(input: &mut Source<impl Read>) -> Result<Self> {
        let mut header = Self::default();
        // Read one by one: a count that lies runs into the end before it takes memory.
        for _ in 0..input.u64()? {
            header.selection.actions.push(ActionKey::from_bytes(input.array()?));
        }
        for _ in 0..input.u64()? {
            let [code] = input.array()?;
            let kind = match code {
                0 => OutputKind::Blob,
                1 => OutputKind::Tree,
                2 => OutputKind::Closure,
                _ => return Err(input.wrong(&format!("{code} is not a kind of output"))),
            };
            header.selection.outputs.push((kind, Digest::from_bytes(input.array()?)));
        }
        if header.selection.clone().sorted() != header.selection {
            return Err(input.wrong("what it was asked for is not in ascending order"));
        }
        header.blobs = input.u64()?;
        header.bytes = input.u64()?;
        header.actions = input.u64()?;
        Ok(header)
    }
}

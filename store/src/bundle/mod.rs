//! Bundles: a part of a store in one file, for where no directory is shared; and merging a whole store directory.
//!
//! A bundle is written and read as a stream, says what is in it before it says it, and is believed only when its last
//! byte has been checked. Equal content gives equal bytes. Depends on the store and on what moves between stores; the
//! format is described in `docs/bundle-format.md`.

mod body;
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
use crate::error::{Error, Result};
use crate::record::OutputKind;
use crate::remote::Selection;
use std::io::{Read, Write};
use stream::{Sink, Source};

/// What a bundle begins with. What follows the version is one zstd frame.
const MAGIC: Magic = Magic { letters: b"bndl", version: 1, what: "a bundle" };

/// No bundle is made of more actions, or of more outputs: they are held in memory, and wherever it is read.
const MOST_SELECTED: u64 = 1 << 22;

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
    /// Refuses what no reader would take.
    fn check(&self) -> Result<()> {
        let selected = self.selection.actions.len().max(self.selection.outputs.len());
        if selected as u64 > MOST_SELECTED {
            return Err(Error::invalid(format!(
                "{selected} actions or outputs were asked for; at most {MOST_SELECTED} are taken"
            ))
            .hint("export a part, or closures that list them"));
        }
        Ok(())
    }

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
        let actions = selected(input, |input| Ok(ActionKey::from_bytes(input.array()?)))?;
        let outputs = selected(input, |input| {
            let [code] = input.array()?;
            let kind = OutputKind::of_code(code)
                .ok_or_else(|| input.wrong(&format!("{code} is not a kind of output")))?;
            Ok((kind, Digest::from_bytes(input.array()?)))
        })?;
        let selection = Selection { actions, outputs };
        Ok(Self { selection, blobs: input.u64()?, bytes: input.u64()?, actions: input.u64()? })
    }
}

/// Reads one part of a selection. One by one: a count that lies runs into the end before it takes memory.
fn selected<R: Read, T: Ord>(
    input: &mut Source<R>,
    one: impl Fn(&mut Source<R>) -> Result<T>,
) -> Result<Vec<T>> {
    let count = input.u64()?;
    if count > MOST_SELECTED {
        return Err(input.wrong(&format!(
            "it is said to be made of {count} actions or outputs; at most {MOST_SELECTED} are taken"
        )));
    }
    let mut list = Vec::new();
    for _ in 0..count {
        let next = one(input)?;
        if list.last().is_some_and(|last| *last >= next) {
            return Err(input.wrong("what it was asked for is not in ascending order"));
        }
        list.push(next);
    }
    Ok(list)
}

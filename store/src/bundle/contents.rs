//! What there is: in a bundle, in a store. So that the next bundle can leave it out.

use super::item::{Item, MOST_ITEM_BYTES};
use super::stream::Source;
use super::{Header, ImportOptions};
use crate::closure::Closure;
use crate::digest::{Digest, HexPrefix};
use crate::error::Result;
use crate::store::Store;
use std::io::Read;

/// The actions and blobs in a bundle. Reads all of it and checks that it is whole, but not that the bytes of blobs are
/// what their names say.
///
/// # Errors
/// The bundle cannot be read, is damaged or of another format.
pub fn contents(input: impl Read) -> Result<Closure> {
    let mut source = Source::new(input)?;
    let header = Header::read(&mut source)?;
    let (mut actions, mut blobs) = (Vec::new(), Vec::new());
    for _ in 0..header.blobs {
        let digest = Digest::from_bytes(source.array()?);
        let len = source.u64()?;
        let most = ImportOptions::default().most_blob_bytes;
        source.bytes(len, most, &format_args!("blob {digest}"))?;
        blobs.push(digest);
    }
    for number in 0..header.actions {
        let len = source.u64()?;
        let bytes = source.bytes(len, MOST_ITEM_BYTES, &format_args!("action {}", number + 1))?;
        actions.push(*Item::decode(&bytes).map_err(|e| source.wrong(e.message()))?.entry.key());
    }
    source.finish()?;
    Ok(Closure::new(actions, blobs))
}

impl Store {
    /// The names of all actions and blobs, once all that was published is committed; [`Closure::encode`] makes a file
    /// of it that the other side can be sent, so that it leaves out of a bundle what is here.
    ///
    /// # Errors
    /// The file cannot be read, or a commit failed.
    pub fn inventory(&self) -> Result<Closure> {
        self.flush()?;
        let blobs = self.list_blobs(&HexPrefix::ALL)?.into_iter().map(|blob| blob.digest).collect();
        Ok(Closure::new(self.list_actions(&HexPrefix::ALL)?, blobs))
    }
}

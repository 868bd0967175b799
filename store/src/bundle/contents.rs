//! What there is: in a bundle, in a store. So that the next bundle can leave it out.

use super::stream::Source;
use super::{Header, ImportOptions, body};
use crate::closure::Closure;
use crate::digest::HexPrefix;
use crate::error::Result;
use crate::store::Store;
use std::io::Read;

/// The actions and blobs in a bundle, which is read to its end and checked.
///
/// # Errors
/// The bundle cannot be read, is damaged or of another format.
pub fn contents(input: impl Read) -> Result<Closure> {
    let mut source = Source::new(input)?;
    let header = Header::read(&mut source)?;
    let (mut actions, mut blobs) = (Vec::new(), Vec::new());
    body::blobs(&mut source, &header, ImportOptions::default().most_blob_bytes, &mut |blob| {
        blobs.push(blob.digest());
        Ok(())
    })?;
    body::actions(&mut source, &header, &mut |_, key| {
        actions.push(key);
        Ok(())
    })?;
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

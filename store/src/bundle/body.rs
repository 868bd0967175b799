//! What follows the header of a bundle, checked as it is read: in order, no longer than it says, under its own name.

use super::Header;
use super::item::{Item, MOST_ITEM_BYTES};
use super::stream::Source;
use crate::blob::Blob;
use crate::digest::{ActionKey, Digest};
use crate::error::Result;
use std::io::Read;

/// Shows every blob.
pub(super) fn blobs(
    source: &mut Source<impl Read>,
    header: &Header,
    most_blob_bytes: u64,
    visit: &mut dyn FnMut(Blob) -> Result<()>,
) -> Result<()> {
    let mut all_bytes = 0;
    let mut last: Option<Digest> = None;
    for _ in 0..header.blobs {
        let digest = Digest::from_bytes(source.array()?);
        let len = source.u64()?;
        if last.is_some_and(|last| last >= digest) {
            return Err(source.wrong(&format!("blob {digest} is not in ascending order")));
        }
        let most = most_blob_bytes.min(header.bytes.saturating_sub(all_bytes));
        let blob = Blob::new(source.bytes(len, most, &format_args!("blob {digest}"))?);
        if blob.digest() != digest {
            return Err(source.wrong(&format!("the bytes of blob {digest} hash to {}", blob.digest())));
        }
        (last, all_bytes) = (Some(digest), all_bytes + len);
        visit(blob)?;
    }
    if all_bytes != header.bytes {
        let said = header.bytes;
        return Err(source.wrong(&format!("its blobs have {all_bytes} bytes and not {said} as it says")));
    }
    Ok(())
}

/// Shows every action, by its bytes and its key.
pub(super) fn actions(
    source: &mut Source<impl Read>,
    header: &Header,
    visit: &mut dyn FnMut(&[u8], ActionKey) -> Result<()>,
) -> Result<()> {
    let mut last: Option<ActionKey> = None;
    for number in 0..header.actions {
        let len = source.u64()?;
        let bytes = source.bytes(len, MOST_ITEM_BYTES, &format_args!("action {}", number + 1))?;
        let key = *Item::decode(&bytes).map_err(|e| source.wrong(e.message()))?.entry.key();
        if last.is_some_and(|last| last >= key) {
            return Err(source.wrong(&format!("action {key} is not in ascending order")));
        }
        last = Some(key);
        visit(&bytes, key)?;
    }
    Ok(())
}

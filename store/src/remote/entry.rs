//! The entry of an action as it travels: what was computed, and what came out.
//!
//! It holds the description that the key is derived from, so an entry under the wrong name is noticed, and a hash of
//! itself, so damage is. It says nothing of who and when: equal computations have equal entries everywhere.

use crate::digest::{ActionKey, Digest};
use crate::encoding::{Decoder, Encoder, Magic};
use crate::error::Result;
use crate::record::ActionRecord;

const MAGIC: Magic = Magic { letters: b"actn", version: 1, what: "the entry of an action" };

/// A longer entry is refused wherever it comes from; it has to be held in memory.
pub const MOST_ENTRY_BYTES: u64 = 64 << 20;

/// Length of the hash at the end.
const CHECK_BYTES: usize = 32;

/// An action and what it gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionEntry {
    key: ActionKey,
    preimage: Vec<u8>,
    record: ActionRecord,
}

impl ActionEntry {
    /// The entry of the action that this description describes.
    pub fn new(preimage: Vec<u8>, record: ActionRecord) -> Self {
        Self { key: ActionKey::of_preimage(&preimage), preimage, record }
    }

    /// The name of the action.
    pub fn key(&self) -> &ActionKey {
        &self.key
    }

    /// What the action gave.
    pub fn record(&self) -> &ActionRecord {
        &self.record
    }

    /// The description and the record.
    pub fn into_parts(self) -> (Vec<u8>, ActionRecord) {
        (self.preimage, self.record)
    }

    /// The one encoding of this entry.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new(MAGIC);
        out.bytes(&self.preimage);
        out.bytes(&self.record.encode());
        let mut bytes = out.finish();
        let check = Digest::of(&bytes);
        bytes.extend_from_slice(check.as_bytes());
        bytes
    }

    /// Reads what [`Self::encode`] wrote, and nothing else.
    ///
    /// # Errors
    /// Bytes that are no entry, or not that of this action.
    pub fn decode(key: &ActionKey, bytes: &[u8]) -> Result<Self> {
        let entry = Self::decode_any(bytes)?;
        if entry.key != *key {
            let why = format!("what it describes is action {}", entry.key);
            return Err(Decoder::new(bytes, MAGIC)?.wrong(&why));
        }
        Ok(entry)
    }

    /// The same for an entry whose name is not known.
    pub(crate) fn decode_any(bytes: &[u8]) -> Result<Self> {
        let (content, check) = bytes.split_at(bytes.len().saturating_sub(CHECK_BYTES));
        let mut input = Decoder::new(content, MAGIC)?;
        if Digest::of(content).as_bytes() != check {
            return Err(input.wrong("the hash at the end is not that of what comes before"));
        }
        let preimage = input.bytes()?.to_vec();
        let record = ActionRecord::decode(input.bytes()?)?;
        input.finish()?;
        Ok(Self::new(preimage, record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Output, OutputKind};

    fn entry() -> ActionEntry {
        let output = Output { digest: Digest::from_bytes([7; 32]), len: 258, kind: OutputKind::Tree };
        ActionEntry::new(b"made of".to_vec(), ActionRecord { outputs: [("a".to_owned(), output)].into() })
    }

    #[test]
    fn the_encoding_of_an_entry_is_pinned() {
        let content = [
            &b"actn\x01\x07\0\0\0\0\0\0\0made of"[..],
            &[63, 0, 0, 0, 0, 0, 0, 0],
            b"recd\x01\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0a\x01",
            &[7; 32],
            &[2, 1, 0, 0, 0, 0, 0, 0],
        ]
        .concat();
        let expected = [&content[..], Digest::of(&content).as_bytes()].concat();
        assert_eq!(entry().encode(), expected);
        assert_eq!(ActionEntry::decode(entry().key(), &expected).unwrap(), entry());
    }

    #[test]
    fn an_entry_with_any_bit_flipped_cut_anywhere_or_under_another_name_is_refused() {
        let bytes = entry().encode();
        for at in 0..bytes.len() {
            assert!(ActionEntry::decode(entry().key(), &bytes[..at]).is_err(), "cut to {at} bytes");
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert!(ActionEntry::decode(entry().key(), &flipped).is_err(), "bit {bit} of byte {at}");
            }
        }
        let elsewhere = ActionKey::of_preimage(b"made of something else");
        let error = ActionEntry::decode(&elsewhere, &bytes).unwrap_err().to_string();
        assert!(error.contains(&format!("what it describes is action {}", entry().key())), "{error}");
    }
}

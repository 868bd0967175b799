//! An action in a bundle: its entry, and what may travel beside it.

use crate::encoding::{Decoder, Encoder, Magic};
use crate::error::Result;
use crate::record::Provenance;
use crate::remote::{ActionEntry, MOST_ENTRY_BYTES};
use crate::trust::{PublicKey, Signature};

const MAGIC: Magic = Magic { letters: b"item", version: 1, what: "an action of a bundle" };

/// A longer item is refused: an entry, and room for what is beside it.
pub(super) const MOST_ITEM_BYTES: u64 = MOST_ENTRY_BYTES + (1 << 20);

pub(super) struct Item {
    pub(super) entry: ActionEntry,
    pub(super) signatures: Vec<Signature>,
    pub(super) provenance: Option<Provenance>,
}

impl Item {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new(MAGIC);
        out.bytes(&self.entry.encode());
        out.u64(self.signatures.len() as u64);
        for signature in &self.signatures {
            out.id(signature.signer().as_bytes());
            signature.bytes().iter().for_each(|byte| out.u8(*byte));
        }
        out.bytes(&self.provenance.as_ref().map_or_else(Vec::new, Provenance::encode));
        out.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut input = Decoder::new(bytes, MAGIC)?;
        let entry = ActionEntry::decode_any(input.bytes()?)?;
        let mut signatures = Vec::new();
        for _ in 0..input.count(32 + 64)? {
            let signer = PublicKey::from_bytes(input.id()?);
            if signatures.last().is_some_and(|last: &Signature| *last.signer() >= signer) {
                return Err(input.wrong("its signers are not in ascending order"));
            }
            signatures.push(Signature::new(signer, input.array()?));
        }
        let provenance = match input.bytes()? {
            [] => None,
            bytes => Some(Provenance::decode(bytes)?),
        };
        input.finish()?;
        Ok(Self { entry, signatures, provenance })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ActionRecord;

    #[test]
    fn the_encoding_of_an_item_is_pinned() {
        let entry = ActionEntry::new(b"made of".to_vec(), ActionRecord::default());
        let signature = Signature::new(PublicKey::from_bytes([3; 32]), [4; 64]);
        let provenance =
            Provenance { finished_unix_ms: 1, duration_us: 2, host: "ab".to_owned(), ..Default::default() };
        let encoded_entry = entry.encode();
        let len = u8::try_from(encoded_entry.len()).unwrap();
        let expected = [
            &b"item\x01"[..],
            &[len, 0, 0, 0, 0, 0, 0, 0],
            &encoded_entry,
            &[1, 0, 0, 0, 0, 0, 0, 0],
            &[3; 32],
            &[4; 64],
            &[31, 0, 0, 0, 0, 0, 0, 0],
            b"prov\x01\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0ab",
        ]
        .concat();
        let item = Item { entry, signatures: vec![signature], provenance: Some(provenance) };
        assert_eq!(item.encode(), expected);
        let read = Item::decode(&expected).unwrap();
        assert_eq!(
            (read.entry, read.signatures, read.provenance),
            (item.entry, item.signatures, item.provenance)
        );
        (0..expected.len())
            .for_each(|at| assert!(Item::decode(&expected[..at]).is_err(), "cut to {at} bytes"));
    }
}

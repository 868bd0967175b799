//! What an action gave: the record, a claim that is shared and compared, and beside it the provenance, which
//! says who computed it and when and is part of no name.

use crate::digest::{ActionKey, Digest};
use crate::encoding::{Decoder, Encoder, Magic};
use crate::error::{Error, Result};
use std::collections::BTreeMap;

const RECORD: Magic = Magic { letters: b"recd", version: 1, what: "an action record" };
const PROVENANCE: Magic = Magic { letters: b"prov", version: 1, what: "a provenance" };
const PROVENANCE_WITH_LOG: Magic = Magic { letters: b"prov", version: 2, what: "a provenance" };

/// How the bytes of an output refer to further blobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutputKind {
    /// They do not.
    Blob,
    /// They are a [`crate::Tree`]; its entries belong to the output.
    Tree,
    /// They are a [`crate::Closure`]; what it lists belongs to the output.
    Closure,
}

impl OutputKind {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Blob => 0,
            Self::Tree => 1,
            Self::Closure => 2,
        }
    }

    pub(crate) const fn of_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Blob),
            1 => Some(Self::Tree),
            2 => Some(Self::Closure),
            _ => None,
        }
    }

    pub(crate) fn from_code(code: u8, input: &Decoder<'_>) -> Result<Self> {
        Self::of_code(code).ok_or_else(|| input.wrong(&format!("{code} is not a kind of output")))
    }
}

/// One output of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The blob.
    pub digest: Digest,
    /// Its length in bytes (of the blob itself, not of what it lists).
    pub len: u64,
    /// What the blob is.
    pub kind: OutputKind,
}

/// "This action gave these outputs", and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActionRecord {
    /// The outputs by the name under which the action gives them.
    pub outputs: BTreeMap<String, Output>,
}

impl ActionRecord {
    /// The one encoding of this record.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new(RECORD);
        out.u64(self.outputs.len() as u64);
        for (name, output) in &self.outputs {
            out.text(name);
            out.u8(output.kind.code());
            out.id(output.digest.as_bytes());
            out.u64(output.len);
        }
        out.finish()
    }

    /// Reads what [`Self::encode`] wrote, and nothing else.
    ///
    /// # Errors
    /// Bytes that are not the canonical encoding of a record.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut input = Decoder::new(bytes, RECORD)?;
        let mut outputs = BTreeMap::new();
        for _ in 0..input.count(8 + 1 + 32 + 8)? {
            let name = input.text()?.to_owned();
            if outputs.last_key_value().is_some_and(|(last, _)| *last >= name) {
                return Err(input.wrong("its names are not in ascending order"));
            }
            let kind = OutputKind::from_code(input.u8()?, &input)?;
            outputs.insert(name, Output { kind, digest: Digest::from_bytes(input.id()?), len: input.u64()? });
        }
        input.finish()?;
        Ok(Self { outputs })
    }
}

/// How many bytes of a row tell whether the others are what was written.
const CHECK_BYTES: usize = 8;

impl ActionRecord {
    /// The row of the record of this action. Nothing else names the bytes of a record, so the row ends with a check over
    /// them and the key.
    pub(crate) fn encode_row(&self, key: &ActionKey) -> Vec<u8> {
        let mut row = self.encode();
        let check = row_check(key, &row);
        row.extend(check);
        row
    }

    /// Reads the row of the record of this action.
    pub(crate) fn decode_row(key: &ActionKey, row: &[u8]) -> Result<Self> {
        match row.split_last_chunk::<CHECK_BYTES>() {
            Some((record, check)) if *check == row_check(key, record) => Self::decode(record),
            _ => Err(Error::invalid("a record whose check does not belong to it")),
        }
    }
}

fn row_check(key: &ActionKey, record: &[u8]) -> [u8; CHECK_BYTES] {
    let mut check = [0; CHECK_BYTES];
    blake3::Hasher::new().update(key.as_bytes()).update(record).finalize_xof().fill(&mut check);
    check
}

/// Who computed a record, when, and how long it took. Kept beside the record, never hashed, need not travel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// When the action finished, in milliseconds since 1970-01-01 UTC.
    pub finished_unix_ms: u64,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// The machine that ran it.
    pub host: String,
    /// What it printed, in whatever form it was handed over; empty when nothing is kept.
    pub log: Vec<u8>,
}

impl Provenance {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new(if self.log.is_empty() { PROVENANCE } else { PROVENANCE_WITH_LOG });
        out.u64(self.finished_unix_ms);
        out.u64(self.duration_us);
        out.text(&self.host);
        if !self.log.is_empty() {
            out.bytes(&self.log);
        }
        out.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let has_log = bytes.get(4) == Some(&PROVENANCE_WITH_LOG.version);
        let mut input = Decoder::new(bytes, if has_log { PROVENANCE_WITH_LOG } else { PROVENANCE })?;
        let provenance = Self {
            finished_unix_ms: input.u64()?,
            duration_us: input.u64()?,
            host: input.text()?.to_owned(),
            log: if has_log { input.bytes()?.to_vec() } else { Vec::new() },
        };
        if has_log && provenance.log.is_empty() {
            return Err(input.wrong("its log is empty"));
        }
        input.finish()?;
        Ok(provenance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_with_any_bit_flipped_or_under_another_key_is_refused() {
        let key = ActionKey::from_bytes([7; 32]);
        let output = Output { digest: Digest::from_bytes([9; 32]), len: 3, kind: OutputKind::Blob };
        let record = ActionRecord { outputs: BTreeMap::from([("name".to_owned(), output)]) };
        let row = record.encode_row(&key);
        assert_eq!(row[row.len() - CHECK_BYTES..], [150, 2, 232, 35, 171, 113, 190, 209]);
        assert_eq!(ActionRecord::decode_row(&key, &row).unwrap(), record);
        assert!(ActionRecord::decode_row(&ActionKey::from_bytes([8; 32]), &row).is_err());
        for at in 0..row.len() {
            let mut flipped = row.clone();
            flipped[at] ^= 4;
            assert!(ActionRecord::decode_row(&key, &flipped).is_err(), "byte {at}");
            assert!(ActionRecord::decode_row(&key, &row[..at]).is_err(), "cut to {at} bytes");
        }
    }

    #[test]
    fn the_encoding_of_a_provenance_is_pinned() {
        let provenance =
            Provenance { finished_unix_ms: 258, duration_us: 3, host: "ab".to_owned(), ..Default::default() };
        let expected = b"prov\x01\x02\x01\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0ab";
        assert_eq!(provenance.encode(), expected);
        assert_eq!(Provenance::decode(expected).unwrap(), provenance);
        let with_log = Provenance { log: b"xyz".to_vec(), ..provenance };
        let expected =
            b"prov\x02\x02\x01\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0ab\x03\0\0\0\0\0\0\0xyz";
        assert_eq!(with_log.encode(), expected);
        assert_eq!(Provenance::decode(expected).unwrap(), with_log);
        assert!(Provenance::decode(b"prov\x01").is_err());
    }
}

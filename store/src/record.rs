//! What an action gave: the record, a claim that is shared and compared, and beside it the provenance, which
//! says who computed it and when and is part of no name.

use crate::digest::Digest;
use crate::encoding::{Decoder, Encoder, Magic};
use crate::error::Result;
use std::collections::BTreeMap;

const RECORD: Magic = Magic { letters: b"recd", version: 1, what: "an action record" };
const PROVENANCE: Magic = Magic { letters: b"prov", version: 1, what: "a provenance" };

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

/// Who computed a record, when, and how long it took. Kept beside the record, never hashed, need not travel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// When the action finished, in milliseconds since 1970-01-01 UTC.
    pub finished_unix_ms: u64,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// The machine that ran it.
    pub host: String,
}

impl Provenance {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new(PROVENANCE);
        out.u64(self.finished_unix_ms);
        out.u64(self.duration_us);
        out.text(&self.host);
        out.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut input = Decoder::new(bytes, PROVENANCE)?;
        let provenance = Self {
            finished_unix_ms: input.u64()?,
            duration_us: input.u64()?,
            host: input.text()?.to_owned(),
        };
        input.finish()?;
        Ok(provenance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_of_a_provenance_is_pinned() {
        let provenance = Provenance { finished_unix_ms: 258, duration_us: 3, host: "ab".to_owned() };
        let expected = b"prov\x01\x02\x01\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0ab";
        assert_eq!(provenance.encode(), expected);
        assert_eq!(Provenance::decode(expected).unwrap(), provenance);
        assert!(Provenance::decode(b"prov\x01").is_err());
    }
}

//! Roots: names for what is still needed. Collection keeps what a root needs and nothing else.

use crate::digest::Digest;
use crate::encoding::{Decoder, Encoder, Magic};
use crate::error::{Error, Result};
use crate::record::OutputKind;
use std::time::{SystemTime, UNIX_EPOCH};

const MAGIC: Magic = Magic { letters: b"root", version: 1, what: "a root" };

/// Longest name of a root, in bytes.
pub(crate) const MAX_NAME_BYTES: usize = 1024;

/// What a name stands for, since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// The blob that is needed.
    pub target: Digest,
    /// What the blob is; decides what else is needed.
    pub kind: OutputKind,
    /// When the root was last set, in milliseconds since 1970-01-01 UTC.
    pub updated_unix_ms: u64,
}

impl Root {
    /// A root set now.
    pub fn now(target: Digest, kind: OutputKind) -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let updated_unix_ms = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
        Self { target, kind, updated_unix_ms }
    }

    /// The row of the root of this name.
    pub(crate) fn encode(&self, name: &str) -> Vec<u8> {
        let mut out = Encoder::new(MAGIC);
        out.u8(self.kind.code());
        out.id(self.target.as_bytes());
        out.u64(self.updated_unix_ms);
        out.u64(self.check(name));
        out.finish()
    }

    pub(crate) fn decode(name: &str, row: &[u8]) -> Result<Self> {
        let mut input = Decoder::new(row, MAGIC)?;
        let kind = OutputKind::from_code(input.u8()?, &input)?;
        let root = Self { kind, target: Digest::from_bytes(input.id()?), updated_unix_ms: input.u64()? };
        let check = input.u64()?;
        input.finish()?;
        if check != root.check(name) {
            return Err(Error::invalid("a root that does not belong to its name"));
        }
        Ok(root)
    }

    /// Nothing else names a root's bytes, and one that leads elsewhere than it did would hand to collection what
    /// it led to.
    fn check(&self, name: &str) -> u64 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[self.kind.code()]).update(self.target.as_bytes());
        hasher.update(&self.updated_unix_ms.to_le_bytes()).update(name.as_bytes());
        let mut check = [0; 8];
        hasher.finalize_xof().fill(&mut check);
        u64::from_le_bytes(check)
    }

    /// Refuses a name that could not be shown in a table or typed on a command line.
    pub(crate) fn check_name(name: &str) -> Result<()> {
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains(char::is_control) {
            return Err(Error::invalid(format!(
                "{name:?} cannot be the name of a root: expected 1 to {MAX_NAME_BYTES} bytes without control characters"
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_of_a_root_is_pinned() {
        let root =
            Root { target: Digest::from_bytes([7; 32]), kind: OutputKind::Closure, updated_unix_ms: 258 };
        let check = [186, 7, 7, 186, 204, 122, 151, 204];
        let expected = [&b"root\x01\x02"[..], &[7; 32], &[2, 1, 0, 0, 0, 0, 0, 0], &check].concat();
        assert_eq!(root.encode("name"), expected);
        assert_eq!(Root::decode("name", &expected).unwrap(), root);
    }

    #[test]
    fn a_root_with_any_bit_flipped_or_under_another_name_is_refused() {
        let root = Root { target: Digest::of(b"content"), kind: OutputKind::Closure, updated_unix_ms: 258 };
        let row = root.encode("name");
        assert!(Root::decode("nama", &row).is_err());
        for at in 0..row.len() {
            for bit in 0..8 {
                let mut flipped = row.clone();
                flipped[at] ^= 1 << bit;
                assert!(Root::decode("name", &flipped).is_err(), "bit {bit} of byte {at}");
            }
            assert!(Root::decode("name", &row[..at]).is_err(), "cut to {at} bytes");
        }
    }
}

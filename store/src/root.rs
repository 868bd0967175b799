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

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new(MAGIC);
        out.u8(self.kind.code());
        out.id(self.target.as_bytes());
        out.u64(self.updated_unix_ms);
        out.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut input = Decoder::new(bytes, MAGIC)?;
        let kind = OutputKind::from_code(input.u8()?, &input)?;
        let root = Self { kind, target: Digest::from_bytes(input.id()?), updated_unix_ms: input.u64()? };
        input.finish()?;
        Ok(root)
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
        let expected = [&b"root\x01\x02"[..], &[7; 32], &[2, 1, 0, 0, 0, 0, 0, 0]].concat();
        assert_eq!(root.encode(), expected);
        assert_eq!(Root::decode(&expected).unwrap(), root);
        assert!(Root::decode(&expected[1..]).is_err());
    }
}

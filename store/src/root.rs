//! Roots: names for what is still needed. Collection keeps what a root needs and nothing else.

use crate::digest::Digest;
use crate::encoding::{Decoder, Encoder, Magic};
use crate::error::{Error, Result};
use crate::record::OutputKind;
use std::time::{SystemTime, UNIX_EPOCH};

const MAGIC: Magic = Magic { letters: b"root", version: 2, what: "a root" };

/// As format 1 had it: without a note.
const MAGIC_1: Magic = Magic { version: 1, ..MAGIC };

/// What the names of pins begin with.
pub(crate) const PIN_PREFIX: &str = "pin/";

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
    /// For people: where it comes from, why it is kept. May be empty.
    pub note: String,
}

impl Root {
    /// A root set now.
    pub fn now(target: Digest, kind: OutputKind) -> Self {
        Self { target, kind, updated_unix_ms: unix_ms_now(), note: String::new() }
    }

    /// The same root with a note.
    #[must_use]
    pub fn with_note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    /// The row of the root of this name.
    pub(crate) fn encode(&self, name: &str) -> Vec<u8> {
        let mut out = Encoder::new(MAGIC);
        out.u8(self.kind.code());
        out.id(self.target.as_bytes());
        out.u64(self.updated_unix_ms);
        out.text(&self.note);
        out.u64(self.check(name));
        out.finish()
    }

    pub(crate) fn decode(name: &str, row: &[u8]) -> Result<Self> {
        Self::read(name, Decoder::new(row, MAGIC)?, |input| Ok(input.text()?.to_owned()))
    }

    /// Reads the row that format 1 had for the root of this name.
    pub(crate) fn decode_format_1(name: &str, row: &[u8]) -> Result<Self> {
        Self::read(name, Decoder::new(row, MAGIC_1)?, |_| Ok(String::new()))
    }

    fn read<'r>(
        name: &str,
        mut input: Decoder<'r>,
        note: impl FnOnce(&mut Decoder<'r>) -> Result<String>,
    ) -> Result<Self> {
        let kind = OutputKind::from_code(input.u8()?, &input)?;
        let target = Digest::from_bytes(input.id()?);
        let root = Self { kind, target, updated_unix_ms: input.u64()?, note: note(&mut input)? };
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
        if !self.note.is_empty() {
            // Names have no control characters, so this cannot be mistaken for a longer name.
            hasher.update(&[0]).update(self.note.as_bytes());
        }
        let mut check = [0; 8];
        hasher.finalize_xof().fill(&mut check);
        u64::from_le_bytes(check)
    }

    /// Refuses a name or a note that could not be shown in a table, or a name that could not be typed.
    pub(crate) fn check_text(&self, name: &str) -> Result<()> {
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains(char::is_control) {
            return Err(Error::invalid(format!(
                "{name:?} cannot be the name of a root: expected 1 to {MAX_NAME_BYTES} bytes without control characters"
            )));
        }
        if self.note.len() > MAX_NAME_BYTES || self.note.contains(char::is_control) {
            return Err(Error::invalid(format!(
                "{:?} cannot be the note of the root `{name}`: expected at most {MAX_NAME_BYTES} bytes without control characters",
                self.note
            )));
        }
        Ok(())
    }
}

/// The group that a root belongs to: its name up to the last `/`, or all of it. Roots of a group are used, kept and
/// given up together.
pub(crate) fn group_of(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(group, _)| group)
}

/// Milliseconds since 1970-01-01 UTC.
pub(crate) fn unix_ms_now() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(note: &str) -> Root {
        let target = Digest::from_bytes([7; 32]);
        Root { target, kind: OutputKind::Closure, updated_unix_ms: 258, note: note.to_owned() }
    }

    #[test]
    fn the_encoding_of_a_root_is_pinned() {
        let check = [186, 7, 7, 186, 204, 122, 151, 204];
        let start = [&b"root\x02\x02"[..], &[7; 32], &[2, 1, 0, 0, 0, 0, 0, 0]].concat();
        let expected = [&start[..], &[0; 8], &check].concat();
        assert_eq!(root("").encode("name"), expected);
        assert_eq!(Root::decode("name", &expected).unwrap(), root(""));
        let noted = root("ab").encode("name");
        assert_eq!(noted[..start.len() + 10], [&start[..], &[2, 0, 0, 0, 0, 0, 0, 0], b"ab"].concat());
        assert_eq!(Root::decode("name", &noted).unwrap(), root("ab"));

        let format_1 = [&b"root\x01\x02"[..], &[7; 32], &[2, 1, 0, 0, 0, 0, 0, 0], &check].concat();
        assert_eq!(Root::decode_format_1("name", &format_1).unwrap(), root(""));
        assert!(Root::decode("name", &format_1).is_err());
    }

    #[test]
    fn a_root_with_any_bit_flipped_or_under_another_name_is_refused() {
        for note in ["", "a note"] {
            let row = root(note).encode("name");
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

    #[test]
    fn the_group_of_a_root_is_its_name_up_to_the_last_slash() {
        assert_eq!(["a/b/c", "a/b", "a", "/a"].map(group_of), ["a/b", "a", "a", ""]);
    }
}

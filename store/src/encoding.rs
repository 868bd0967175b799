//! Bytes to values and back, the same on every machine: fixed-width little-endian numbers, lengths before text.
//!
//! Every encoding begins with four letters and a version byte. Reading is strict: there is one encoding of a
//! value, and anything else (rest, disorder, lengths that lie) is refused before memory is reserved for it.

use crate::digest::Id;
use crate::error::{Error, Result};

/// What an encoding begins with.
#[derive(Clone, Copy)]
pub(crate) struct Magic {
    /// Four letters.
    pub(crate) letters: &'static [u8; 4],
    pub(crate) version: u8,
    /// For error messages: `a tree`.
    pub(crate) what: &'static str,
}

/// Appends fields to bytes.
pub(crate) struct Encoder(Vec<u8>);

impl Encoder {
    pub(crate) fn new(magic: Magic) -> Self {
        let mut bytes = magic.letters.to_vec();
        bytes.push(magic.version);
        Self(bytes)
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn id(&mut self, id: &Id) {
        self.0.extend_from_slice(id);
    }

    /// Bytes with their length before them.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.u64(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Refuses text that would do something else to a terminal than appear on it.
pub(crate) fn check_text(text: &str) -> Result<()> {
    match text.contains(char::is_control) {
        true => Err(Error::invalid(format!("the name {text:?} has control characters"))),
        false => Ok(()),
    }
}

/// Takes fields from untrusted bytes.
pub(crate) struct Decoder<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Decoder<'a> {
    /// Checks the beginning.
    pub(crate) fn new(bytes: &'a [u8], magic: Magic) -> Result<Self> {
        let mut decoder = Self { rest: bytes, what: magic.what };
        if decoder.take(4)? != magic.letters {
            return Err(decoder.wrong("it does not begin like one"));
        }
        let version = decoder.u8()?;
        if version != magic.version {
            return Err(decoder
                .wrong(&format!("it has version {version}, this program reads version {}", magic.version)));
        }
        Ok(decoder)
    }

    /// An error about these bytes.
    pub(crate) fn wrong(&self, why: &str) -> Error {
        Error::invalid(format!("these bytes are not {}: {why}", self.what))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (taken, rest) =
            self.rest.split_at_checked(len).ok_or_else(|| self.wrong("they end too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) =
            self.rest.split_first_chunk::<N>().ok_or_else(|| self.wrong("they end too early"))?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn id(&mut self) -> Result<Id> {
        self.array()
    }

    /// How many items follow, of at least `item_bytes` each; never more than the rest can hold.
    pub(crate) fn count(&mut self, item_bytes: usize) -> Result<usize> {
        let count = self.u64()?;
        let most = self.rest.len() / item_bytes;
        match usize::try_from(count) {
            Ok(count) if count <= most => Ok(count),
            _ => Err(self.wrong(&format!("it claims {count} items where at most {most} fit"))),
        }
    }

    /// Bytes with their length before them.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8]> {
        let len = self.count(1)?;
        self.take(len)
    }

    /// Text for people, which is shown on terminals.
    pub(crate) fn text(&mut self) -> Result<&'a str> {
        let bytes = self.bytes()?;
        let text = std::str::from_utf8(bytes).map_err(|_| self.wrong("a name is not UTF-8"))?;
        check_text(text).map_err(|e| self.wrong(e.message()))?;
        Ok(text)
    }

    /// Checks that nothing is left.
    pub(crate) fn finish(self) -> Result<()> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(self.wrong(&format!("{left} bytes are left over"))),
        }
    }
}

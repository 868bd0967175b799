//! A closure: everything a root needs, as one canonical list, itself stored as a blob.
//!
//! It turns the question whether a large result is complete into one lookup, and is what collection starts
//! from. A closure may list the action that outputs it: keys are known before outputs are.

use crate::digest::{ActionKey, Digest, Id};
use crate::encoding::{Decoder, Encoder, Magic};
use crate::error::Result;

const MAGIC: Magic = Magic { letters: b"clos", version: 1, what: "a closure" };

/// Actions whose records and outputs are needed, and blobs that are needed without an action (sources).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closure {
    actions: Vec<ActionKey>,
    blobs: Vec<Digest>,
}

impl Closure {
    /// Sorts both lists and drops repetitions.
    pub fn new(mut actions: Vec<ActionKey>, mut blobs: Vec<Digest>) -> Self {
        actions.sort_unstable();
        actions.dedup();
        blobs.sort_unstable();
        blobs.dedup();
        Self { actions, blobs }
    }

    /// The actions whose records and outputs are needed, ascending.
    pub fn actions(&self) -> &[ActionKey] {
        &self.actions
    }

    /// The blobs that are needed as they are, ascending.
    pub fn blobs(&self) -> &[Digest] {
        &self.blobs
    }

    /// The one encoding of this closure.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new(MAGIC);
        out.u64(self.actions.len() as u64);
        self.actions.iter().for_each(|key| out.id(key.as_bytes()));
        out.u64(self.blobs.len() as u64);
        self.blobs.iter().for_each(|digest| out.id(digest.as_bytes()));
        out.finish()
    }

    /// Reads what [`Self::encode`] wrote, and nothing else.
    ///
    /// # Errors
    /// Bytes that are not the canonical encoding of a closure.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut input = Decoder::new(bytes, MAGIC)?;
        let actions = ids(&mut input, ActionKey::from_bytes)?;
        let blobs = ids(&mut input, Digest::from_bytes)?;
        input.finish()?;
        Ok(Self { actions, blobs })
    }
}

fn ids<T: Ord>(input: &mut Decoder<'_>, make: impl Fn(Id) -> T) -> Result<Vec<T>> {
    let count = input.count(32)?;
    let list = (0..count).map(|_| input.id().map(&make)).collect::<Result<Vec<T>>>()?;
    if !list.is_sorted_by(|a, b| a < b) {
        return Err(input.wrong("its names are not in ascending order"));
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_repetition_do_not_matter() {
        let key = |n: u8| ActionKey::of_preimage(&[n]);
        let blob = |n: u8| Digest::of(&[n]);
        let one = Closure::new(vec![key(1), key(2), key(1)], vec![blob(3), blob(4)]);
        let other = Closure::new(vec![key(2), key(1)], vec![blob(4), blob(3), blob(4)]);
        assert_eq!(one.encode(), other.encode());
        assert_eq!(Closure::decode(&one.encode()).unwrap(), one);
    }

    #[test]
    fn bytes_that_are_not_canonical_are_refused() {
        let mut bytes = Closure::new(vec![], vec![Digest::of(b"1"), Digest::of(b"2")]).encode();
        let at = bytes.len() - 64;
        bytes[at..].rotate_left(32);
        assert!(Closure::decode(&bytes).unwrap_err().to_string().contains("ascending"));
        assert!(Closure::decode(b"clos").is_err());
    }
}

//! Any bytes as the entry of an action, as they are and with the hash at their end that makes the rest be read.

#![no_main]

use artifact_store::remote::ActionEntry;
use artifact_store::{ActionKey, Digest};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    exact(bytes);
    exact(&[bytes, Digest::of(bytes).as_bytes()].concat());
});

/// An entry is refused, or is the one encoding of what is read.
fn exact(bytes: &[u8]) {
    let len = bytes.get(5..13).and_then(|len| len.try_into().ok()).map(u64::from_le_bytes);
    let end = len.and_then(|len| usize::try_from(len).ok()?.checked_add(13));
    let preimage = end.and_then(|end| bytes.get(13..end)).unwrap_or_default();
    if let Ok(entry) = ActionEntry::decode(&ActionKey::of_preimage(preimage), bytes) {
        assert_eq!(entry.encode(), bytes);
    }
}

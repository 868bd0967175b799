//! Any bytes as a trace, of a rank and of a member of a custom collective.

#![no_main]

use std::collections::BTreeMap;

use astra_store::et::{Reader, lower_bundle, lower_custom};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(reader) = Reader::from_bytes("t", bytes) {
        reader.for_each(drop);
    }
    let _ = lower_bundle("t", &[bytes], &[0, 0], &BTreeMap::new());
    let _ = lower_custom("t", bytes);
});

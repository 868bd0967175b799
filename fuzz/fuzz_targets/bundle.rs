//! Any bytes as a bundle, and as the body of one that is whole.

#![no_main]

use artifact_store::Digest;
use artifact_store::bundle::contents;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = contents(bytes);
    let frame = zstd::stream::encode_all(bytes, 1).expect("writing to memory does not fail");
    let bundle = [b"bndl\x01", &frame[..]].concat();
    let _ = contents(&[&bundle[..], Digest::of(&bundle).as_bytes()].concat()[..]);
});

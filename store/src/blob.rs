//! Bytes with their digest, hashed once.

use crate::digest::Digest;
use crate::shared_bytes::SharedBytes;

/// Bytes together with their digest. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    digest: Digest,
    bytes: SharedBytes,
}

impl Blob {
    /// Hashes the bytes.
    pub fn new(bytes: impl Into<SharedBytes>) -> Self {
        let bytes = bytes.into();
        Self { digest: Digest::of(&bytes), bytes }
    }

    /// Bytes that have just been compared with their name.
    pub(crate) fn verified(digest: Digest, bytes: SharedBytes) -> Self {
        Self { digest, bytes }
    }

    /// The name of the bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The bytes.
    pub fn bytes(&self) -> &SharedBytes {
        &self.bytes
    }

    /// How many bytes.
    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

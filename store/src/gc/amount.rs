//! How much of something.

/// How many, and how many bytes they take in the store (compressed, without the file's own overhead).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many.
    pub count: u64,
    /// Their stored bytes.
    pub bytes: u64,
}

impl Amount {
    pub(super) fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }

    pub(super) fn subtract(&mut self, bytes: u64) {
        self.count -= 1;
        self.bytes -= bytes;
    }

    fn minus(self, part: Self) -> Self {
        Self { count: self.count - part.count, bytes: self.bytes - part.bytes }
    }
}

/// Blobs and actions; the bytes of an action are those of its record, preimage and provenance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Blobs.
    pub blobs: Amount,
    /// Actions.
    pub actions: Amount,
}

impl Content {
    /// Stored bytes of both.
    pub fn bytes(&self) -> u64 {
        self.blobs.bytes + self.actions.bytes
    }

    /// What is left of it without a part.
    pub(super) fn minus(self, part: Self) -> Self {
        Self { blobs: self.blobs.minus(part.blobs), actions: self.actions.minus(part.actions) }
    }
}

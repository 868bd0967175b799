//! How far a transfer has come.

use std::time::{Duration, Instant};

/// What a transfer is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Finding out what the other side lacks.
    Comparing,
    /// Moving it.
    Moving,
}

/// How far a transfer has come. Told a few times per batch; whoever draws it chooses how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// Actions dealt with: moved, found to be there, or left out.
    pub actions: u64,
    /// Actions that are known to be part of it. Grows while lists are read.
    pub actions_known: u64,
    /// Blobs moved.
    pub blobs: u64,
    /// Their bytes, not compressed.
    pub bytes: u64,
    /// Since the transfer began.
    pub elapsed: Duration,
}

impl Progress {
    /// Bytes per second so far.
    #[expect(clippy::cast_precision_loss, reason = "a rate is shown with three digits")]
    pub fn bytes_per_second(&self) -> f64 {
        self.bytes as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// Counts, and tells whoever wants to know.
pub(crate) struct Meter<'p> {
    started: Instant,
    pub(crate) progress: Progress,
    tell: &'p mut dyn FnMut(&Progress),
}

impl<'p> Meter<'p> {
    pub(crate) fn new(tell: &'p mut dyn FnMut(&Progress)) -> Self {
        let progress = Progress {
            stage: Stage::Comparing,
            actions: 0,
            actions_known: 0,
            blobs: 0,
            bytes: 0,
            elapsed: Duration::ZERO,
        };
        Self { started: Instant::now(), progress, tell }
    }

    pub(crate) fn tell(&mut self) {
        self.progress.elapsed = self.started.elapsed();
        (self.tell)(&self.progress);
    }

    /// So many blobs of so many bytes have been moved.
    pub(crate) fn moved(&mut self, blobs: u64, bytes: u64) {
        self.progress.stage = Stage::Moving;
        self.progress.blobs += blobs;
        self.progress.bytes += bytes;
        self.tell();
    }
}

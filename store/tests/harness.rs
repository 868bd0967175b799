//! A fresh store per test, and content for it.

use artifact_store::{
    ActionRecord, Blob, NewAction, Notice, Options, Output, OutputKind, Provenance, Publication, Store,
};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A directory for a store, removed at the end of the test, and what the store said.
pub(crate) struct Place {
    directory: tempfile::TempDir,
    notices: Arc<Mutex<Vec<Notice>>>,
}

impl Place {
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("store-test").tempdir().unwrap();
        Self { directory, notices: Arc::default() }
    }

    /// The directory of the store; made by whoever opens it.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    /// A directory for other files of the test.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    pub(crate) fn options(&self) -> Options {
        let notices = Arc::clone(&self.notices);
        Options {
            page_cache_bytes: 16 << 20,
            lock_timeout: Duration::from_secs(20),
            on_notice: Arc::new(move |notice| notices.lock().unwrap().push(notice.clone())),
            ..Options::default()
        }
    }

    pub(crate) fn open(&self) -> Store {
        Store::open(self.path(), &self.options()).unwrap()
    }

    /// What the stores opened here have said so far.
    pub(crate) fn notices(&self) -> Vec<Notice> {
        self.notices.lock().unwrap().clone()
    }
}

/// Bytes that cannot be compressed, different for every seed.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// A finished step with these outputs, named `0`, `1`, ….
pub(crate) fn step(preimage: &str, outputs: Vec<(Blob, OutputKind)>) -> Publication {
    let record = outputs.iter().enumerate().map(|(i, (blob, kind))| {
        (i.to_string(), Output { digest: blob.digest(), len: blob.len(), kind: *kind })
    });
    let record = ActionRecord { outputs: record.collect() };
    let provenance = Provenance { finished_unix_ms: 1, duration_us: 2, host: "here".to_owned() };
    let action = NewAction::new(preimage.as_bytes().to_vec(), record, provenance);
    let blobs = outputs.into_iter().map(|(blob, _)| blob).collect();
    Publication { blobs, action: Some(action), ..Publication::default() }
}

/// A finished step with one plain output.
pub(crate) fn plain_step(preimage: &str, output: &[u8]) -> Publication {
    step(preimage, vec![(Blob::new(output), OutputKind::Blob)])
}

/// Publishes blobs alone.
pub(crate) fn only_blobs(blobs: Vec<Blob>) -> Publication {
    Publication { blobs, ..Publication::default() }
}

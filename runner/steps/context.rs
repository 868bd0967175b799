//! What the steps of one build share: the store, the ingested sources, and content already decoded.
//!
//! Bounded memories, shared by threads; nothing here decides anything.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use artifact_store::{ActionRecord, Digest, Provenance, SharedBytes, Store};
use astra_engine::Nanos;

use crate::astrasim::{NetworkFile, SystemFile};
use crate::error::{Error, ErrorKind, Result};
use crate::hw::NetworkSpec;
use crate::report::RunResult;

use super::ingest::Sources;
use super::run;

/// What the steps of one build share.
#[derive(Debug)]
pub struct Context {
    /// Where everything is kept.
    pub store: Store,
    /// What the build is made from.
    pub sources: Sources,
    specs: Memo<Digest, NetworkSpec>,
    networks: Memo<Digest, NetworkFile>,
    systems: Memo<Digest, SystemFile>,
    /// By the tree of the traces and the file of the groups.
    pub(super) workloads: Memo<(Digest, Option<Digest>), astra_engine::Workload>,
    /// Finish times of runs of this build, so that the report need not read results back.
    finished: Mutex<HashMap<Digest, Finish>>,
    notice_lists: Memo<Digest, Vec<String>>,
    told: Mutex<BTreeSet<String>>,
    lint: bool,
}

/// What a report says of a result.
#[derive(Clone, Copy, Debug)]
pub struct Finish {
    /// When the last rank finished.
    pub time: Nanos,
    /// How many ranks there were.
    pub ranks: u32,
}

impl Context {
    /// A context for building from these sources.
    pub fn new(store: Store, sources: Sources) -> Self {
        Self {
            store,
            sources,
            specs: Memo::new(4096),
            networks: Memo::new(4096),
            systems: Memo::new(4096),
            workloads: Memo::new(64),
            finished: Mutex::default(),
            notice_lists: Memo::new(4096),
            told: Mutex::default(),
            lint: true,
        }
    }

    /// The same, with or without a check of the traces before each simulation.
    #[must_use]
    pub fn with_lint(self, lint: bool) -> Self {
        Self { lint, ..self }
    }

    /// Whether traces are checked before each simulation.
    pub(super) fn lints(&self) -> bool {
        self.lint
    }

    /// The network specification with this digest.
    pub(super) fn spec(&self, digest: Digest) -> Result<Arc<NetworkSpec>> {
        self.specs.get_or(digest, || NetworkSpec::from_bytes(&self.content(&digest)?))
    }

    /// The network configuration with this digest.
    pub(super) fn network(&self, digest: Digest) -> Result<Arc<NetworkFile>> {
        self.networks.get_or(digest, || run::read_network(&self.content(&digest)?))
    }

    /// The system configuration with this digest.
    pub(super) fn system(&self, digest: Digest) -> Result<Arc<SystemFile>> {
        self.systems.get_or(digest, || run::read_system(&self.content(&digest)?))
    }

    /// The bytes of an input that a record named.
    ///
    /// # Errors
    /// When they are gone or damaged: the store was changed from outside during the build.
    pub fn content(&self, digest: &Digest) -> Result<SharedBytes> {
        super::files::content(&self.store, digest)
    }

    /// The result of a run of this build, executed or recalled, and what a report says of it.
    pub fn finish_of(&self, record: &ActionRecord) -> Option<(Digest, Finish)> {
        let digest = record.outputs.get(run::OUTPUT)?.digest;
        lock(&self.finished).get(&digest).map(|finish| (digest, *finish))
    }

    pub(super) fn note_finish(&self, digest: Digest, result: &RunResult) {
        let ranks = result.rank_finish_ns.len() as u32;
        lock(&self.finished).insert(digest, Finish { time: Nanos(result.finish_ns), ranks });
    }

    /// The sentences in a list of notices.
    pub(super) fn notices(&self, digest: Digest) -> Result<Arc<Vec<String>>> {
        self.notice_lists.get_or(digest, || {
            serde_json::from_slice(&self.content(&digest)?)
                .map_err(|e| Error::new(ErrorKind::Store, format!("stored notices cannot be read: {e}")))
        })
    }

    /// Notes what is worth saying about a source.
    pub(super) fn notify(&self, source: &str, notices: impl IntoIterator<Item = String>) {
        let mut all = lock(&self.told);
        all.extend(notices.into_iter().map(|notice| format!("{source}: {notice}")));
    }

    /// What is worth saying about the input, each thing once.
    pub fn take_notices(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.told)).into_iter().collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Decoded content by what it was decoded from, bounded in number.
#[derive(Debug)]
pub(super) struct Memo<K, V> {
    limit: usize,
    known: Mutex<HashMap<K, Arc<V>>>,
}

impl<K: Eq + Hash, V> Memo<K, V> {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, known: Mutex::new(HashMap::new()) }
    }

    /// The value of a key. Two threads may make the same value at once; one is kept.
    pub(super) fn get_or(&self, key: K, make: impl FnOnce() -> Result<V>) -> Result<Arc<V>> {
        if let Some(value) = lock(&self.known).get(&key) {
            return Ok(Arc::clone(value));
        }
        let value = Arc::new(make()?);
        let mut known = lock(&self.known);
        if known.len() >= self.limit {
            known.clear();
        }
        Ok(Arc::clone(known.entry(key).or_insert(value)))
    }
}

/// Who made something, when and how long it took: kept beside a record, never in a key.
pub fn provenance(took: Duration) -> Provenance {
    static HOST: OnceLock<String> = OnceLock::new();
    let host = HOST.get_or_init(|| {
        let named = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        named.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default().trim().to_owned()
    });
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Provenance {
        finished_unix_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        duration_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        host: host.clone(),
    }
}

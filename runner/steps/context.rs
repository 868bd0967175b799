//! What the steps of one build share: the store, the ingested sources, and content already decoded.
//!
//! Bounded memories, shared by threads; nothing here decides anything.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use artifact_store::remote::Upstream;
use artifact_store::{ActionRecord, Digest, Provenance, SharedBytes, Store};
use astra_engine::Nanos;

use crate::astrasim::{NetworkFile, SystemFile};
use crate::decision::{DecisionTable, Demand};
use crate::derivation::{DemandFrom, StepKind};
use crate::error::{Error, ErrorKind, Result};
use crate::hw::NetworkSpec;
use crate::recipe::Point;
use crate::report::RunResult;

use super::demand::{Demands, Questions, demand_from};
use super::ingest::Sources;
use super::policies::Sessions;
use super::{Derivation, Inputs, et, run};

/// What points share that share a step `policy`: setting, ranks, network, questions, and how a graph lies on it.
pub(super) type PolicyStep = (u32, Option<u32>, Digest, Digest, Option<Digest>);

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
    tables: Memo<Digest, DecisionTable>,
    demands: Memo<Digest, Demand>,
    pub(super) asked: Demands,
    /// By what points share that share a step `policy`.
    pub(super) policy_steps: Memo<PolicyStep, Derivation>,
    /// The policies that have been asked.
    pub(super) sessions: Sessions,
    told: Mutex<BTreeSet<String>>,
    lint: bool,
    /// Asked for content that the store does not have, when nothing is to be written.
    peeked: Option<Upstream>,
    watcher: Option<PathBuf>,
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
            tables: Memo::new(4096),
            demands: Memo::new(64),
            asked: Demands::default(),
            policy_steps: Memo::new(65_536),
            sessions: Sessions::default(),
            told: Mutex::default(),
            lint: true,
            peeked: None,
            watcher: None,
        }
    }

    /// The same, reading what the store does not have where it is upstream.
    #[must_use]
    pub fn peeking(self, upstream: Option<&Upstream>) -> Self {
        Self { peeked: upstream.cloned(), ..self }
    }

    /// The same, with or without a check of the traces before each simulation.
    #[must_use]
    pub fn with_lint(self, lint: bool) -> Self {
        Self { lint, ..self }
    }

    /// The same, with policies that come as libraries in this process, for a debugger.
    #[must_use]
    pub fn with_policies_in_process(self, in_process: bool) -> Self {
        Self { sessions: Sessions::new(in_process), ..self }
    }

    /// The same, for a build of these points: what they ask of one network is asked together.
    #[must_use]
    pub fn for_points(self, points: &[Point]) -> Self {
        let asked = Demands::of(points, |policy| self.sources.policy(policy).ok());
        Self { asked, ..self }
    }

    /// What the ranks of a point ask of the network.
    pub(super) fn demand(&self, point: &Point, inputs: &Inputs) -> Result<Arc<Demand>> {
        match (demand_from(point), point.workload.demand()) {
            (DemandFrom::Recipe, Some(demand)) => Ok(Arc::new(demand)),
            _ => {
                let digest = inputs.output(StepKind::Et, et::COLLECTIVES)?;
                self.demands.get_or(digest, || Demand::decode(&self.content(&digest)?))
            }
        }
    }

    /// What the policy of a point is asked in its step.
    ///
    /// # Errors
    /// That of a question of this point that was set apart; a demand that cannot be read.
    pub(super) fn questions(&self, point: &Point, inputs: &Inputs) -> Result<Arc<Questions>> {
        let found = self.sources.policy(&point.policy)?;
        match self.asked.together(point, found)? {
            Some(questions) => Ok(questions),
            None => Ok(Arc::new(Questions::of(found, self.demand(point, inputs)?.questions()))),
        }
    }

    /// The decision table with this digest.
    pub(super) fn table(&self, digest: Digest) -> Result<Arc<DecisionTable>> {
        self.tables.get_or(digest, || DecisionTable::decode(&self.content(&digest)?))
    }

    /// The same, with the program `astra-store` to watch over simulators that are other programs.
    #[must_use]
    pub fn with_watcher(self, watcher: Option<&Path>) -> Self {
        Self { watcher: watcher.map(Path::to_owned), ..self }
    }

    /// The program that watches over simulators.
    pub(super) fn watcher(&self) -> Result<&Path> {
        self.watcher.as_deref().ok_or_else(|| {
            Error::new(ErrorKind::Usage, "nobody watches over a simulator that is another program")
                .hint("name the program `astra-store` in the options of the build")
        })
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
        self.find(digest)?.ok_or_else(|| super::files::gone(digest))
    }

    /// The bytes of a blob, if they are to be had.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn find(&self, digest: &Digest) -> Result<Option<SharedBytes>> {
        if let Some(bytes) = self.store.get(digest)? {
            return Ok(Some(bytes));
        }
        let found = self.peeked.as_ref().and_then(|upstream| upstream.peek(digest));
        Ok(found.map(|blob| blob.bytes().clone()))
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
        let named = named.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
        named.trim().replace(char::is_control, "?")
    });
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Provenance {
        finished_unix_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        duration_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        host: host.clone(),
        log: Vec::new(),
    }
}

//! Asking other stores' remotes for steps before they are executed.
//!
//! What the points are made of is asked for in three questions, one for each level of the graph, however many points
//! there are; steps whose keys depend on something that is executed here are asked for when their turn comes. Depends
//! on the steps and on what the store says of remotes. What came is an ordinary hit afterwards.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use artifact_store::remote::{Disagreement, Refusal, Upstream};
use artifact_store::{ActionKey, ActionRecord, Store};

use crate::derivation::StepKind;
use crate::error::{Error, Result};
use crate::recipe::Point;
use crate::steps::{self, Context, Inputs};

/// Steps whose keys can be made as soon as those of the level before are known.
const LEVELS: [&[StepKind]; 4] =
    [&[StepKind::Hw, StepKind::Et], &[StepKind::Policy], &[StepKind::Configs], &[StepKind::Run]];

/// What came from upstream in a build.
#[derive(Clone, Debug, Default)]
pub struct UpstreamReport {
    /// Records that came.
    pub actions: u64,
    /// Blobs that came.
    pub blobs: u64,
    /// Their bytes, not compressed.
    pub bytes: u64,
    /// What some remote had and was not used.
    pub left_out: Vec<Refusal>,
    /// Steps of which a remote says something else than this store.
    pub disagreements: Vec<Disagreement>,
    /// Remotes that failed and were not asked again.
    pub failed: Vec<Error>,
}

/// Asks for each step at most once.
pub(super) struct Asker<'a> {
    store: &'a Store,
    upstream: &'a Upstream,
    /// Set to ask for nothing more.
    cancel: &'a AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    asked: HashSet<ActionKey>,
    /// Of a dry run: what is upstream.
    planned: HashMap<ActionKey, Arc<ActionRecord>>,
    report: UpstreamReport,
}

impl<'a> Asker<'a> {
    pub(super) fn new(store: &'a Store, upstream: &'a Upstream, cancel: &'a AtomicBool) -> Self {
        Self { store, upstream, cancel, state: Mutex::default() }
    }

    pub(super) fn into_report(self) -> UpstreamReport {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).report
    }

    /// Of a dry run: what a step gave that is upstream.
    pub(super) fn planned(&self, key: &ActionKey) -> Option<Arc<ActionRecord>> {
        self.state().planned.get(key).cloned()
    }

    fn known(&self, key: &ActionKey) -> Result<Option<Arc<ActionRecord>>> {
        Ok(self.store.hit(key)?.map(Arc::new).or_else(|| self.planned(key)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings those of these steps that are not here, as far as a remote has them.
    pub(super) fn ask(&self, keys: &[ActionKey]) -> Result<()> {
        let mut wanted = Vec::new();
        for key in keys {
            if self.known(key)?.is_none() && self.state().asked.insert(*key) {
                wanted.push(*key);
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let fetched = self.upstream.fetch(self.store, &wanted, self.cancel)?;
        let mut state = self.state();
        state.planned.extend(fetched.planned.into_iter().map(|(key, record)| (key, Arc::new(record))));
        let report = &mut state.report;
        report.actions += fetched.actions;
        report.blobs += fetched.blobs;
        report.bytes += fetched.bytes;
        report.left_out.extend(fetched.left_out);
        report.disagreements.extend(fetched.disagreements);
        let failed = fetched.failed.iter();
        report.failed.extend(failed.map(|(name, e)| Error::outside_store(e).in_file(name)));
        Ok(())
    }

    /// Asks for all steps of these points whose keys can be made from what is known here or upstream.
    pub(super) fn ask_for_all(&self, context: &Context, points: &[Point]) -> Result<()> {
        let mut inputs: Vec<Inputs> = points.iter().map(|_| Inputs::default()).collect();
        let mut records: HashMap<ActionKey, Option<Arc<ActionRecord>>> = HashMap::new();
        for level in LEVELS {
            let mut steps = Vec::new();
            for (i, point) in points.iter().enumerate() {
                for &kind in level {
                    let Some(inputs) = inputs[i].of_step(point, kind) else { continue };
                    // What is wrong with it is told when its turn comes.
                    if let Ok(derivation) = steps::derive(context, point, kind, &inputs) {
                        steps.push((i, kind, derivation.key));
                    }
                }
            }
            self.ask(&steps.iter().map(|(_, _, key)| *key).collect::<Vec<_>>())?;
            for (i, kind, key) in steps {
                let record = match records.get(&key) {
                    Some(record) => record.clone(),
                    None => {
                        let record = self.known(&key)?;
                        records.insert(key, record.clone());
                        record
                    }
                };
                if let Some(record) = record {
                    inputs[i].insert(kind, record);
                }
            }
        }
        Ok(())
    }
}

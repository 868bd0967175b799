//! Runs of given files, one at a time: looked up in a store, simulated when they are not there, kept.
//!
//! For callers that have files or make them in memory instead of a recipe. A run that is kept has a root of its own, a group for
//! retention, so that what is not asked for any more can be given up run by run.

use std::time::{Duration, Instant};

use artifact_store::{
    ActionKey, Blob, Claim, Closure, ErrorKind, NewAction, OutputKind, Publication, Root, Store,
};
use astra_engine::{Options, Report};

use crate::Notice;
use crate::error::Result;
use crate::et::TraceNames;
use crate::report::RunResult;
use crate::sim::SimFiles;
use crate::steps::{self, LoneRun, lone_run};

/// What the roots of such runs are called before the key.
const PREFIX: &str = "run/";

/// How a run is simulated when it has to be. Nothing of this changes what it gives.
#[derive(Clone, Copy, Debug)]
pub struct LoneOptions {
    /// Check the files against each other first.
    pub lint: bool,
    /// How the engine goes about it.
    pub engine: Options,
}

/// What a run gave.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The figures.
    pub report: Report,
    /// Whether they were known.
    pub hit: bool,
    /// The key of the run.
    pub key: ActionKey,
}

/// A run of given files and the store it is looked up in.
#[derive(Debug)]
pub struct Lone<'a> {
    store: &'a Store,
    run: LoneRun,
    /// What the traces are called where they were found, for people.
    origin: &'a str,
}

impl<'a> Lone<'a> {
    /// The run of these files. `prefix` is what a recipe calls such traces in their tree, `None` for traces that are given.
    /// Hold a session of the store.
    ///
    /// # Errors
    /// A compressed trace that is damaged.
    pub fn new(store: &'a Store, files: &'a SimFiles, prefix: Option<&str>) -> Result<Self> {
        Ok(Self { store, run: lone_run(files, prefix)?, origin: files.traces.names.prefix() })
    }

    /// What it gives: known, or simulated now and kept unless the store is open for reading only.
    ///
    /// # Errors
    /// Files that do not fit together, a simulation in which a rank does not finish, a store that cannot be read or written.
    pub fn answer(
        self,
        files: &SimFiles,
        options: &LoneOptions,
        notice: &mut dyn FnMut(Notice),
    ) -> Result<Answer> {
        let key = self.run.derivation.key;
        if let Some(result) = known(self.store, &key)? {
            if is_unrooted(self.store, &key)? {
                self.publish(None)?;
            }
            return Ok(Answer { report: result.to_engine(), hit: true, key });
        }
        let claim = match self.claim(notice)? {
            Claimed::Done(result) => return Ok(Answer { report: result.to_engine(), hit: true, key }),
            Claimed::Mine(claim) => Some(claim),
            Claimed::Nobodys => None,
        };
        let started = Instant::now();
        let report = files.simulation(options.lint, notice)?.run(&options.engine)?;
        // A rank that finished at time 0 simulated nothing that is worth keeping; the original prints it all the same.
        if let Ok(result) = RunResult::from_engine(&report)
            && !self.store.is_read_only()
        {
            self.publish(Some(Simulated { result, took: started.elapsed(), claim }))?;
        }
        Ok(Answer { report, hit: false, key })
    }

    /// The right to simulate, or what somebody else has simulated meanwhile. Who takes too long for it is not waited for:
    /// simulating twice costs time and nothing else.
    fn claim(&self, notice: &mut dyn FnMut(Notice)) -> Result<Claimed> {
        if self.store.is_read_only() {
            return Ok(Claimed::Nobodys);
        }
        let key = &self.run.derivation.key;
        let mut wait = self.store.wait_for_claim(key);
        loop {
            let claim = self.store.claim(key)?;
            if let Some(result) = known(self.store, key)? {
                return Ok(Claimed::Done(result));
            }
            if let Some(claim) = claim {
                return Ok(Claimed::Mine(claim));
            }
            match wait.pause() {
                Err(e) if e.kind() == ErrorKind::Busy => {
                    notice(Notice::new(self.origin, format!("{}; simulating here, too", e.message())));
                    return Ok(Claimed::Nobodys);
                }
                waited => waited?,
            }
        }
    }

    /// Keeps what the run reads and, when it was simulated now, what it gave. Returns when it is on disk.
    fn publish(self, simulated: Option<Simulated>) -> Result<()> {
        let key = self.run.derivation.key;
        let closure = Closure::new(vec![key], self.run.inputs.iter().map(Blob::digest).collect());
        let closure = Blob::new(closure.encode());
        let root =
            Root::now(closure.digest(), OutputKind::Closure).with_note(super::known::note(self.origin));
        let mut publication = Publication {
            blobs: self.run.inputs,
            roots: vec![(root_name(&key), root)],
            ..Publication::default()
        };
        publication.blobs.push(closure);
        if let Some(Simulated { result, took, claim }) = simulated {
            let produced = steps::produced_run(&result);
            publication.blobs.extend(produced.blobs);
            let provenance = steps::provenance(took);
            publication.action =
                Some(NewAction::new(self.run.derivation.encoded, produced.record, provenance));
            publication.claim = claim;
        }
        Ok(self.store.publish(publication).wait()?)
    }
}

enum Claimed {
    Mine(Claim),
    Done(RunResult),
    /// Somebody else's or not to be had: what is simulated is simulated perhaps twice.
    Nobodys,
}

struct Simulated {
    result: RunResult,
    took: Duration,
    claim: Option<Claim>,
}

/// What a run gave, if that is known: for callers that remember the keys of runs. Counts as a use of it.
///
/// # Errors
/// When the store cannot be read.
pub fn recall(store: &Store, key: &ActionKey) -> Result<Option<RunResult>> {
    let result = known(store, key)?;
    // One that has lost its root is to be asked for with its files, so that it gets it back.
    Ok(if result.is_some() && is_unrooted(store, key)? { None } else { result })
}

fn known(store: &Store, key: &ActionKey) -> Result<Option<RunResult>> {
    let Some(record) = store.hit(key)? else { return Ok(None) };
    let Some(output) = record.outputs.get(steps::RESULT) else { return Ok(None) };
    // Gone or damaged since: then it is not known after all.
    store.get(&output.digest)?.map(|bytes| RunResult::decode(&bytes)).transpose()
}

/// Whether nothing keeps a run from collection that could.
fn is_unrooted(store: &Store, key: &ActionKey) -> Result<bool> {
    Ok(!store.is_read_only() && store.root(&root_name(key))?.is_none())
}

fn root_name(key: &ActionKey) -> String {
    format!("{PREFIX}{key}/closure")
}

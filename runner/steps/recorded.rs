//! Runs that the store has a record of, made ready to be simulated again: from the content that the record's key is
//! made of, and from nothing else.

use std::sync::Arc;

use artifact_store::{ActionKey, Digest, HexPrefix, Store, Tree};
use serde_json::Value;

use crate::derivation::{Preimage, StepKind};
use crate::error::{Error, ErrorKind, Result};
use crate::recipe::{Engine, EngineKind};
use crate::report::RunResult;
use crate::sim::Simulation;

use super::{configs, et, output_of, run};

/// A run whose inputs have been read back.
#[derive(Debug)]
pub struct RecordedRun {
    /// What was simulated.
    pub simulation: Simulation,
    /// What it gave.
    pub result: RunResult,
    /// The engine's semantic version then: with another one results may differ.
    pub engine_version: u64,
}

/// The runs whose records name this blob as their result, by ascending key.
///
/// # Errors
/// When the store cannot be read.
pub fn runs_of_result(store: &Store, result: &Digest) -> Result<Vec<ActionKey>> {
    let mut found = Vec::new();
    for key in store.list_actions(&HexPrefix::ALL)? {
        let record = store.record(&key)?;
        let output = record.and_then(|record| record.outputs.get(run::OUTPUT).map(|output| output.digest));
        if output.as_ref() == Some(result) {
            found.push(key);
        }
    }
    Ok(found)
}

/// Reads back what a run was made of.
///
/// # Errors
/// When the key is not that of a run of the built-in engine, or when something that it reads is gone.
pub fn recorded_run(store: &Store, key: &ActionKey) -> Result<RecordedRun> {
    let preimage = store.preimage(key)?.as_deref().and_then(Preimage::decode).ok_or_else(|| {
        Error::new(ErrorKind::Store, format!("what action {key} was made of is not known any more"))
            .hint("build the recipe again")
    })?;
    if preimage.kind != StepKind::Run.as_str() {
        let message = format!("action {key} is a step `{}`, and only a run can be simulated", preimage.kind);
        return Err(Error::new(ErrorKind::Usage, message)
            .hint("`astra-store show RECIPE --json` lists the digests of results"));
    }
    let (engine, engine_version) = engine_of(&preimage.params["engine"]).ok_or_else(|| {
        Error::new(ErrorKind::Usage, format!("run {key} was not simulated by the built-in engine"))
    })?;
    let input = |name: &str| match preimage.inputs.get(name) {
        Some(digest) => read(store, &digest.0, name),
        None => Err(Error::new(ErrorKind::Store, format!("run {key} has no input `{name}`"))
            .hint("it was recorded by another version of astra-store; build the recipe again")),
    };
    let network = run::read_network(&input(configs::NETWORK)?)?;
    let system = run::read_system(&input(configs::SYSTEM)?)?;
    let traces = Tree::decode(&input(et::TREE)?)?;
    let workload = run::lowered(&traces, |entry| read(store, &entry.digest, &entry.name))?;
    let (network, system, _) = run::prepare(&network, &system, &engine, &workload)?;
    let record = store.record(key)?.unwrap_or_default();
    let result = read(store, &output_of(StepKind::Run, &record, run::OUTPUT)?, run::OUTPUT)?;
    let result = RunResult::decode(&result)?;
    Ok(RecordedRun { simulation: Simulation { network, system, workload }, result, engine_version })
}

/// The built-in engine with its semantic version, as a key describes it.
fn engine_of(params: &Value) -> Option<(Engine, u64)> {
    let text = |name: &str| params[name].as_str();
    if text("kind") != Some("builtin") {
        return None;
    }
    let engine = Engine {
        kind: EngineKind::Builtin,
        network: text("network_model")?.parse().ok()?,
        dialect: text("dialect")?.parse().ok()?,
    };
    Some((engine, params["semantic_version"].as_u64()?))
}

/// The content of an input, by the name that the run has for it.
fn read(store: &Store, digest: &Digest, name: &str) -> Result<Arc<[u8]>> {
    store.get(digest)?.ok_or_else(|| {
        Error::new(
            ErrorKind::Missing,
            format!("`{name}`, which the run reads, is damaged or gone: blob {digest}"),
        )
        .hint("build the recipe again: the step that wrote it will be executed again")
    })
}

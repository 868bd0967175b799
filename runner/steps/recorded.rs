//! Runs that the store has a record of, made ready to be simulated again: from the content that the record's key is
//! made of, and from nothing else.

use std::sync::Arc;

use artifact_store::{ActionKey, Digest, HexPrefix, Store, Tree};
use astra_engine::RemoteMemory;

use crate::astrasim;
use crate::derivation::{Preimage, StepKind};
use crate::error::{Error, ErrorKind, Result};
use crate::recipe::EngineKind;
use crate::report::RunResult;
use crate::sim::Simulation;

use super::{configs, et, lone, output_of, run};

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

/// Which kind of engine simulated a run, as far as its description is known.
///
/// # Errors
/// When the store cannot be read.
pub fn engine_of_run(store: &Store, key: &ActionKey) -> Result<Option<EngineKind>> {
    let preimage = store.preimage(key)?.as_deref().and_then(Preimage::decode);
    let is_builtin = preimage.map(|preimage| run::is_builtin(&preimage.params["engine"]));
    Ok(is_builtin.map(|is| if is { EngineKind::Builtin } else { EngineKind::AstraSim }))
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
    let (simulation, engine_version) = simulation_of(store, key, &preimage)?;
    let record = store.record(key)?.unwrap_or_default();
    let result = read(store, &output_of(StepKind::Run, &record, run::OUTPUT)?, run::OUTPUT)?;
    let result = RunResult::decode(&result)?;
    Ok(RecordedRun { simulation, result, engine_version })
}

/// What the run with this description simulates, and the semantic version of the engine that did.
///
/// # Errors
/// As for [`recorded_run`].
pub(super) fn simulation_of(
    store: &Store,
    key: &ActionKey,
    preimage: &Preimage,
) -> Result<(Simulation, u64)> {
    if preimage.kind != StepKind::Run.as_str() {
        let message =
            format!("action {key} is a step `{}`, and only a run can be simulated again", preimage.kind);
        return Err(Error::new(ErrorKind::Usage, message)
            .hint("`astra-store show RECIPE --json` lists the digests of results"));
    }
    let (engine, engine_version) = run::engine_of(&preimage.params["engine"]).ok_or_else(|| {
        Error::new(ErrorKind::Usage, format!("run {key} was not simulated by the built-in engine"))
            .hint("build it with `\"kind\": \"builtin\"` under `engine`, or with --cross-check; only that engine can show more than its result")
    })?;
    let options = lone::options_of(&preimage.params, engine.queues_per_dimension).ok_or_else(|| {
        Error::new(
            ErrorKind::Usage,
            format!("run {key} was recorded with options that this version does not know"),
        )
    })?;
    let input = |name: &str| match preimage.inputs.get(name) {
        Some(digest) => read(store, &digest.0, name),
        None => Err(Error::new(ErrorKind::Store, format!("run {key} has no input `{name}`"))
            .hint("it was recorded by another version of astra-store; build the recipe again")),
    };
    let network = run::read_network(&input(configs::NETWORK)?)?;
    let system = run::read_system(&input(configs::SYSTEM)?)?;
    let traces = Tree::decode(&input(et::TREE)?)?;
    let groups =
        preimage.inputs.get(et::GROUPS).map(|digest| read(store, &digest.0, et::GROUPS)).transpose()?;
    let workload = run::lowered(&traces, groups.as_deref(), |entry| read(store, &entry.digest, &entry.name))?;
    let memory = match preimage.inputs.contains_key(configs::REMOTE_MEMORY) {
        true => astrasim::read_remote_memory(&input(configs::REMOTE_MEMORY)?, configs::REMOTE_MEMORY)?,
        false => RemoteMemory::None,
    };
    let (network, system) = run::prepare_with(&network, &system, &engine, &options, memory)?;
    Ok((Simulation { network, system, workload }, engine_version))
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use artifact_store::{Blob, NewAction, Options, Publication};
    use serde_json::{Value, json};

    use super::super::{Produced, provenance};
    use super::*;

    /// Records a run whose inputs are not in the store.
    fn record(store: &Store, engine: Value, inputs: &[&str]) -> ActionKey {
        let mut preimage = Preimage::new("run", 1, json!({ "engine": engine }));
        for name in inputs {
            preimage = preimage.input(*name, Digest::of(name.as_bytes()));
        }
        let mut produced = Produced::default();
        produced.output(artifact_store::OutputKind::Blob, run::OUTPUT, b"{}".to_vec());
        let action = NewAction::new(preimage.encode(), produced.record, provenance(Duration::ZERO));
        let key = *action.key();
        let publication =
            Publication { blobs: produced.blobs, action: Some(action), roots: Vec::new(), claim: None };
        store.publish(publication).wait().unwrap();
        key
    }

    #[test]
    fn what_cannot_be_simulated_again_is_refused_with_the_reason() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("store"), &Options::default()).unwrap();
        let builtin = json!({ "kind": "builtin", "semantic_version": 1, "dialect": "astra-sim", "network_model": "congestion_aware" });
        let refused = |key: &ActionKey| recorded_run(&store, key).unwrap_err();

        let gone = record(&store, builtin.clone(), &["et", "network.yml", "system.json"]);
        let error = refused(&gone);
        assert_eq!(error.kind(), ErrorKind::Missing);
        let network = Digest::of(b"network.yml");
        let message = format!("`network.yml`, which the run reads, is damaged or gone: blob {network}");
        assert_eq!(error.message(), message);
        assert!(error.hint_text().unwrap().contains("build the recipe again"));

        let older = record(&store, builtin, &["et"]);
        assert!(refused(&older).message().ends_with("has no input `network.yml`"));
        let external = record(&store, json!({ "kind": "external" }), &[]);
        assert!(refused(&external).message().ends_with("was not simulated by the built-in engine"));
        assert_eq!(runs_of_result(&store, &Blob::new(b"{}".to_vec()).digest()).unwrap().len(), 3);
    }
}

//! Making again what a step gave from the description in its key alone, where that and the content it reads are there:
//! hardware files and simulations. The other steps are described by more than their keys hold; a build makes them again.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use artifact_store::{ActionKey, NewAction, Publication, Store};
use serde_json::Value;

use crate::derivation::{Preimage, StepKind};
use crate::error::Result;
use crate::hw::Document;
use crate::report::RunResult;

use super::recorded::simulation_of;
use super::{Produced, configs, hw, lone, provenance, run};

/// Executes a step again and publishes what it gives. `false` when this version cannot tell from its description what
/// it was, or when what it reads is not there.
///
/// # Errors
/// When the store cannot be read or written, or the step fails, which it did not when it was recorded.
pub fn make_again(store: &Store, key: &ActionKey, cancel: &AtomicBool) -> Result<bool> {
    let _session = store.session()?;
    let Some(encoded) = store.preimage(key)? else { return Ok(false) };
    let Some(preimage) = Preimage::decode(&encoded) else { return Ok(false) };
    let started = Instant::now();
    let produced = match preimage.kind.as_str() {
        kind if kind == StepKind::Hw.as_str() => hardware(store, &preimage)?,
        kind if kind == StepKind::Run.as_str() => simulation(store, key, &preimage, cancel)?,
        _ => None,
    };
    let Some(produced) = produced else { return Ok(false) };
    publish(store, encoded, produced, started.elapsed())?;
    Ok(true)
}

fn publish(store: &Store, encoded: Vec<u8>, produced: Produced, took: Duration) -> Result<()> {
    let action = Some(NewAction::new(encoded, produced.record, provenance(took)));
    Ok(store.publish(Publication { blobs: produced.blobs, action, ..Publication::default() }).wait()?)
}

fn hardware(store: &Store, preimage: &Preimage) -> Result<Option<Produced>> {
    let (Some(file), Some(patches)) =
        (preimage.inputs.get(hw::HARDWARE), preimage.params["patches"].as_object())
    else {
        return Ok(None);
    };
    let Some(bytes) = store.get(&file.0)?.filter(|_| preimage.version == hw::VERSION) else {
        return Ok(None);
    };
    let patches: Vec<(String, Value)> = patches.clone().into_iter().collect();
    let (spec, notices) = Document::parse(&bytes, hw::HARDWARE)?.network_spec(&patches)?;
    Ok(Some(hw::produced(&spec, &notices)))
}

fn simulation(
    store: &Store,
    key: &ActionKey,
    preimage: &Preimage,
    cancel: &AtomicBool,
) -> Result<Option<Produced>> {
    let named = [configs::NETWORK, configs::SYSTEM, super::et::TREE];
    let digests: Vec<_> = named.iter().filter_map(|name| Some(preimage.inputs.get(*name)?.0)).collect();
    // Custom collectives were read from their places, which may hold something else by now.
    let is_custom = preimage.inputs.keys().any(|name| name.starts_with(lone::CUSTOM));
    if preimage.version != run::VERSION
        || is_custom
        || digests.len() < named.len()
        || !store.missing(&digests)?.is_empty()
    {
        return Ok(None);
    }
    if !run::is_builtin(&preimage.params["engine"]) {
        return Ok(None);
    }
    let (simulation, engine_version) = match simulation_of(store, key, preimage) {
        Ok(found) => found,
        Err(e) if e.kind() == crate::ErrorKind::Missing => return Ok(None),
        Err(e) => return Err(e),
    };
    if engine_version != u64::from(astra_engine::SEMANTIC_VERSION) {
        return Ok(None);
    }
    let crate::sim::Simulation { network, system, workload } = &simulation;
    let report =
        astra_engine::simulate_until(network, system, workload, cancel).map_err(run::simulation_error)?;
    Ok(Some(run::produced(&RunResult::from_engine(&report)?)))
}

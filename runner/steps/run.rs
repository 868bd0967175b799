//! Step `run`: configuration files and traces → per-rank times.
//!
//! Reads: `network.yml`, `system.json`, the tree `et` and, where the traces use groups, `comm_groups.json`. Writes:
//! `result.json`. In its key: the digests of those and the identity of the engine: of the built-in one its semantic version
//! with dialect, network model and queues per dimension; of another program what `external` says. Only a simulation in
//! which every rank finished is recorded.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use artifact_store::{ActionRecord, Digest, OutputKind, SharedBytes, Tree, TreeEntry};
use astra_engine::{Network, RemoteMemory, System, Workload};
use serde_json::{Value, json};

use crate::astrasim::{self, NetworkFile, SystemFile, SystemOptions};
use crate::derivation::{Preimage, StepKind};
use crate::error::{Error, ErrorKind, Result};
use crate::et::lower_bundle;
use crate::lint;
use crate::notice::Notice;
use crate::recipe::{self, Engine, EngineKind, Point};
use crate::report::RunResult;

use super::{Context, Inputs, Produced, RanksFinished, Sources, configs, et, external, output_of};

pub(super) const VERSION: u32 = 2;
pub(crate) const OUTPUT: &str = "result.json";

/// What decides the numbers an engine gives.
pub(super) fn engine_identity(engine: &Engine) -> Value {
    let mut identity = json!({
        "kind": "builtin",
        "semantic_version": astra_engine::SEMANTIC_VERSION,
        "dialect": engine.dialect.as_str(),
        "network_model": engine.network.as_str(),
    });
    // Absent from the keys of the runs that were made before there was a choice.
    if engine.queues_per_dimension != Engine::default().queues_per_dimension {
        identity["queues_per_dimension"] = engine.queues_per_dimension.into();
    }
    identity
}

/// Whether an identity is one of the built-in engine.
pub(super) fn is_builtin(identity: &Value) -> bool {
    identity["kind"].as_str() == Some("builtin")
}

/// The inverse of [`engine_identity`], with the semantic version; `None` of an engine that is not the built-in one.
pub(super) fn engine_of(identity: &Value) -> Option<(Engine, u64)> {
    let text = |name: &str| identity[name].as_str();
    if !is_builtin(identity) {
        return None;
    }
    let queues_per_dimension = match &identity["queues_per_dimension"] {
        Value::Null => Engine::default().queues_per_dimension,
        queues => u32::try_from(queues.as_u64()?).ok()?,
    };
    let engine = Engine {
        kind: EngineKind::Builtin,
        network: text("network_model")?.parse().ok()?,
        dialect: text("dialect")?.parse().ok()?,
        queues_per_dimension,
        ..Engine::default()
    };
    Some((engine, identity["semantic_version"].as_u64()?))
}

pub(super) fn preimage(sources: &Sources, point: &Point, inputs: &Inputs) -> Result<Preimage> {
    let engine = match point.engine.kind {
        EngineKind::Builtin => engine_identity(&point.engine),
        EngineKind::AstraSim => external::identity(sources, point)?,
    };
    let params = json!({ "engine": engine });
    let preimage = Preimage::new(StepKind::Run.as_str(), VERSION, params)
        .input(et::TREE, inputs.output(StepKind::Et, et::TREE)?)
        .input(configs::NETWORK, inputs.output(StepKind::Configs, configs::NETWORK)?)
        .input(configs::SYSTEM, inputs.output(StepKind::Configs, configs::SYSTEM)?);
    let preimage = match inputs.optional(StepKind::Et, et::GROUPS) {
        Some(groups) => preimage.input(et::GROUPS, groups),
        None => preimage,
    };
    match point.engine.kind {
        EngineKind::Builtin => Ok(preimage),
        // Always the same, and the built-in engine knows.
        EngineKind::AstraSim => {
            let memory = inputs.output(StepKind::Configs, configs::REMOTE_MEMORY)?;
            Ok(preimage.input(configs::REMOTE_MEMORY, memory))
        }
    }
}

pub(super) fn execute(
    context: &Context,
    point: &Point,
    inputs: &Inputs,
    cancel: &AtomicBool,
    progress: &dyn Fn(RanksFinished),
) -> Result<Produced> {
    let network = context.network(inputs.output(StepKind::Configs, configs::NETWORK)?)?;
    let system = context.system(inputs.output(StepKind::Configs, configs::SYSTEM)?)?;
    let groups = inputs.optional(StepKind::Et, et::GROUPS);
    let workload = workload(context, inputs.output(StepKind::Et, et::TREE)?, groups)?;
    let (network, system) = prepare(&network, &system, &point.engine)?;
    if context.lints() {
        context.notify("traces", linted(point, &network, &system, &workload)?);
    }
    let simulation = Simulation { network: &network, system: &system, workload: &workload };
    let (result, log) = match point.engine.kind {
        EngineKind::Builtin => (simulation.run(point, cancel)?, Vec::new()),
        EngineKind::AstraSim => external::execute(context, point, inputs, simulation, cancel, progress)?,
    };
    let produced = Produced { log, ..produced(&result) };
    context.note_finish(output_of(StepKind::Run, &produced.record, OUTPUT)?, &result);
    Ok(produced)
}

/// The warnings about what is to be simulated, files together.
///
/// # Errors
/// What would fail, stall, or simulate something else than is written.
pub(super) fn linted(
    point: &Point,
    network: &Network,
    system: &System,
    workload: &Workload,
) -> Result<Vec<String>> {
    let findings = lint::lint(network, system, workload);
    let without_groups = matches!(&*point.workload, recipe::Workload::Et(of) if of.groups.is_none());
    let warnings = lint::refuse(&findings).map_err(|error| match lint::misses_groups(&findings) {
        true if without_groups => {
            error.hint("name the file with the communicator groups of these traces in `workload.groups`")
        }
        _ => error,
    })?;
    Ok(warnings.iter().map(Notice::to_string).collect())
}

/// What is simulated.
#[derive(Clone, Copy)]
pub(super) struct Simulation<'a> {
    pub(super) network: &'a Network,
    pub(super) system: &'a System,
    pub(super) workload: &'a Workload,
}

impl Simulation<'_> {
    /// Simulates with the built-in engine.
    pub(super) fn run(self, point: &Point, cancel: &AtomicBool) -> Result<RunResult> {
        let Self { network, system, workload } = self;
        let report =
            astra_engine::simulate_until(network, system, workload, cancel).map_err(|e| match e {
                // No rank or node is to blame, but all of them.
                astra_engine::Error::ClockRange => point.blame(simulation_error(e).key("workload")),
                e => simulation_error(e),
            })?;
        RunResult::from_engine(&report)
    }
}

/// What the step writes.
pub(crate) fn produced(result: &RunResult) -> Produced {
    let mut produced = Produced::default();
    produced.output(OutputKind::Blob, OUTPUT, result.encode());
    produced
}

pub(super) fn read_network(network_yml: &[u8]) -> Result<NetworkFile> {
    Ok(NetworkFile::parse(network_yml, configs::NETWORK)?.0)
}

pub(super) fn read_system(system_json: &[u8]) -> Result<SystemFile> {
    Ok(SystemFile::parse(system_json, configs::SYSTEM)?.0)
}

/// The network and the system that the engine is to simulate, from the configuration files of a build.
pub(super) fn prepare(
    network: &NetworkFile,
    system: &SystemFile,
    engine: &Engine,
) -> Result<(Network, System)> {
    let options =
        SystemOptions { queues_per_dimension: engine.queues_per_dimension, ..SystemOptions::default() };
    prepare_with(network, system, engine, &options, RemoteMemory::None)
}

/// The same with options and remote memory, which only runs of given files have.
pub(super) fn prepare_with(
    network: &NetworkFile,
    system: &SystemFile,
    engine: &Engine,
    options: &SystemOptions,
    memory: RemoteMemory,
) -> Result<(Network, System)> {
    let network = network.network(engine.network);
    if !system.custom.is_empty() {
        let error = Error::input("names files of custom collectives, which are read from their places only");
        return Err(error.in_file(configs::SYSTEM));
    }
    Ok((network, system.system(engine.dialect, options, memory)?))
}

/// Takes over the finish time of a known run.
pub(super) fn recall(context: &Context, record: &ActionRecord) -> Result<()> {
    let digest = output_of(StepKind::Run, record, OUTPUT)?;
    let result = RunResult::decode(&context.content(&digest)?)?;
    context.note_finish(digest, &result);
    Ok(())
}

/// The traces of all ranks with their groups, decoded once.
fn workload(context: &Context, tree: Digest, groups: Option<Digest>) -> Result<Arc<Workload>> {
    context.workloads.get_or((tree, groups), || {
        let tree = Tree::decode(&context.content(&tree)?)?;
        let groups = groups.map(|groups| context.content(&groups)).transpose()?;
        lowered(&tree, groups.as_deref(), |entry| context.content(&entry.digest))
    })
}

/// The traces in a tree, whose distinct files are read once each, with the groups in a file.
pub(super) fn lowered(
    tree: &Tree,
    groups: Option<&[u8]>,
    read: impl Fn(&TreeEntry) -> Result<SharedBytes>,
) -> Result<Workload> {
    let mut positions: HashMap<Digest, u32> = HashMap::new();
    let mut files = Vec::new();
    let mut file_of_rank = vec![0; tree.entries().len()];
    let mut prefix = "trace";
    for entry in tree.entries() {
        let (name, rank) = rank_of(&entry.name, file_of_rank.len())?;
        prefix = name;
        let next = files.len() as u32;
        let file = *positions.entry(entry.digest).or_insert(next);
        if file == next {
            files.push(read(entry)?);
        }
        file_of_rank[rank] = file;
    }
    let workload = lower_bundle(prefix, &files, &file_of_rank, &BTreeMap::new())?;
    let groups = groups.map(|groups| astrasim::read_groups(groups, et::GROUPS)).transpose()?;
    Ok(Workload { groups: groups.unwrap_or_default(), ..workload })
}

/// What the files in a tree of traces are called in front of the rank.
pub(super) fn prefix_of(tree: &Tree) -> Result<&str> {
    let ranks = tree.entries().len();
    tree.entries().first().map_or(Ok("trace"), |entry| rank_of(&entry.name, ranks).map(|(prefix, _)| prefix))
}

/// Prefix and rank of a trace named `<prefix>.<rank>.et`. Names in a tree are unique, so that as many ranks below
/// `ranks` are all of them.
pub(super) fn rank_of(name: &str, ranks: usize) -> Result<(&str, usize)> {
    let parts = name.strip_suffix(".et").and_then(|stem| stem.rsplit_once('.'));
    let parsed = parts.and_then(|(prefix, rank)| Some((prefix, rank.parse().ok()?)));
    parsed.filter(|(_, rank)| *rank < ranks).ok_or_else(|| {
        Error::new(
            ErrorKind::Store,
            format!("`{name}` in a tree of {ranks} traces is not <prefix>.<rank>.et"),
        )
    })
}

/// An engine's error in this crate's terms.
pub fn simulation_error(e: astra_engine::Error) -> Error {
    match e {
        astra_engine::Error::Interrupted => Error::new(ErrorKind::Interrupted, e.to_string()),
        astra_engine::Error::Stalled(stall) => Error::stalled(*stall),
        astra_engine::Error::ClockRange => Error::failed(e.to_string()).hint(
            "a size, duration or delay of the workload is larger than meant, or a bandwidth of the network smaller",
        ),
        e => Error::failed(e.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use astra_engine::{Dialect, NetworkModel};

    use super::*;

    #[test]
    fn the_engine_can_be_read_back_from_a_key() {
        for queues_per_dimension in [1, 4] {
            let engine = Engine {
                network: NetworkModel::CongestionUnaware,
                dialect: Dialect::DeepFlow,
                queues_per_dimension,
                ..Engine::default()
            };
            let version = u64::from(astra_engine::SEMANTIC_VERSION);
            assert_eq!(engine_of(&engine_identity(&engine)), Some((engine, version)));
        }
    }
}

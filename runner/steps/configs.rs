//! Step `configs`: network specification, decisions, rank count → simulator configuration files.
//!
//! Reads: `network-spec.json`. Writes: `network.yml`, `system.json`, `remote_memory.json`. In its key: the digest
//! of the specification, the decision table, the rank count, the choice of dimensions and the overrides of the
//! system file. How the table was decided is not: a policy that decides the same re-runs nothing.

use std::sync::Arc;

use artifact_store::OutputKind;
use astra_policy::Collective;
use serde_json::{Map, Value, json};

use crate::astrasim::{self, ConfigFiles, ConfigRequest, DecisionTable, Layout, SystemOverrides};
use crate::derivation::{Preimage, StepKind};
use crate::error::Result;
use crate::hw::NetworkSpec;
use crate::recipe::{Algorithms, Point};

use super::{Context, Inputs, Produced, hw};

pub(super) const VERSION: u32 = 1;
pub(super) const NETWORK: &str = "network.yml";
pub(super) const SYSTEM: &str = "system.json";
pub(super) const REMOTE_MEMORY: &str = "remote_memory.json";

/// The configuration files of a point on a network.
pub(super) fn files(spec: Arc<NetworkSpec>, point: &Point) -> Result<ConfigFiles> {
    Ok(Decided::of(spec, point)?.files())
}

/// The network of a point and the algorithms decided for it.
struct Decided {
    spec: Arc<NetworkSpec>,
    layout: Layout,
    overrides: SystemOverrides,
    table: DecisionTable,
}

impl Decided {
    fn of(spec: Arc<NetworkSpec>, point: &Point) -> Result<Self> {
        let layout = astrasim::layout(&spec, &request(point)).map_err(|e| e.in_file(&point.hw))?;
        let overrides = overrides(point, &layout)?;
        let table = astrasim::decide(&spec, &layout, &overrides)?;
        Ok(Self { spec, layout, overrides, table })
    }

    fn files(&self) -> ConfigFiles {
        astrasim::write(&self.layout, &self.table, &self.spec.sys_options, &self.overrides)
    }
}

fn request(point: &Point) -> ConfigRequest {
    ConfigRequest {
        ranks: point.workload.ranks(),
        axes: point.layout.axes.clone(),
        flatten_2d: point.layout.flatten_2d,
        ..ConfigRequest::default()
    }
}

/// The recipe's `system` block, and its `policy.collectives` as the algorithm lists they stand for.
fn overrides(point: &Point, layout: &Layout) -> Result<SystemOverrides> {
    let mut keys: Map<String, Value> = point.system.entries().clone();
    for (collective, algorithms) in &point.policy.collectives {
        let list = match algorithms {
            Algorithms::Everywhere(name) => vec![name.clone(); layout.dimensions.len()],
            Algorithms::PerDimension(names) => names.clone(),
        };
        keys.entry(astrasim::algorithm_key(*collective)).or_insert_with(|| list.into());
    }
    SystemOverrides::new(keys)
}

pub(super) fn preimage(context: &Context, point: &Point, inputs: &Inputs) -> Result<Preimage> {
    let spec = inputs.output(StepKind::Hw, hw::OUTPUT)?;
    let decided = Decided::of(context.spec(spec)?, point)?;
    let algorithms: Map<String, Value> = Collective::ALL
        .into_iter()
        .map(|c| (c.name().to_owned(), decided.table.get(c).iter().map(|d| d.algorithm.as_str()).collect()))
        .collect();
    // Algorithm lists are in the table already, whoever decided them.
    let is_algorithm = |key: &str| Collective::ALL.iter().any(|c| astrasim::algorithm_key(*c) == key);
    let mut system = decided.overrides.entries().clone();
    system.retain(|key, _| !is_algorithm(key));
    let params = json!({
        "algorithms": algorithms,
        "layout": *point.layout,
        "ranks": point.workload.ranks(),
        "system": system,
    });
    Ok(Preimage::new(StepKind::Configs.as_str(), VERSION, params).input(hw::OUTPUT, spec))
}

pub(super) fn execute(context: &Context, point: &Point, inputs: &Inputs) -> Result<Produced> {
    let files = files(context.spec(inputs.output(StepKind::Hw, hw::OUTPUT)?)?, point)?;
    let mut produced = Produced::default();
    produced.output(OutputKind::Blob, NETWORK, files.network_yml.into_bytes());
    produced.output(OutputKind::Blob, SYSTEM, files.system_json.into_bytes());
    produced.output(OutputKind::Blob, REMOTE_MEMORY, files.remote_memory_json.into_bytes());
    Ok(produced)
}

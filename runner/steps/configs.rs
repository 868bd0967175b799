//! Step `configs`: network specification, decisions, rank count → simulator configuration files.
//!
//! Reads: `network-spec.json`. Writes: `network.yml`, `system.json`, `remote_memory.json`, and for readers
//! `decisions.json`. In its key: the digest of the specification, the decision table with who decided, the rank count,
//! the choice of dimensions and the overrides of the system file. The table is the same whatever policy decided so, and
//! who decided is not in what the run reads: neither re-runs a simulation.

use std::sync::Arc;

use artifact_store::OutputKind;
use astra_policy::Collective;
use serde_json::json;

use crate::astrasim::{self, ConfigFiles, ConfigRequest, DecisionTable, Layout, SystemOverrides};
use crate::derivation::{Preimage, StepKind};
use crate::error::Result;
use crate::hw::NetworkSpec;
use crate::recipe::Point;

use super::{Context, Inputs, Produced, hw};

pub(super) const VERSION: u32 = 2;
pub(super) const NETWORK: &str = "network.yml";
pub(super) const SYSTEM: &str = "system.json";
pub(super) const REMOTE_MEMORY: &str = "remote_memory.json";
const DECISIONS: &str = "decisions.json";

/// The configuration files of a point on a network.
pub(super) fn files(spec: Arc<NetworkSpec>, point: &Point) -> Result<ConfigFiles> {
    Ok(Decided::of(spec, point)?.files())
}

/// The network of a point and the algorithms decided for it.
struct Decided<'a> {
    spec: Arc<NetworkSpec>,
    layout: Layout,
    system: &'a SystemOverrides,
    table: DecisionTable,
}

impl<'a> Decided<'a> {
    fn of(spec: Arc<NetworkSpec>, point: &'a Point) -> Result<Self> {
        let decide = || {
            let layout = astrasim::layout(&spec, &request(point))?;
            astrasim::check_network(&layout, point.engine.network)?;
            let dialect = point.engine.dialect;
            let table = astrasim::decide(&spec, &layout, dialect, &point.policy.collectives, &point.system)?;
            astrasim::check_algorithms(&layout, &table, dialect, point.workload.collectives(), &point.hw)?;
            Ok((layout, table))
        };
        let (layout, table) = decide().map_err(|error| point.blame(error))?;
        Ok(Self { spec, layout, system: &point.system, table })
    }

    fn files(&self) -> ConfigFiles {
        astrasim::write(&self.layout, &self.table, &self.spec.sys_options, self.system)
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

pub(super) fn preimage(context: &Context, point: &Point, inputs: &Inputs) -> Result<Preimage> {
    let spec = inputs.output(StepKind::Hw, hw::OUTPUT)?;
    let decided = Decided::of(context.spec(spec)?, point)?;
    // Algorithm lists are in the table already, whoever decided them.
    let is_algorithm = |key: &str| Collective::ALL.iter().any(|c| astrasim::algorithm_key(*c) == key);
    let mut system = decided.system.entries().clone();
    system.retain(|key, _| !is_algorithm(key));
    let params = json!({
        "decisions": decided.table,
        "layout": *point.layout,
        "ranks": point.workload.ranks(),
        "system": system,
    });
    Ok(Preimage::new(StepKind::Configs.as_str(), VERSION, params).input(hw::OUTPUT, spec))
}

pub(super) fn execute(context: &Context, point: &Point, inputs: &Inputs) -> Result<Produced> {
    let decided = Decided::of(context.spec(inputs.output(StepKind::Hw, hw::OUTPUT)?)?, point)?;
    let files = decided.files();
    let mut produced = Produced::default();
    produced.output(OutputKind::Blob, NETWORK, files.network_yml.into_bytes());
    produced.output(OutputKind::Blob, SYSTEM, files.system_json.into_bytes());
    produced.output(OutputKind::Blob, REMOTE_MEMORY, files.remote_memory_json.into_bytes());
    produced.output(OutputKind::Blob, DECISIONS, decided.table.to_bytes());
    Ok(produced)
}

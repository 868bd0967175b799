//! Step `configs`: network specification, decisions, rank count → simulator configuration files.
//!
//! Reads: `network-spec.json`, and of a graph `placement.json`, which has its rank count and its axes. Writes:
//! `network.yml`, `system.json`, `remote_memory.json`, and for readers `decisions.json`. In its key: the digest of the
//! specification, the decision table with who decided, the rank count, the choice of dimensions and the overrides of the
//! system file. The table is the same whatever policy decided so, and
//! who decided is not in what the run reads: neither re-runs a simulation.

use std::sync::Arc;

use artifact_store::{OutputKind, Store};
use astra_policy::Collective;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::astrasim::{self, ConfigFiles, ConfigRequest, DecisionTable, Layout, SystemOverrides};
use crate::derivation::{Preimage, StepKind};
use crate::error::{Error, Result};
use crate::hw::{Axis, NetworkSpec};
use crate::recipe::{Point, Workload};

use super::placement::Placement;
use super::{Context, Inputs, Produced, et, hw};

pub(super) const VERSION: u32 = 2;
pub(super) const NETWORK: &str = "network.yml";
pub(super) const SYSTEM: &str = "system.json";
pub(super) const REMOTE_MEMORY: &str = "remote_memory.json";
const DECISIONS: &str = "decisions.json";

/// The configuration files of a point on a network; `placement` says how many ranks there are where the recipe does not.
pub(super) fn files(
    spec: Arc<NetworkSpec>,
    point: &Point,
    placement: Option<&Placement>,
) -> Result<ConfigFiles> {
    Ok(Decided::of(spec, point, placement)?.files())
}

/// The network of a point and the algorithms decided for it.
struct Decided<'a> {
    spec: Arc<NetworkSpec>,
    request: ConfigRequest,
    layout: Layout,
    system: &'a SystemOverrides,
    table: DecisionTable,
}

impl<'a> Decided<'a> {
    fn of(spec: Arc<NetworkSpec>, point: &'a Point, placement: Option<&Placement>) -> Result<Self> {
        let request = request(&spec, point, placement).map_err(|error| point.blame(error))?;
        let decide = || {
            let layout = astrasim::layout(&spec, &request)?;
            astrasim::check_network(&layout, point.engine.network)?;
            let dialect = point.engine.dialect;
            let table = astrasim::decide(&spec, &layout, dialect, &point.policy.collectives, &point.system)?;
            astrasim::check_algorithms(&layout, &table, dialect, point.workload.collectives(), &point.hw)?;
            Ok((layout, table))
        };
        let (layout, table) = decide().map_err(|error| point.blame(error))?;
        Ok(Self { spec, request, layout, system: &point.system, table })
    }

    fn files(&self) -> ConfigFiles {
        astrasim::write(&self.layout, &self.table, &self.spec.sys_options, self.system)
    }
}

/// What a point asks of the hardware.
fn request(spec: &NetworkSpec, point: &Point, placement: Option<&Placement>) -> Result<ConfigRequest> {
    match (&*point.workload, point.workload.ranks(), placement) {
        (Workload::Graph(file), _, Some(placement)) => {
            placement.request(&file.graph, &point.layout, &spec.parallelism)
        }
        (_, Some(ranks), _) => Ok(ConfigRequest {
            ranks,
            axes: point.layout.axes.clone(),
            flatten_2d: point.layout.flatten_2d,
            ..ConfigRequest::default()
        }),
        _ => Err(Error::failed("nothing says how many ranks there are")),
    }
}

/// How the ranks of a point's graph lie on hardware.
fn placement(context: &Context, inputs: &Inputs) -> Result<Option<Placement>> {
    let digest = inputs.optional(StepKind::Et, et::PLACEMENT);
    digest.map(|digest| Placement::decode(&context.content(&digest)?)).transpose()
}

pub(super) fn preimage(context: &Context, point: &Point, inputs: &Inputs) -> Result<Preimage> {
    let spec = inputs.output(StepKind::Hw, hw::OUTPUT)?;
    let decided = Decided::of(context.spec(spec)?, point, placement(context, inputs)?.as_ref())?;
    // Algorithm lists are in the table already, whoever decided them.
    let is_algorithm = |key: &str| Collective::ALL.iter().any(|c| astrasim::algorithm_key(*c) == key);
    let mut system = decided.system.entries().clone();
    system.retain(|key, _| !is_algorithm(key));
    let ConfigRequest { ranks, axes, flatten_2d, synthetic_pair, .. } = &decided.request;
    let mut params = json!({
        "decisions": decided.table,
        "layout": { "axes": axes, "flatten_2d": flatten_2d },
        "ranks": ranks,
        "system": system,
    });
    if let Some(preferred) = synthetic_pair {
        params["layout"]["synthetic_pair"] = json!(preferred);
    }
    Ok(Preimage::new(StepKind::Configs.as_str(), VERSION, params).input(hw::OUTPUT, spec))
}

pub(super) fn execute(context: &Context, point: &Point, inputs: &Inputs) -> Result<Produced> {
    let spec = context.spec(inputs.output(StepKind::Hw, hw::OUTPUT)?)?;
    let decided = Decided::of(spec, point, placement(context, inputs)?.as_ref())?;
    Ok(produced(decided.files(), &decided.table))
}

/// What the step writes.
fn produced(files: ConfigFiles, table: &DecisionTable) -> Produced {
    let mut produced = Produced::default();
    produced.output(OutputKind::Blob, NETWORK, files.network_yml.into_bytes());
    produced.output(OutputKind::Blob, SYSTEM, files.system_json.into_bytes());
    produced.output(OutputKind::Blob, REMOTE_MEMORY, files.remote_memory_json.into_bytes());
    produced.output(OutputKind::Blob, DECISIONS, table.to_bytes());
    produced
}

/// What the parameters in a key say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    decisions: DecisionTable,
    layout: DescribedLayout,
    ranks: u32,
    system: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DescribedLayout {
    axes: Option<Vec<Axis>>,
    flatten_2d: bool,
    synthetic_pair: Option<Vec<Axis>>,
}

/// Makes the files again from the description in their key; `None` when this version cannot tell from it what they were, or
/// when the store does not have the network.
pub(super) fn again(store: &Store, preimage: &Preimage) -> Result<Option<Produced>> {
    let spec = preimage.inputs.get(hw::OUTPUT).filter(|_| preimage.version == VERSION);
    let (Some(spec), Ok(described)) = (spec, Described::deserialize(&preimage.params)) else {
        return Ok(None);
    };
    let Some(spec) = store.get(&spec.0)? else { return Ok(None) };
    let spec = NetworkSpec::from_bytes(&spec)?;
    let Described { decisions, layout, ranks, system } = described;
    let DescribedLayout { axes, flatten_2d, synthetic_pair } = layout;
    let request = ConfigRequest { ranks, axes, flatten_2d, synthetic_pair, ..ConfigRequest::default() };
    let layout = astrasim::layout(&spec, &request)?;
    let files = astrasim::write(&layout, &decisions, &spec.sys_options, &SystemOverrides::new(system)?);
    Ok(Some(produced(files, &decisions)))
}

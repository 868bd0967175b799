//! Step `configs`: network specification, decisions, rank count → simulator configuration files.
//!
//! Reads: `network-spec.json`, `decisions.json`, and of existing traces and graphs `collectives.json` and
//! `placement.json`. Writes: `network.yml`, `system.json`, `remote_memory.json`. In its key: the digest of the
//! specification, the algorithms and numbers of chunks decided for this workload, the rank count, the choice of dimensions
//! and the overrides of the system file. Who decided, why, and what other workloads are told is not in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use artifact_store::{Digest, OutputKind, Store};
use astra_policy::Collective;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::astrasim::{
    self, AlgorithmLists, ConfigFiles, ConfigRequest, DecidedBy, Decision, Layout, SystemOverrides,
};
use crate::decision::{DecisionTable, Demand, Settled, settle};
use crate::derivation::{DemandFrom, Preimage, StepKind};
use crate::error::Result;
use crate::hw::{Axis, NetworkSpec, SysOptions};
use crate::recipe::{Point, PolicyPlugin};

use super::demand::demand_from;
use super::placement::{self, Placement};
use super::{Context, Inputs, Produced, hw, policy};

pub(super) const VERSION: u32 = 3;
pub(super) const NETWORK: &str = "network.yml";
pub(super) const SYSTEM: &str = "system.json";
pub(super) const REMOTE_MEMORY: &str = "remote_memory.json";

/// The network of a point and what is decided for it.
pub(super) struct Decided<'a> {
    options: SysOptions,
    request: ConfigRequest,
    layout: Layout,
    system: &'a SystemOverrides,
    settled: Settled,
    /// What is worth saying of a policy that has nothing to decide.
    unasked: Option<String>,
}

impl<'a> Decided<'a> {
    pub(super) fn of(
        spec: &NetworkSpec,
        point: &'a Point,
        placement: Option<&Placement>,
        demand: &Demand,
        table: &DecisionTable,
    ) -> Result<Self> {
        let request = placement::request(spec, point, placement)?;
        let layout = placement::layout(spec, point, &request)?;
        let situation = policy::situation(spec, &layout, point);
        let settled = settle(&situation, demand, table).map_err(|error| point.blame(error))?;
        let unasked = unasked(&situation.fixed_by(demand, table), demand, point);
        // Of existing traces and graphs the lint knows more: groups, and the dimensions that are involved.
        let used = match demand_from(point) {
            DemandFrom::Recipe => policy::collectives(demand.questions()),
            DemandFrom::Traces => Default::default(),
        };
        astrasim::check_algorithms(&layout, &settled.lists, point.engine.dialect, used, &point.hw)
            .map_err(|error| point.blame(error))?;
        let options = with_numbers(spec.sys_options, settled.dataset_splits, settled.active_chunks);
        Ok(Self { options, request, layout, system: &point.system, settled, unasked })
    }

    pub(super) fn files(&self) -> ConfigFiles {
        astrasim::write(&self.layout, &self.settled.lists, &self.options, self.system)
    }

    /// What is worth saying of the decisions, for a reader.
    pub(super) fn notices(&self) -> impl Iterator<Item = String> {
        self.lost().into_iter().chain(self.unasked.clone())
    }

    /// What one system file cannot say of the decisions, if anything.
    fn lost(&self) -> Option<String> {
        let losses = &self.settled.losses;
        let first = losses.first()?;
        let others = match losses.len() - 1 {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        Some(format!(
            "{first}{others}: a system file has one list of algorithms for each collective and one number of chunks, and gets \
             those by which the most bytes go; `show --decisions` shows all"
        ))
    }

    fn params(&self) -> Value {
        // Algorithm lists are among the decisions already.
        let is_algorithm = |key: &str| Collective::ALL.iter().any(|c| astrasim::algorithm_key(*c) == key);
        let mut system = self.system.entries().clone();
        system.retain(|key, _| !is_algorithm(key));
        let names = |c: &Collective| {
            let names: Vec<&str> = self.settled.lists.get(*c).iter().map(|d| d.algorithm.as_str()).collect();
            (c.name().to_owned(), json!(names))
        };
        let mut decisions: serde_json::Map<String, Value> = Collective::ALL.iter().map(names).collect();
        let numbers =
            [("active_chunks", self.settled.active_chunks), ("dataset_splits", self.settled.dataset_splits)];
        decisions.extend(numbers.into_iter().filter_map(|(name, n)| Some((name.to_owned(), n?.into()))));
        let ConfigRequest { ranks, axes, flatten_2d, synthetic_pair, .. } = &self.request;
        let mut params = json!({
            "decisions": decisions,
            "layout": { "axes": axes, "flatten_2d": flatten_2d },
            "ranks": ranks,
            "system": system,
        });
        if let Some(preferred) = synthetic_pair {
            params["layout"]["synthetic_pair"] = json!(preferred);
        }
        params
    }
}

/// That a policy which the recipe names has nothing to decide. The default may be meant by who names none, so it is not told.
fn unasked(fixed_by: &BTreeSet<DecidedBy>, demand: &Demand, point: &Point) -> Option<String> {
    if fixed_by.is_empty() || point.policy.plugin == PolicyPlugin::default() {
        return None;
    }
    let is_recipe = |by: &DecidedBy| matches!(by, DecidedBy::SystemOverride | DecidedBy::RecipePolicy);
    let fixing = match (fixed_by.iter().any(is_recipe), fixed_by.iter().all(is_recipe)) {
        (_, true) => "the recipe fixes".to_owned(),
        (true, false) => format!("the recipe and {} fix", point.hw),
        (false, _) => format!("{} fixes", point.hw),
    };
    let collectives = policy::collectives(demand.questions());
    let names: Vec<&str> = collectives.into_iter().map(Collective::name).collect();
    let plugin = point.policy.plugin.as_str();
    Some(format!("`{plugin}` is not asked: {fixing} the algorithms of {}", names.join(", ")))
}

/// The options of the hardware file, with numbers of chunks where it says none.
fn with_numbers(options: SysOptions, dataset_splits: Option<u32>, active_chunks: Option<u32>) -> SysOptions {
    SysOptions {
        preferred_dataset_splits: options.preferred_dataset_splits.or(dataset_splits),
        active_chunks_per_dimension: options.active_chunks_per_dimension.or(active_chunks),
        ..options
    }
}

/// The digest of the specification, and what is decided for a point on it.
fn decided<'a>(context: &Context, point: &'a Point, inputs: &Inputs) -> Result<(Digest, Decided<'a>)> {
    let spec = inputs.output(StepKind::Hw, hw::OUTPUT)?;
    let table: Arc<DecisionTable> = context.table(inputs.output(StepKind::Policy, policy::DECISIONS)?)?;
    let demand = context.demand(point, inputs)?;
    let placement = Placement::find(context, inputs)?;
    Ok((spec, Decided::of(&*context.spec(spec)?, point, placement.as_ref(), &demand, &table)?))
}

pub(super) fn preimage(context: &Context, point: &Point, inputs: &Inputs) -> Result<Preimage> {
    let (spec, decided) = decided(context, point, inputs)?;
    // Said here, because it is no less so when the files are known.
    context.notify("policy", decided.notices());
    Ok(Preimage::new(StepKind::Configs.as_str(), VERSION, decided.params()).input(hw::OUTPUT, spec))
}

pub(super) fn execute(context: &Context, point: &Point, inputs: &Inputs) -> Result<Produced> {
    Ok(produced(decided(context, point, inputs)?.1.files()))
}

/// What the step writes.
fn produced(files: ConfigFiles) -> Produced {
    let mut produced = Produced::default();
    produced.output(OutputKind::Blob, NETWORK, files.network_yml.into_bytes());
    produced.output(OutputKind::Blob, SYSTEM, files.system_json.into_bytes());
    produced.output(OutputKind::Blob, REMOTE_MEMORY, files.remote_memory_json.into_bytes());
    produced
}

/// What the parameters in a key say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    decisions: DescribedDecisions,
    layout: DescribedLayout,
    ranks: u32,
    system: Map<String, Value>,
}

#[derive(Deserialize)]
struct DescribedDecisions {
    active_chunks: Option<u32>,
    dataset_splits: Option<u32>,
    /// By the name of the collective.
    #[serde(flatten)]
    lists: BTreeMap<String, Vec<String>>,
}

impl DescribedDecisions {
    /// The lists, as far as they are written. `None` when one is missing.
    fn lists(&self) -> Option<AlgorithmLists> {
        let all_there = Collective::ALL.iter().all(|collective| self.lists.contains_key(collective.name()));
        // Who decided is neither in the key nor in the files.
        let decision = |name: &String| Decision {
            algorithm: name.clone(),
            decided_by: DecidedBy::Policy,
            reason: String::new(),
        };
        let of = |collective: Collective| Ok(self.lists[collective.name()].iter().map(decision).collect());
        all_there.then(|| AlgorithmLists::of(of).ok())?
    }
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
    let Described { decisions, layout, ranks, system } = described;
    let (Some(spec), Some(lists)) = (store.get(&spec.0)?, decisions.lists()) else { return Ok(None) };
    let spec = NetworkSpec::from_bytes(&spec)?;
    let options = with_numbers(spec.sys_options, decisions.dataset_splits, decisions.active_chunks);
    let DescribedLayout { axes, flatten_2d, synthetic_pair } = layout;
    let request = ConfigRequest { ranks, axes, flatten_2d, synthetic_pair, ..ConfigRequest::default() };
    let layout = astrasim::layout(&spec, &request)?;
    let files = astrasim::write(&layout, &lists, &options, &SystemOverrides::new(system)?);
    Ok(Some(produced(files)))
}

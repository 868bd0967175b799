//! The decision table: which algorithm each collective uses on each written dimension, and who decided.
//!
//! A value of its own between the policy and the configuration files, in canonical form.

use std::collections::BTreeMap;

use astra_engine::Dialect;
use astra_policy::Collective;
use serde::{Deserialize, Serialize};

use super::system_keys::algorithm_key;
use super::{Layout, SystemOverrides, WrittenDimension};
use crate::algorithm;
use crate::hw::NetworkSpec;
use crate::policy;
use crate::{Error, Result};

/// Version of the canonical form.
pub const TABLE_VERSION: u32 = 1;

/// Who decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecidedBy {
    /// The user fixed the whole list in the recipe's `system` block.
    SystemOverride,
    /// The user fixed it in the recipe's `policy` section.
    RecipePolicy,
    /// The user fixed it for this dimension in the hardware file.
    DimensionOverride,
    /// The user chose it for this collective everywhere in the hardware file.
    GlobalChoice,
    /// The policy, by its own rule.
    Policy,
}

/// The algorithm of one collective on one dimension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Name as in the system file.
    pub algorithm: String,
    /// Who decided.
    pub decided_by: DecidedBy,
    /// Why, for a reader.
    pub reason: String,
}

/// The algorithms of a run: per collective one decision for each written dimension, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionTable {
    /// Version of this form: [`TABLE_VERSION`].
    pub version: u32,
    /// For all-reduce.
    pub all_reduce: Vec<Decision>,
    /// For all-gather.
    pub all_gather: Vec<Decision>,
    /// For reduce-scatter.
    pub reduce_scatter: Vec<Decision>,
    /// For all-to-all.
    pub all_to_all: Vec<Decision>,
}

impl DecisionTable {
    /// The decisions for a collective.
    pub fn get(&self, collective: Collective) -> &[Decision] {
        match collective {
            Collective::AllReduce => &self.all_reduce,
            Collective::AllGather => &self.all_gather,
            Collective::ReduceScatter => &self.reduce_scatter,
            Collective::AllToAll => &self.all_to_all,
        }
    }

    /// The canonical bytes: compact JSON in a fixed key order.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a struct of strings and numbers has a JSON form")
    }

    /// Reads canonical bytes back.
    ///
    /// # Errors
    ///
    /// Bytes that are not a decision table of this version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let table: Self = serde_json::from_slice(bytes)
            .map_err(|error| Error::input(format!("not a decision table: {error}")))?;
        if table.version != TABLE_VERSION {
            let message = format!("decision table of version {}, expected {TABLE_VERSION}", table.version);
            return Err(Error::input(message));
        }
        Ok(table)
    }
}

/// Algorithms that a recipe fixes for one collective.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Algorithms {
    /// The same on every network dimension.
    Everywhere(String),
    /// One for each network dimension, fastest-varying first.
    PerDimension(Vec<String>),
}

/// What a recipe's `policy.collectives` fixes.
pub type PolicyChoices = BTreeMap<Collective, Algorithms>;

/// The algorithms of a run: a list in the recipe's `system` block decides first, then the recipe's
/// `policy.collectives`, then what the hardware file fixes, then the default policy, which knows the algorithms that the
/// simulator of the dialect has.
///
/// # Errors
///
/// A list of the recipe with another length than there are dimensions, with its key.
pub fn decide(
    spec: &NetworkSpec,
    layout: &Layout,
    dialect: Dialect,
    chosen: &PolicyChoices,
    overrides: &SystemOverrides,
) -> Result<DecisionTable> {
    let decisions = |collective| {
        if let Some(list) = overrides.algorithms(collective) {
            return fixed(DecidedBy::SystemOverride, collective, list, layout);
        }
        match chosen.get(&collective) {
            Some(Algorithms::Everywhere(name)) => {
                let list = vec![name.clone(); layout.dimensions.len()];
                fixed(DecidedBy::RecipePolicy, collective, list, layout)
            }
            Some(Algorithms::PerDimension(list)) => {
                fixed(DecidedBy::RecipePolicy, collective, list.clone(), layout)
            }
            None => {
                let decide = |dimension| on_dimension(spec, dimension, dialect, collective);
                Ok(layout.dimensions.iter().map(decide).collect())
            }
        }
    };
    Ok(DecisionTable {
        version: TABLE_VERSION,
        all_reduce: decisions(Collective::AllReduce)?,
        all_gather: decisions(Collective::AllGather)?,
        reduce_scatter: decisions(Collective::ReduceScatter)?,
        all_to_all: decisions(Collective::AllToAll)?,
    })
}

/// What the hardware file fixes for a dimension, else for the collective, else the policy's own rule.
fn on_dimension(
    spec: &NetworkSpec,
    dimension: &WrittenDimension,
    dialect: Dialect,
    collective: Collective,
) -> Decision {
    if let Some(fixed) = dimension.collectives.get(collective) {
        let reason = format!("override of dimension `{}` for {collective}", dimension.id);
        return Decision { algorithm: fixed.to_owned(), decided_by: DecidedBy::DimensionOverride, reason };
    }
    if let Some(global) = spec.collectives.get(collective) {
        let reason = format!("chosen for every {collective}");
        return Decision { algorithm: global.to_owned(), decided_by: DecidedBy::GlobalChoice, reason };
    }
    let topology = policy::topology(dimension.link.topology);
    let (algorithm, reason) = astra_policy_topology::default_for(policy::dialect(dialect), topology);
    Decision { algorithm: algorithm.name().to_owned(), decided_by: DecidedBy::Policy, reason }
}

/// A list of the recipe, one algorithm for each dimension.
fn fixed(
    decided_by: DecidedBy,
    collective: Collective,
    list: Vec<String>,
    layout: &Layout,
) -> Result<Vec<Decision>> {
    let key = recipe_key(decided_by, collective);
    // An algorithm over all ranks ends the list: the simulator reads no further.
    let complete = list.len() == layout.dimensions.len()
        || list.len() < layout.dimensions.len()
            && list
                .last()
                .is_some_and(|last| algorithm::parse(last).is_ok_and(|last| last.spans_all_ranks()));
    if !complete {
        let names: Vec<&str> = layout.dimensions.iter().map(|d| d.link.topology.as_str()).collect();
        let message = format!(
            "{} algorithms for {} dimensions ({}); the simulator would drop the rest",
            list.len(),
            names.len(),
            names.join(", ")
        );
        return Err(Error::input(message).key(key).hint("give one algorithm per dimension"));
    }
    let reason = format!("`{key}` of the recipe");
    let decision = |algorithm| Decision { algorithm, decided_by, reason: reason.clone() };
    Ok(list.into_iter().map(decision).collect())
}

/// The key of a recipe with which its author decided.
pub(super) fn recipe_key(decided_by: DecidedBy, collective: Collective) -> String {
    match decided_by {
        DecidedBy::SystemOverride => format!("system.{}", algorithm_key(collective)),
        _ => format!("policy.collectives.{collective}"),
    }
}

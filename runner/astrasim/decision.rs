//! The decision table: which algorithm each collective uses on each written dimension, and who decided.
//!
//! A value of its own between the policy and the configuration files, in canonical form.

use std::collections::BTreeMap;

use astra_engine::Dialect;
use astra_policy::{Choice, Collective, DecidedBy, Request};
use serde::{Deserialize, Serialize};

use super::system_keys::algorithm_key;
use super::{Layout, SystemOverrides};
use crate::algorithm;
use crate::hw::NetworkSpec;
use crate::{Error, Result};

/// Version of the canonical form.
pub const TABLE_VERSION: u32 = 1;

/// The algorithm of one collective on one dimension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Name as in the system file.
    pub algorithm: String,
    /// Who decided.
    #[serde(with = "DecidedByName")]
    pub decided_by: DecidedBy,
    /// Why, for a reader.
    pub reason: String,
}

/// Serde names of [`DecidedBy`].
#[derive(Serialize, Deserialize)]
#[serde(remote = "DecidedBy", rename_all = "snake_case")]
enum DecidedByName {
    SystemOverride,
    RecipePolicy,
    DimensionOverride,
    GlobalChoice,
    Policy,
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
/// `policy.collectives`, then the default policy, which knows what the hardware file fixes and which algorithms the
/// simulator of the dialect has.
///
/// # Errors
///
/// A list of the recipe with another length than there are dimensions, with its key.
pub fn decide(
    spec: &NetworkSpec,
    layout: &Layout,
    dialect: Dialect,
    policy: &PolicyChoices,
    overrides: &SystemOverrides,
) -> Result<DecisionTable> {
    let decisions = |collective| {
        if let Some(list) = overrides.algorithms(collective) {
            return fixed(DecidedBy::SystemOverride, collective, list, layout);
        }
        match policy.get(&collective) {
            Some(Algorithms::Everywhere(name)) => {
                let list = vec![name.clone(); layout.dimensions.len()];
                fixed(DecidedBy::RecipePolicy, collective, list, layout)
            }
            Some(Algorithms::PerDimension(list)) => {
                fixed(DecidedBy::RecipePolicy, collective, list.clone(), layout)
            }
            None => {
                let choices = astra_policy_topology::decide(&request(spec, layout, dialect, collective));
                Ok(choices.into_iter().map(Decision::from).collect())
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

impl From<Choice> for Decision {
    fn from(choice: Choice) -> Self {
        Self { algorithm: choice.algorithm, decided_by: choice.decided_by, reason: choice.reason }
    }
}

fn request(spec: &NetworkSpec, layout: &Layout, dialect: Dialect, collective: Collective) -> Request {
    let dimensions = layout.dimensions.iter().map(|dimension| astra_policy::Dimension {
        id: dimension.id.clone(),
        topology: dimension.link.topology.as_str().to_owned(),
        npus: dimension.link.npus,
        bandwidth_gib_per_s: dimension.link.bandwidth.0,
        latency_ns: dimension.link.latency_ns,
        fixed: dimension.collectives.get(collective).map(str::to_owned),
    });
    Request {
        collective,
        dialect: match dialect {
            Dialect::AstraSim => astra_policy::Dialect::AstraSim,
            Dialect::DeepFlow => astra_policy::Dialect::DeepFlow,
        },
        global: spec.collectives.get(collective).map(str::to_owned),
        dimensions: dimensions.collect(),
    }
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

//! Which algorithm each collective uses on each written dimension, and who decided.
//!
//! What the user has fixed and what is the default; policies are asked elsewhere. A value of its own between decisions and
//! the configuration files.

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

/// Who decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
    /// The default, by the topology of the dimension: no policy was asked, or it had no opinion.
    Default,
}

impl DecidedBy {
    /// The name in decision tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SystemOverride => "system_override",
            Self::RecipePolicy => "recipe_policy",
            Self::DimensionOverride => "dimension_override",
            Self::GlobalChoice => "global_choice",
            Self::Policy => "policy",
            Self::Default => "default",
        }
    }
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlgorithmLists([Vec<Decision>; 4]);

impl AlgorithmLists {
    /// The lists that `f` gives for each collective.
    ///
    /// # Errors
    /// The first error of `f`.
    pub fn of(mut f: impl FnMut(Collective) -> Result<Vec<Decision>>) -> Result<Self> {
        let mut lists: [Vec<Decision>; 4] = Default::default();
        for collective in Collective::ALL {
            lists[collective.number() as usize] = f(collective)?;
        }
        Ok(Self(lists))
    }

    /// The decisions for a collective.
    pub fn get(&self, collective: Collective) -> &[Decision] {
        &self.0[collective.number() as usize]
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

/// The algorithms of a collective without a policy: a list in the recipe's `system` block decides first, then the recipe's
/// `policy.collectives`, then what the hardware file fixes, then the default, which knows the algorithms that the
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
    collective: Collective,
) -> Result<Vec<Decision>> {
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
}

/// What the hardware file fixes for a dimension, else for the collective, else the default.
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
    Decision { algorithm: algorithm.name().to_owned(), decided_by: DecidedBy::Default, reason }
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

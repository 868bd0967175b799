//! One recipe under several policies: what each decides, what it predicts, how long it takes, and what that is beside the
//! best.
//!
//! Every policy is an ordinary build under a name of its own, so that a comparison that is made again executes nothing.

use artifact_store::Store;
use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};
use crate::recipe::{PolicyConfig, PolicyPlugin, Recipe};
use crate::steps::{DecisionReader, PointDecision};

use super::Event;
use super::build::{BuildOptions, build};

/// A policy to compare, with its configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// As the user names it.
    pub name: String,
    /// The policy.
    pub plugin: PolicyPlugin,
    /// Its configuration.
    pub config: Option<PolicyConfig>,
}

/// What came of the points of a recipe under several policies.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The names of the policies, in their order.
    pub policies: Vec<String>,
    /// The points, in the order of the recipe.
    pub points: Vec<ComparedPoint>,
    /// What the builds had to say, each thing once.
    pub notices: Vec<String>,
}

/// A point under every policy.
#[derive(Clone, Debug)]
pub struct ComparedPoint {
    /// Its name.
    pub name: String,
    /// In the order of the policies.
    pub outcomes: Vec<UnderPolicy>,
    /// What regret is counted from: the time under `best` when that is compared, else the shortest. `None` when there is none.
    pub least_ns: Option<u64>,
}

/// A point under one policy.
#[derive(Clone, Debug)]
pub struct UnderPolicy {
    /// What was decided.
    pub decisions: Vec<PointDecision>,
    /// When the last rank finished; `None` when it failed.
    pub finish_ns: Option<u64>,
    /// Why it failed.
    pub error: Option<String>,
    /// Whether the network model makes something look free that is not: `direct` without congestion where links are shared.
    pub looks_free: bool,
}

impl UnderPolicy {
    /// What the policy predicts of the point: of one collective that is all there is.
    pub fn predicted_ns(&self) -> Option<f64> {
        match self.decisions.as_slice() {
            [only] => only.row.predicted_ns,
            _ => None,
        }
    }
}

impl ComparedPoint {
    /// How much longer the point takes under a policy than it could, as a part of that; `None` where one has no result.
    pub fn regret(&self, policy: usize) -> Option<f64> {
        let (finish, least) = (self.outcomes.get(policy)?.finish_ns?, self.least_ns?);
        Some(finish as f64 / least as f64 - 1.0)
    }
}

/// Regret over all points that have one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Regret {
    /// How many points.
    pub points: usize,
    /// The middle one.
    pub median: f64,
    /// The largest.
    pub max: f64,
}

impl Comparison {
    /// Regret of a policy over the points; `None` when none has a result.
    pub fn regret(&self, policy: usize) -> Option<Regret> {
        let mut regrets: Vec<f64> = self.points.iter().filter_map(|point| point.regret(policy)).collect();
        regrets.sort_by(f64::total_cmp);
        let (max, median) = (*regrets.last()?, regrets[(regrets.len() - 1) / 2]);
        Some(Regret { points: regrets.len(), median, max })
    }
}

/// Builds a recipe under each of the policies.
///
/// # Errors
/// A recipe that sweeps its policy; a policy that cannot be found; what keeps a build from being made. What fails in a
/// point is part of the comparison.
pub fn compare(
    store: &Store,
    recipe: &Recipe,
    policies: &[Compared],
    best: &str,
    options: &BuildOptions<'_>,
    sink: &mut dyn FnMut(Event<'_>),
) -> Result<Comparison> {
    let mut comparison = Comparison { policies: Vec::new(), points: Vec::new(), notices: Vec::new() };
    for policy in policies {
        let under = recipe.under_policy(&policy.name, &policy.plugin, policy.config.as_ref())?;
        let outcome = build(store, &under, options, sink)?;
        if outcome.interrupted {
            return Err(Error::new(ErrorKind::Interrupted, "interrupted; finished steps are kept"));
        }
        let mut reader = DecisionReader::new(store);
        for (index, (point, keys)) in outcome.points.iter().zip(outcome.index.keys()).enumerate() {
            if comparison.points.len() == index {
                let name =
                    if outcome.axes.is_empty() { recipe.name().to_owned() } else { point.row.name.clone() };
                comparison.points.push(ComparedPoint { name, outcomes: Vec::new(), least_ns: None });
            }
            comparison.points[index].outcomes.push(UnderPolicy {
                decisions: reader.of_point(&keys)?,
                finish_ns: point.row.finish_ns,
                error: point.error.as_ref().map(ToString::to_string),
                looks_free: reader.direct_looks_free(&keys)?,
            });
        }
        for notice in outcome.notices {
            if !comparison.notices.contains(&notice) {
                comparison.notices.push(notice);
            }
        }
        comparison.policies.push(policy.name.clone());
    }
    let best = comparison.policies.iter().position(|name| name == best);
    for point in &mut comparison.points {
        point.least_ns = least_ns(&point.outcomes, best);
    }
    Ok(comparison)
}

/// What regret is counted from. Where `best` is compared and failed it is not known: the shortest of the others is no least.
fn least_ns(outcomes: &[UnderPolicy], best: Option<usize>) -> Option<u64> {
    match best {
        Some(best) => outcomes.get(best)?.finish_ns,
        None => outcomes.iter().filter_map(|outcome| outcome.finish_ns).min(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_best_failed_nothing_stands_in_for_it() {
        let [slow, fast, failed] = [Some(30), Some(20), None].map(|finish_ns| UnderPolicy {
            decisions: Vec::new(),
            finish_ns,
            error: None,
            looks_free: false,
        });
        let outcomes = [slow, fast, failed];
        assert_eq!(least_ns(&outcomes, None), Some(20));
        assert_eq!(least_ns(&outcomes, Some(0)), Some(30));
        assert_eq!(least_ns(&outcomes, Some(2)), None);
        let point = ComparedPoint { name: String::new(), outcomes: outcomes.into(), least_ns: None };
        assert_eq!(point.regret(1), None);
    }
}

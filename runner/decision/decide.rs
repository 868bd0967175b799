//! Answers questions: what recipe and hardware file fix, else the policy, else the default.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;

use astra_engine::{Dialect, NetworkModel};
use astra_policy::{Collective, Request};

use super::best::Trial;
use super::table::Row;
use super::{DecisionTable, Demand, Question};
use crate::astrasim::{self, DecidedBy, Decision, Layout, PolicyChoices, SystemOverrides};
use crate::error::Result;
use crate::hw::NetworkSpec;
use crate::policy::{Decided, Ruling};

/// Everything but the workload that decisions depend on.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The hardware.
    pub spec: &'a NetworkSpec,
    /// The part of it in use.
    pub layout: &'a Layout,
    /// Whose rules the simulation follows.
    pub dialect: Dialect,
    /// Whether messages compete for links.
    pub model: NetworkModel,
    /// Queues that share the active chunks of a dimension.
    pub queues_per_dimension: u32,
    /// What the recipe fixes in `policy.collectives`.
    pub chosen: &'a PolicyChoices,
    /// The recipe's `system` block.
    pub system: &'a SystemOverrides,
}

/// Who decides what nothing fixes.
pub enum Decider<'a> {
    /// The default, which knows nothing but dialect and topologies.
    Default,
    /// A policy that is asked all questions at once, and gives a ruling for each.
    Policy(&'a mut dyn FnMut(&[Request]) -> Result<Vec<Ruling>>),
    /// The engine: every candidate is simulated, until this is set.
    Best(&'a AtomicBool),
}

/// Decides about every question. Only what nothing fixes is asked.
///
/// # Errors
/// A list of the recipe with another length than there are dimensions, with its key; whatever asking gives.
pub fn decide<'q>(
    situation: &Situation<'_>,
    questions: impl IntoIterator<Item = &'q Question>,
    decider: Decider<'_>,
) -> Result<DecisionTable> {
    let mut fixed: BTreeMap<Collective, Vec<Decision>> = BTreeMap::new();
    let mut rows = Vec::new();
    for question in questions {
        let decisions = match fixed.get(&question.collective) {
            Some(known) => known.clone(),
            None => {
                let made = situation.without_policy(question.collective)?;
                fixed.entry(question.collective).or_insert(made).clone()
            }
        };
        let row = Row { decisions, predicted_ns: None, dataset_splits: None, active_chunks: None };
        rows.push((question.clone(), row));
    }
    let open = |(question, row): &(Question, Row)| situation.is_open(question, row);
    match decider {
        Decider::Default => {
            for decision in rows.iter_mut().flat_map(|(_, row)| &mut row.decisions) {
                if decision.decided_by == DecidedBy::Default {
                    decision.decided_by = DecidedBy::Policy;
                }
            }
        }
        // A policy that has nothing to decide is not even opened.
        _ if !rows.iter().any(open) => {}
        Decider::Policy(ask) => {
            let system = situation.engine_system()?;
            let open: Vec<usize> = (0..rows.len()).filter(|&i| open(&rows[i])).collect();
            // What is possible does not depend on the size.
            let mut alike: BTreeMap<Question, Request> = BTreeMap::new();
            let mut request = |question: &Question| {
                let any_size = Question { bytes: None, ..question.clone() };
                let known = alike.entry(any_size).or_insert_with(|| situation.request(&system, question));
                Request { payload_bytes: question.bytes.unwrap_or_default(), ..known.clone() }
            };
            let requests: Vec<Request> = open.iter().map(|&i| request(&rows[i].0)).collect();
            for (index, ruling) in open.into_iter().zip(ask(&requests)?) {
                if let Ruling::Decided(decided) = ruling {
                    let (question, row) = &mut rows[index];
                    situation.enter(question, row, decided);
                }
            }
        }
        Decider::Best(stop) => {
            let trial = Trial::of(situation)?;
            for (question, row) in rows.iter_mut().filter(|row| open(row)) {
                let decided = trial.best(question, &row.decisions, stop)?;
                situation.enter(question, row, decided);
            }
        }
    }
    Ok(rows.into_iter().collect())
}

impl Situation<'_> {
    /// What recipe, hardware file and default say of a collective.
    pub(super) fn without_policy(&self, collective: Collective) -> Result<Vec<Decision>> {
        astrasim::decide(self.spec, self.layout, self.dialect, self.chosen, self.system, collective)
    }

    /// Whether a policy has a say in a row.
    fn is_open(&self, question: &Question, row: &Row) -> bool {
        let mut decisions = row.decisions.iter().enumerate();
        decisions.any(|(d, decision)| decision.decided_by == DecidedBy::Default && self.matters(question, d))
    }

    /// Who fixes the algorithms of a workload when nothing is left for a policy to decide; nobody when something is, or when
    /// no answer counts.
    pub fn fixed_by(&self, demand: &Demand, table: &DecisionTable) -> BTreeSet<DecidedBy> {
        let mut by = BTreeSet::new();
        for question in demand.questions() {
            let decisions = table.row(question).map(|row| row.decisions.as_slice()).unwrap_or_default();
            let counting = decisions.iter().enumerate().filter(|(d, _)| self.matters(question, *d));
            by.extend(counting.map(|(_, decision)| decision.decided_by));
        }
        let is_open = by.contains(&DecidedBy::Policy) || by.contains(&DecidedBy::Default);
        if is_open { BTreeSet::new() } else { by }
    }

    /// Puts a policy's decision where nothing is fixed.
    fn enter(&self, question: &Question, row: &mut Row, decided: Decided) {
        let mut whole = true;
        for (d, (decision, algorithm)) in row.decisions.iter_mut().zip(&decided.algorithms).enumerate() {
            if decision.decided_by == DecidedBy::Default && self.matters(question, d) {
                decision.algorithm = algorithm.name().to_owned();
                decision.decided_by = DecidedBy::Policy;
                decision.reason.clone_from(&decided.reason);
            }
            whole &= !self.matters(question, d) || decision.decided_by == DecidedBy::Policy;
        }
        // What the policy expects of its choice says nothing of another one.
        row.predicted_ns = decided.predicted_ns.filter(|_| whole);
        row.dataset_splits = decided.dataset_splits;
        row.active_chunks = decided.active_chunks;
    }
}

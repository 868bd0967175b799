//! What points ask a policy: a point alone, and all points together that differ in nothing but the workload.
//!
//! Sizes of a sweep are asked about together, one step for each network instead of one for each point. What another
//! point asks changes the key of that step, and nothing after it: what comes after is made of a point's own answers. Where
//! an answer is expensive, each point asks for itself.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use artifact_store::Digest;

use crate::decision::{Demand, Question};
use crate::derivation::DemandFrom;
use crate::recipe::{Point, Policy};

use super::policies::FoundPolicy;

/// Distinct questions, in one order.
#[derive(Clone, Debug)]
pub(super) struct Questions {
    pub(super) list: Vec<Question>,
    /// Stands for the list in keys.
    pub(super) digest: Digest,
}

impl Questions {
    /// The questions that a policy is asked for a demand. One that looks at nothing but collectives is asked nothing else.
    pub(super) fn of<'q>(policy: &FoundPolicy, asked: impl IntoIterator<Item = &'q Question>) -> Self {
        let asked = asked.into_iter();
        let distinct: BTreeSet<Question> = match policy.is_default() {
            true => asked.map(|question| Question::whatever(question.collective)).collect(),
            false => asked.cloned().collect(),
        };
        let list: Vec<Question> = distinct.into_iter().collect();
        let bytes = serde_json::to_vec(&list).expect("structs of numbers and text always encode");
        Self { digest: Digest::of(&bytes), list }
    }
}

/// What says what the ranks of a point ask of the network.
pub fn demand_from(point: &Point) -> DemandFrom {
    match point.workload.demand() {
        Some(_) if point.edits.is_empty() => DemandFrom::Recipe,
        _ => DemandFrom::Traces,
    }
}

/// The demand of points whose recipe says it, together and each alone.
#[derive(Debug, Default)]
pub(super) struct Demands {
    together: HashMap<(u32, Option<u32>), Arc<Questions>>,
}

impl Demands {
    /// Puts together what the points ask.
    pub(super) fn of<'p>(points: &[Point], found: impl Fn(&Policy) -> Option<&'p FoundPolicy>) -> Self {
        let mut asked: HashMap<(u32, Option<u32>), (&Point, BTreeSet<Question>)> = HashMap::new();
        for point in points {
            if let (DemandFrom::Recipe, Some(demand)) = (demand_from(point), point.workload.demand()) {
                let (_, questions) = asked.entry(group(point)).or_insert_with(|| (point, BTreeSet::new()));
                questions.extend(demand.questions().cloned());
            }
        }
        let together = asked.into_iter().filter_map(|(group, (point, questions))| {
            Some((group, Arc::new(Questions::of(found(&point.policy)?, &questions))))
        });
        Self { together: together.collect() }
    }

    /// What is asked for a point whose recipe says its demand.
    pub(super) fn questions(&self, point: &Point, policy: &FoundPolicy, demand: &Demand) -> Arc<Questions> {
        match self.together.get(&group(point)) {
            Some(questions) if !policy.is_asked_alone() => Arc::clone(questions),
            _ => Arc::new(Questions::of(policy, demand.questions())),
        }
    }
}

/// Points of a group ask one network under one policy.
fn group(point: &Point) -> (u32, Option<u32>) {
    (point.setting, point.workload.ranks())
}

//! What points ask a policy: a point alone, and all points together that differ in nothing but the workload.
//!
//! Sizes of a sweep are asked about together, one step for each network instead of one for each point. What another
//! point asks changes the key of that step, and nothing after it: what comes after is made of a point's own answers. Where
//! an answer is expensive, each point asks for itself.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use artifact_store::Digest;

use crate::decision::Question;
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
    // Edits change sizes.
    if point.workload.names_files() || !point.edits.is_empty() {
        DemandFrom::Traces
    } else {
        DemandFrom::Recipe
    }
}

/// What points ask together whose recipes say their demand.
#[derive(Debug, Default)]
pub(super) struct Demands {
    together: HashMap<Group, Arc<Questions>>,
}

impl Demands {
    /// Puts together what the points ask.
    pub(super) fn of<'p>(points: &[Point], found: impl Fn(&Policy) -> Option<&'p FoundPolicy>) -> Self {
        let mut asked: HashMap<Group, (&Point, BTreeSet<Question>)> = HashMap::new();
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

    /// What is asked for a point together with others; `None` of a point that asks for itself.
    pub(super) fn together(&self, point: &Point, policy: &FoundPolicy) -> Option<Arc<Questions>> {
        let is_together = demand_from(point) == DemandFrom::Recipe && !policy.is_asked_alone();
        is_together.then(|| self.together.get(&group(point)).map(Arc::clone))?
    }
}

/// Points of a group ask one network under one policy: their setting and number of ranks.
type Group = (u32, Option<u32>);

fn group(point: &Point) -> Group {
    (point.setting, point.workload.ranks())
}

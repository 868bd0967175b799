//! What points ask a policy: a point alone, and all points together that differ in nothing but the workload.
//!
//! Sizes of a sweep are asked about together, one step for each network instead of one for each point. What another
//! point asks changes the key of that step, and nothing after it: what comes after is made of a point's own answers. Where
//! an answer is expensive, each point asks for itself. A question that a policy fails to answer leaves the others' step, so
//! that it fails the points that ask it and no other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use artifact_store::Digest;

use crate::decision::Question;
use crate::derivation::DemandFrom;
use crate::error::{Error, Result};
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
        Self::from_list(distinct.into_iter().collect())
    }

    fn from_list(list: Vec<Question>) -> Self {
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
    together: Mutex<HashMap<Group, Together>>,
}

/// What the points of a group ask.
#[derive(Debug)]
struct Together {
    questions: Arc<Questions>,
    /// Questions that are no longer among those, and why.
    failed: BTreeMap<Question, Error>,
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
            let questions = Arc::new(Questions::of(found(&point.policy)?, &questions));
            Some((group, Together { questions, failed: BTreeMap::new() }))
        });
        Self { together: Mutex::new(together.collect()) }
    }

    /// What is asked for a point together with others; `None` of a point that asks for itself.
    ///
    /// # Errors
    /// The failure of a question of this point, which has left the others.
    pub(super) fn together(&self, point: &Point, policy: &FoundPolicy) -> Result<Option<Arc<Questions>>> {
        if demand_from(point) != DemandFrom::Recipe || policy.is_asked_alone() {
            return Ok(None);
        }
        let all = self.lock();
        let Some(Together { questions, failed }) = all.get(&group(point)) else { return Ok(None) };
        let own = point.workload.demand().filter(|_| !failed.is_empty());
        let failure = own.and_then(|own| own.questions().find_map(|question| failed.get(question)).cloned());
        failure.map_or_else(|| Ok(Some(Arc::clone(questions))), Err)
    }

    /// Takes questions that failed from those that are asked together with what this point asks.
    pub(super) fn set_apart(&self, point: &Point, failed: BTreeMap<Question, Error>) {
        if let Some(together) = self.lock().get_mut(&group(point)) {
            let rest = together.questions.list.iter().filter(|question| !failed.contains_key(question));
            together.questions = Arc::new(Questions::from_list(rest.cloned().collect()));
            together.failed.extend(failed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Group, Together>> {
        self.together.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Points of a group ask one network under one policy: their setting and number of ranks.
type Group = (u32, Option<u32>);

fn group(point: &Point) -> Group {
    (point.setting, point.workload.ranks())
}

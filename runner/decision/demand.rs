//! What a workload asks: its distinct collectives, and how many nodes of all ranks carry each of them out.
//!
//! Whether a recipe or traces say so makes no difference: equal workloads give equal bytes.

use std::collections::BTreeMap;

use astra_engine::{CollectiveType, GroupId, InvolvedDims, Rank};
use astra_policy::Collective;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, ErrorKind, Result};
use crate::et::CollectiveTally;

/// Version of the canonical form.
const VERSION: u32 = 1;

/// A collective as a policy is asked about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Which one.
    #[serde(with = "by_name")]
    pub collective: Collective,
    /// Its size as in the trace; `None` where the policy does not look at sizes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The ranks that take part, ascending; `None` is all of them. Of groups whose members lie at the same distances
    /// from each other, the first stands for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Vec<u32>>,
    /// The only dimensions it runs in, where the trace names some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<Vec<u32>>,
}

impl Question {
    /// About a collective of all ranks in all dimensions.
    pub fn of(collective: Collective, bytes: u64) -> Self {
        Self { collective, bytes: Some(bytes), group: None, dimensions: None }
    }

    /// The question that a policy is asked which looks at nothing but the collective.
    pub fn whatever(collective: Collective) -> Self {
        Self { collective, bytes: None, group: None, dimensions: None }
    }
}

/// What a workload asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand(BTreeMap<Question, u64>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    version: u32,
    collectives: Vec<Counted>,
}

#[derive(Serialize, Deserialize)]
struct Counted {
    #[serde(flatten)]
    question: Question,
    nodes: u64,
}

impl Demand {
    /// Adds nodes that ask a question.
    pub fn add(&mut self, question: Question, nodes: u64) {
        let total = self.0.entry(question).or_default();
        *total = total.saturating_add(nodes);
    }

    /// What the traces of a bundle of so many ranks ask, with the members of the groups they use. Operations that no
    /// algorithm carries out are left out, and groups that are not defined, which a lint finds.
    pub fn of_traces(tally: &CollectiveTally, groups: &BTreeMap<GroupId, Vec<Rank>>, ranks: u32) -> Self {
        let mut shapes = Shapes::default();
        let mut demand = Self::default();
        for ((used, involved), nodes) in tally {
            let Some(collective) = policy_collective(used.kind) else { continue };
            let group = match used.group {
                None => None,
                Some(number) => match GroupId::new(number).and_then(|id| groups.get(&id)) {
                    None => continue,
                    Some(members) if members.len() == ranks as usize => None,
                    Some(members) => Some(shapes.first_like(members)),
                },
            };
            // A group has no choice of dimensions.
            let chosen = used.group.is_none() && *involved != InvolvedDims::default();
            let named = || (0..u32::BITS).filter(|d| involved.contains(*d as usize)).collect();
            let bytes = Some(used.size_bytes);
            demand.add(Question { collective, bytes, group, dimensions: chosen.then(named) }, *nodes);
        }
        demand
    }

    /// The questions with the number of nodes that ask each, in one order.
    pub fn iter(&self) -> impl Iterator<Item = (&Question, u64)> {
        self.0.iter().map(|(question, nodes)| (question, *nodes))
    }

    /// The distinct questions.
    pub fn questions(&self) -> impl Iterator<Item = &Question> {
        self.0.keys()
    }

    /// The canonical bytes: compact JSON.
    pub fn encode(&self) -> Vec<u8> {
        let counted = |(question, nodes): (&Question, u64)| Counted { question: question.clone(), nodes };
        let form = Form { version: VERSION, collectives: self.iter().map(counted).collect() };
        serde_json::to_vec(&form).expect("structs of numbers and text always encode")
    }

    /// Reads what [`Demand::encode`] wrote.
    ///
    /// # Errors
    /// Bytes that are not that.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let unreadable = |why: String| {
            Error::new(ErrorKind::Store, format!("stored collectives cannot be read: {why}"))
                .hint("they were written by another version of astra-store; build in a new store")
        };
        let form: Form = serde_json::from_slice(bytes).map_err(|e| unreadable(e.to_string()))?;
        if form.version != VERSION {
            return Err(unreadable(format!("version {}, expected {VERSION}", form.version)));
        }
        Ok(Self(form.collectives.into_iter().map(|c| (c.question, c.nodes)).collect()))
    }
}

/// The first group of each shape; the shape is the distances of the members from the first.
#[derive(Default)]
struct Shapes(BTreeMap<Vec<i64>, Vec<u32>>);

impl Shapes {
    fn first_like(&mut self, members: &[Rank]) -> Vec<u32> {
        let first = members.first().map_or(0, |rank| i64::from(rank.0));
        let shape = members.iter().map(|rank| i64::from(rank.0) - first).collect();
        let ascending = || {
            let mut ranks: Vec<u32> = members.iter().map(|rank| rank.0).collect();
            ranks.sort_unstable();
            ranks
        };
        self.0.entry(shape).or_insert_with(ascending).clone()
    }
}

/// The collective that policies are asked about, if this is one.
const fn policy_collective(kind: CollectiveType) -> Option<Collective> {
    match kind {
        CollectiveType::AllReduce => Some(Collective::AllReduce),
        CollectiveType::AllGather => Some(Collective::AllGather),
        CollectiveType::ReduceScatter => Some(Collective::ReduceScatter),
        CollectiveType::AllToAll => Some(Collective::AllToAll),
        _ => None,
    }
}

/// A collective as JSON: its name.
mod by_name {
    use super::{Collective, Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        collective: &Collective,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(collective.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Collective, D::Error> {
        let name = String::deserialize(deserializer)?;
        Collective::ALL
            .into_iter()
            .find(|collective| collective.name() == name)
            .ok_or_else(|| serde::de::Error::custom(format!("unknown collective `{name}`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::et::CollectiveUse;

    fn used(kind: CollectiveType, group: Option<u32>) -> CollectiveUse {
        CollectiveUse { kind, size_bytes: 64, group }
    }

    #[test]
    fn groups_that_lie_alike_are_one_question_and_a_group_of_all_ranks_is_none() {
        let id = |number| GroupId::new(number).unwrap();
        let ranks = |ranks: &[u32]| ranks.iter().map(|rank| Rank(*rank)).collect::<Vec<_>>();
        let groups = BTreeMap::from([
            (id(1), ranks(&[0, 1])),
            (id(2), ranks(&[2, 3])),
            (id(3), ranks(&[0, 2])),
            (id(4), ranks(&[3, 2, 1, 0])),
        ]);
        let everywhere = InvolvedDims::default();
        let tally: CollectiveTally = (1..=5)
            .map(|group| ((used(CollectiveType::AllReduce, Some(group)), everywhere), u64::from(group)))
            .chain([((used(CollectiveType::Broadcast, None), everywhere), 9)])
            .collect();
        let demand = Demand::of_traces(&tally, &groups, 4);
        let found: Vec<_> = demand.iter().map(|(question, nodes)| (question.group.clone(), nodes)).collect();
        assert_eq!(found, [(None, 4), (Some(vec![0, 1]), 3), (Some(vec![0, 2]), 3)]);
        assert_eq!(Demand::decode(&demand.encode()).unwrap(), demand);
    }

    #[test]
    fn the_form_is_golden_and_another_version_is_refused() {
        let mut demand = Demand::default();
        demand.add(Question::of(Collective::AllReduce, 64), 8);
        let some = Question { dimensions: Some(vec![1]), ..Question::of(Collective::AllGather, 1) };
        demand.add(some, 2);
        let golden = r#"{"version":1,"collectives":[{"collective":"all_reduce","bytes":64,"nodes":8},{"collective":"all_gather","bytes":1,"dimensions":[1],"nodes":2}]}"#;
        assert_eq!(String::from_utf8(demand.encode()).unwrap(), golden);
        let newer = golden.replace("\"version\":1", "\"version\":2");
        assert!(Demand::decode(newer.as_bytes()).unwrap_err().to_string().contains("version 2, expected 1"));
    }
}

//! From the rows of one workload to one system file, which holds one list of algorithms for each collective and one number
//! of chunks for all of them; and what is lost by that.
//!
//! Where sizes want different lists, that by which the most bytes go is taken: size times nodes, over all ranks. Traces of
//! custom collectives could name an algorithm for each node, but they are other algorithms than the simulator's own (no
//! endpoint delay, one chunk, one queue), so that their times would be those of nobody's decision.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use astra_policy::Collective;

use super::table::Row;
use super::{DecisionTable, Demand, Question, Situation};
use crate::astrasim::{AlgorithmLists, Decision};
use crate::error::{Error, ErrorKind, Result};

/// The decisions of one workload in the form of a system file.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// Algorithms per collective; of collectives that the workload does not use what recipe, hardware file and default say.
    pub lists: AlgorithmLists,
    /// Chunks to cut collectives into, where the policy decides that.
    pub dataset_splits: Option<u32>,
    /// Chunks active at once per dimension, where the policy decides that.
    pub active_chunks: Option<u32>,
    /// Questions that are not answered as decided.
    pub losses: Vec<Loss>,
}

/// A question that is not answered as decided, because a system file cannot hold two answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The question.
    pub question: Question,
    /// What was decided: algorithms, or numbers of chunks.
    pub decided: String,
    /// What is simulated.
    pub used: String,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { question, decided, used } = self;
        write!(f, "{}", question.collective)?;
        if let Some(bytes) = question.bytes {
            write!(f, " of {bytes} bytes")?;
        }
        if let Some(group) = &question.group {
            write!(f, " in groups of {}", group.len())?;
        }
        write!(f, " runs with {used}, decided was {decided}")
    }
}

/// A question that a workload asks, its row, and how much of the workload it is.
struct Asked<'a> {
    question: &'a Question,
    row: &'a Row,
    weight: u128,
}

/// The decisions of a workload as a system file can hold them.
///
/// # Errors
/// A list of the recipe with another length than there are dimensions; a table that lacks a question.
pub fn settle(situation: &Situation<'_>, demand: &Demand, table: &DecisionTable) -> Result<Settled> {
    let mut asked = Vec::new();
    for (question, nodes) in demand.iter() {
        let row = table.row(question).ok_or_else(|| no_row(question))?;
        let weight = u128::from(question.bytes.unwrap_or(1)) * u128::from(nodes);
        asked.push(Asked { question, row, weight });
    }
    let mut losses = Vec::new();
    let lists = AlgorithmLists::of(|collective| {
        let asked: Vec<&Asked<'_>> = asked.iter().filter(|a| a.question.collective == collective).collect();
        situation.list(collective, &asked, &mut losses)
    })?;
    let (dataset_splits, active_chunks) = chunks(situation, &asked, &mut losses);
    Ok(Settled { lists, dataset_splits, active_chunks, losses })
}

fn no_row(question: &Question) -> Error {
    let what = question.bytes.map_or_else(String::new, |bytes| format!(" of {bytes} bytes"));
    Error::new(ErrorKind::Store, format!("the decision table has no row for {}{what}", question.collective))
        .hint("it was written by another version of astra-store; build in a new store")
}

impl Situation<'_> {
    fn list(
        &self,
        collective: Collective,
        asked: &[&Asked<'_>],
        losses: &mut Vec<Loss>,
    ) -> Result<Vec<Decision>> {
        let of_all = |a: &&&Asked<'_>| a.question.group.is_none();
        let world = heaviest(asked.iter().filter(of_all).map(|a| (a.row.algorithms(), *a)));
        let mut list = match &world {
            Some((_, chosen)) => chosen.row.decisions.clone(),
            None => self.without_policy(collective)?,
        };
        // Groups look at the first dimension only, and there they have a say besides the collectives of all ranks.
        let of_groups = asked.iter().filter(|a| a.question.group.is_some() && self.matters(a.question, 0));
        let of_groups = of_groups.map(|a| (first(a.row), *a));
        let of_world = asked.iter().filter(of_all).map(|a| (first(a.row), *a));
        let of_world = of_world.filter(|(name, _): &(&str, &Asked<'_>)| {
            Some(*name) == list.first().map(|d| d.algorithm.as_str())
        });
        if let Some((_, chosen)) = heaviest(of_groups.chain(of_world))
            && let (Some(place), Some(decision)) = (list.first_mut(), chosen.row.decisions.first())
        {
            place.clone_from(decision);
        }
        for Asked { question, row, .. } in asked {
            let counts = |d: &usize| self.matters(question, *d);
            let names = |decisions: &[Decision]| -> Vec<String> {
                let counting = (0..decisions.len()).filter(counts);
                counting.map(|d| decisions[d].algorithm.clone()).collect()
            };
            let (decided, used) = (names(&row.decisions), names(&list));
            if decided != used {
                let [decided, used] = [decided, used].map(|names| names.join(", "));
                losses.push(Loss { question: (*question).clone(), decided, used });
            }
        }
        Ok(list)
    }
}

fn first(row: &Row) -> &str {
    row.decisions.first().map_or("", |decision| decision.algorithm.as_str())
}

/// The answer by which the most bytes go, with the largest question that has it. Of equal ones that of the larger question.
fn heaviest<'a, T: Ord>(answers: impl Iterator<Item = (T, &'a Asked<'a>)>) -> Option<(T, &'a Asked<'a>)> {
    let mut sums: BTreeMap<T, (u128, &Asked<'_>)> = BTreeMap::new();
    for (answer, asked) in answers {
        let sum = sums.entry(answer).or_insert((0, asked));
        sum.0 = sum.0.saturating_add(asked.weight);
        if asked.question > sum.1.question {
            sum.1 = asked;
        }
    }
    let order = |(_, a): &(T, (u128, &Asked<'_>)), (_, b): &(T, (u128, &Asked<'_>))| -> Ordering {
        a.0.cmp(&b.0).then_with(|| a.1.question.bytes.cmp(&b.1.question.bytes))
    };
    sums.into_iter().max_by(order).map(|(answer, (_, asked))| (answer, asked))
}

/// The numbers of chunks. What recipe or hardware file say is not the policy's to decide.
fn chunks(
    situation: &Situation<'_>,
    asked: &[Asked<'_>],
    losses: &mut Vec<Loss>,
) -> (Option<u32>, Option<u32>) {
    let options = &situation.spec.sys_options;
    let is_free = |key: &str, hardware: Option<u32>| {
        hardware.is_none() && !situation.system.entries().contains_key(key)
    };
    let splits = is_free("preferred-dataset-splits", options.preferred_dataset_splits);
    let active = is_free("active-chunks-per-dimension", options.active_chunks_per_dimension);
    let wanted =
        |a: &Asked<'_>| (a.row.dataset_splits.filter(|_| splits), a.row.active_chunks.filter(|_| active));
    let Some((chosen, _)) = heaviest(asked.iter().map(|a| (wanted(a), a))) else { return (None, None) };
    let told = |(splits, active): (Option<u32>, Option<u32>)| {
        let told = |number: Option<u32>, of: &str| match number {
            Some(number) => format!("{number} {of}"),
            None => format!("the usual {of}"),
        };
        format!("{} and {}", told(splits, "splits"), told(active, "active chunks"))
    };
    for a in asked.iter().filter(|a| wanted(a) != chosen) {
        let (decided, used) = (told(wanted(a)), told(chosen));
        losses.push(Loss { question: a.question.clone(), decided, used });
    }
    chosen
}

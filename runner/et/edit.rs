//! Changes to the traces of a bundle for a study: slower ranks, other sizes, late starts.
//!
//! Depends on the trace format alone. Nothing but what an edit names is changed, so that a factor of 1 leaves every byte of
//! what this program wrote as it is; files that no edit concerns are not even read.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::attributes;
use super::bundle::{Bundle, Summary};
use super::reader::Reader;
use super::schema::attribute::Value;
use super::schema::{Node, NodeType, names};
use super::writer::Writer;
use crate::{Error, Result};

/// One change, of some ranks or of all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edit {
    /// The ranks whose traces are changed; all of them when absent.
    pub ranks: Option<BTreeSet<u32>>,
    /// What is changed.
    #[serde(flatten)]
    pub change: Change,
}

/// What an edit changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Recorded durations are multiplied, and rounded to whole microseconds, halves up.
    ScaleDurations(f64),
    /// Sizes of messages and collectives are multiplied, and rounded to whole bytes, halves up; what was not empty keeps
    /// at least one byte.
    ScaleSizes(f64),
    /// A computation is put in front.
    Delay {
        /// How long it takes, in microseconds.
        micros: u64,
        /// The name of the nodes it is put in front of; without one, of everything the rank does.
        before: Option<String>,
    },
}

/// The bundle with edits applied one after the other.
///
/// # Errors
/// An edit that names a rank or a node that is not there, a value that becomes too large, with the key of the edit below
/// `workload`; a trace that is damaged.
pub fn edit(bundle: &Bundle, edits: &[Edit]) -> Result<Bundle> {
    let key = |index: usize, inner: &str| format!("workload.edits[{index}]{inner}");
    for (index, edit) in edits.iter().enumerate() {
        if let Some(rank) = edit.ranks.iter().flatten().find(|rank| **rank >= bundle.ranks()) {
            let message = format!("there is no rank {rank}: the bundle has {} ranks", bundle.ranks());
            return Err(Error::input(message).key(key(index, ".ranks")));
        }
    }
    let mut used = vec![false; edits.len()];
    // Ranks that share a file and the edits of it share the new file.
    let mut made: BTreeMap<(u32, Vec<usize>), u32> = BTreeMap::new();
    let mut edited = Bundle { files: Vec::new(), file_of_rank: Vec::new(), summaries: Vec::new() };
    for (rank, &file) in (0..).zip(&bundle.file_of_rank) {
        let concerns = |index: &usize| edits[*index].ranks.as_ref().is_none_or(|ranks| ranks.contains(&rank));
        let concerned: Vec<usize> = (0..edits.len()).filter(concerns).collect();
        let next = edited.files.len() as u32;
        let new = *made.entry((file, concerned.clone())).or_insert(next);
        if new == next && concerned.is_empty() {
            edited.files.push(bundle.files[file as usize].clone());
            edited.summaries.push(bundle.summaries[file as usize].clone());
        } else if new == next {
            let name = Bundle::file_name("trace", rank);
            let mut trace = Reader::from_bytes(&name, &bundle.files[file as usize])?;
            let mut nodes = trace.by_ref().collect::<Result<Vec<Node>>>()?;
            for index in concerned {
                used[index] |= edits[index].change.apply(&mut nodes).map_err(|e| {
                    // The trace is no file that anybody has: its name would say nothing.
                    Error::input(format!("rank {rank}: {}", e.message())).key(key(index, ""))
                })?;
            }
            let bytes = Writer::file(trace.metadata(), &nodes);
            edited.summaries.push(Summary::of_file(&name, &bytes)?);
            edited.files.push(bytes.into());
        }
        edited.file_of_rank.push(new);
    }
    match used.iter().position(|used| !used) {
        None => edited.deduplicated(),
        Some(index) => {
            let message = match &edits[index].change {
                Change::Delay { before: Some(name), .. } => {
                    format!("no node of these ranks is called `{}`", name.escape_debug())
                }
                _ => "no node of these ranks is changed by it".to_owned(),
            };
            Err(Error::input(message).key(key(index, "")))
        }
    }
}

impl Change {
    /// Applies the change to the nodes of a trace. Whether there was something to change.
    fn apply(&self, nodes: &mut Vec<Node>) -> Result<bool> {
        match self {
            Self::ScaleDurations(factor) => {
                let timed = nodes.iter_mut().filter(|node| node.duration_micros > 0);
                timed
                    .map(|node| {
                        let scaled = scaled(node.duration_micros, *factor);
                        node.duration_micros = scaled.ok_or_else(|| too_large(node, "its duration"))?;
                        Ok(())
                    })
                    .collect::<Result<Vec<()>>>()
                    .map(|changed| !changed.is_empty())
            }
            Self::ScaleSizes(factor) => {
                let mut changed = false;
                for node in nodes.iter_mut().filter(|node| is_communication(node)) {
                    scale_size(node, *factor)?;
                    changed = true;
                }
                Ok(changed)
            }
            Self::Delay { micros, before } => delay(nodes, *micros, before.as_deref()),
        }
    }
}

fn is_communication(node: &Node) -> bool {
    [NodeType::Send, NodeType::Recv, NodeType::Collective].iter().any(|kind| node.kind == *kind as i32)
}

/// A number times a factor that is neither negative nor infinite; `None` when traces cannot hold it.
fn scaled(value: u64, factor: f64) -> Option<u64> {
    // Exact where it matters most: whoever sweeps a factor through 1 finds the unscaled result there.
    if factor == 1.0 {
        return Some(value);
    }
    let scaled = (value as f64 * factor).round();
    (scaled < i64::MAX as f64).then_some(scaled as u64)
}

fn too_large(node: &Node, what: &str) -> Error {
    let message = format!("{what} would be larger than a trace can hold, 2^63 - 1");
    attributes::wrong(node, message)
}

fn scale_size(node: &mut Node, factor: f64) -> Result<()> {
    let size = attributes::comm_size(node)?;
    let scaled = scaled(size, factor).ok_or_else(|| too_large(node, "its size"))?;
    let scaled = scaled.max(u64::from(size > 0));
    let attribute = node.attributes.iter_mut().find(|attribute| attribute.name == names::COMM_SIZE);
    if let Some(attribute) = attribute.filter(|_| scaled != size) {
        attribute.value = Some(Value::Int64(scaled as i64));
    }
    Ok(())
}

/// Puts a computation in front of the nodes of a name, after what they wait for, or in front of all that wait for nothing.
fn delay(nodes: &mut Vec<Node>, micros: u64, before: Option<&str>) -> Result<bool> {
    let waits = |node: &Node| !node.control_deps.is_empty() || !node.data_deps.is_empty();
    let chosen = |node: &Node| before.map_or_else(|| !waits(node), |name| node.name == name);
    if !nodes.iter().any(chosen) {
        return Ok(false);
    }
    if micros == 0 {
        return Ok(true);
    }
    let last = nodes.iter().map(|node| node.id).max().unwrap_or(0);
    let mut ids = (1..).map_while(|more| last.checked_add(more));
    let mut next =
        || ids.next().ok_or_else(|| Error::input("the ids of the trace leave no room for another node"));
    let mut delays = Vec::new();
    let mut start = None;
    for node in nodes.iter_mut().filter(|node| chosen(node)) {
        let id = match (before, start) {
            (None, Some(id)) => id,
            _ => {
                let id = next()?;
                let delay = Node::compute(id, format!("delay_{micros}us"), micros);
                delays.push(Node {
                    control_deps: std::mem::take(&mut node.control_deps),
                    data_deps: std::mem::take(&mut node.data_deps),
                    ..delay
                });
                start = Some(id);
                id
            }
        };
        node.control_deps = vec![id];
    }
    nodes.append(&mut delays);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use astra_engine::CollectiveType;

    use super::*;

    fn bundle(ranks: &[&[Node]]) -> Bundle {
        let metadata = super::super::Metadata::default();
        let file = |(rank, nodes): (u32, &&[Node])| {
            (Bundle::file_name("t", rank), Writer::file(&metadata, nodes).into())
        };
        Bundle::from_files((0..).zip(ranks).map(file)).unwrap()
    }

    fn nodes(bundle: &Bundle, rank: u32) -> Vec<Node> {
        Reader::from_bytes("t", bundle.file_of(rank).unwrap()).unwrap().map(Result::unwrap).collect()
    }

    fn of_ranks(ranks: &[u32], change: Change) -> Edit {
        Edit { ranks: Some(ranks.iter().copied().collect()), change }
    }

    fn of_all(change: Change) -> Edit {
        Edit { ranks: None, change }
    }

    fn work() -> Vec<Node> {
        vec![
            Node::compute(0, "a", 5),
            Node::collective(1, "sum", CollectiveType::AllReduce, 101, None).after([0]),
        ]
    }

    #[test]
    fn a_straggler_has_a_file_of_its_own_and_the_others_keep_theirs() {
        let before = bundle(&[&work(), &work(), &work()]);
        let after = edit(&before, &[of_ranks(&[1], Change::ScaleDurations(1.5))]).unwrap();
        assert_eq!(after.file_of_rank, [0, 1, 0]);
        assert_eq!(after.files[0], before.files[0]);
        let durations: Vec<u64> = nodes(&after, 1).iter().map(|node| node.duration_micros).collect();
        // 7.5 rounds up.
        assert_eq!(durations, [8, 0]);
    }

    #[test]
    fn sizes_are_scaled_and_never_vanish() {
        let before = bundle(&[&work(), &work()]);
        let size = |factor: f64| {
            let after = edit(&before, &[of_all(Change::ScaleSizes(factor))]).unwrap();
            attributes::comm_size(&nodes(&after, 0)[1]).unwrap()
        };
        assert_eq!([size(2.0), size(0.5), size(1e-9)], [202, 51, 1]);
        let error = edit(&before, &[of_all(Change::ScaleSizes(1e30))]).unwrap_err().to_string();
        assert!(
            error.contains("workload.edits[0]: rank 0: node 1 `sum`: its size would be larger"),
            "{error}"
        );
    }

    #[test]
    fn what_is_delayed_waits_for_a_computation_that_waits_for_what_it_waited_for() {
        let before = bundle(&[&work()]);
        let delay = |name: Option<&str>| Change::Delay { micros: 50, before: name.map(str::to_owned) };
        let named = nodes(&edit(&before, &[of_all(delay(Some("sum")))]).unwrap(), 0);
        assert_eq!((named[1].control_deps.clone(), named[2].control_deps.clone()), (vec![2], vec![0]));
        assert_eq!((named[2].id, named[2].duration_micros, &*named[2].name), (2, 50, "delay_50us"));
        let roots = vec![Node::compute(4, "a", 1), Node::compute(7, "b", 1)];
        let started = nodes(&edit(&bundle(&[&roots]), &[of_all(delay(None))]).unwrap(), 0);
        let waits: Vec<_> = started.iter().map(|node| (node.id, node.control_deps.clone())).collect();
        assert_eq!(waits, [(4, vec![8]), (7, vec![8]), (8, vec![])]);
    }

    #[test]
    fn edits_that_change_nothing_leave_every_byte() {
        let before = bundle(&[&work(), &work()[..1]]);
        let edits = [
            of_all(Change::ScaleDurations(1.0)),
            of_all(Change::ScaleSizes(1.0)),
            of_all(Change::Delay { micros: 0, before: None }),
        ];
        let after = edit(&before, &edits).unwrap();
        assert_eq!((after.files, after.file_of_rank), (before.files, before.file_of_rank));
    }

    #[test]
    fn edits_of_what_is_not_there_are_refused_with_their_key() {
        let before = bundle(&[&work(), &work()]);
        let refused = |edits: &[Edit]| edit(&before, edits).unwrap_err().to_string();
        let factor = || Change::ScaleDurations(2.0);
        assert_eq!(
            refused(&[of_all(factor()), of_ranks(&[0, 2], factor())]),
            "workload.edits[1].ranks: there is no rank 2: the bundle has 2 ranks"
        );
        let delay = Change::Delay { micros: 1, before: Some("nowhere".into()) };
        assert_eq!(
            refused(&[of_all(delay)]),
            "workload.edits[0]: no node of these ranks is called `nowhere`"
        );
        let largest = vec![Node::compute(u64::MAX, "a", 1)];
        let full = edit(&bundle(&[&largest]), &[of_all(Change::Delay { micros: 1, before: None })]);
        assert!(full.unwrap_err().to_string().contains("no room for another node"));
    }
}

//! What two traces differ in by meaning: nodes that only one of them has, and nodes that say something else.
//!
//! Nodes are matched by id, or by structure where ids mean nothing. Order in the file, order of dependencies and of
//! attributes, and kinds of integers make no difference.

use std::collections::{BTreeMap, BTreeSet};

use artifact_store::Digest;
use serde::Serialize;

use super::digest::{HashedTrace, meaning};
use super::dump::kind_name;
use super::schema::Node;

/// A node of one of the traces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeName {
    /// Its id.
    pub node: u64,
    /// Its name.
    pub name: String,
    /// Its type, in the words of a dump.
    #[serde(rename = "type")]
    pub kind: String,
}

/// One difference between two traces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Difference {
    /// Only the first has the node.
    Removed(NodeName),
    /// Only the second has the node.
    Added(NodeName),
    /// Both have the node, and it says something else.
    Changed {
        /// The node, as the first has it.
        #[serde(flatten)]
        node: NodeName,
        /// What it says: a field or an attribute.
        field: String,
        /// What the first says; nothing when only the second says it.
        before: Option<String>,
        /// What the second says.
        after: Option<String>,
    },
}

/// How two traces differ, nodes of one id taken for the same.
pub fn diff_by_id(before: &[Node], after: &[Node]) -> Vec<Difference> {
    let by_id = |nodes: &[Node]| nodes.iter().map(|node| (node.id, node.clone())).collect::<BTreeMap<_, _>>();
    let (before, after) = (by_id(before), by_id(after));
    let ids: BTreeSet<u64> = before.keys().chain(after.keys()).copied().collect();
    let mut differences = Vec::new();
    for id in ids {
        match (before.get(&id), after.get(&id)) {
            (Some(before), Some(after)) => changed(before, after, &mut differences),
            (Some(before), None) => differences.push(Difference::Removed(name(before))),
            (None, Some(after)) => differences.push(Difference::Added(name(after))),
            (None, None) => {}
        }
    }
    differences
}

/// How two traces differ in structure: the nodes of which the other has no equal, without those that differ only because of
/// what they wait for.
pub fn diff_by_structure(before: &HashedTrace, after: &HashedTrace) -> Vec<Difference> {
    let removed = unmatched(before, after).into_iter().map(|node| Difference::Removed(name(node)));
    let added = unmatched(after, before).into_iter().map(|node| Difference::Added(name(node)));
    removed.chain(added).collect()
}

/// Nodes of a trace that another does not have, and all of whose dependencies it has.
fn unmatched<'a>(of: &'a HashedTrace, other: &HashedTrace) -> Vec<&'a Node> {
    let mut left: BTreeMap<Digest, usize> = BTreeMap::new();
    other.hashes.iter().for_each(|hash| *left.entry(*hash).or_default() += 1);
    let mut missing: BTreeSet<u64> = BTreeSet::new();
    for (node, hash) in of.nodes.iter().zip(&of.hashes) {
        match left.get_mut(hash) {
            Some(count @ 1..) => *count -= 1,
            _ => {
                missing.insert(node.id);
            }
        }
    }
    let first = |node: &&Node| {
        let mut dependencies = node.control_deps.iter().chain(&node.data_deps);
        missing.contains(&node.id) && !dependencies.any(|id| missing.contains(id))
    };
    of.nodes.iter().filter(first).collect()
}

fn name(node: &Node) -> NodeName {
    NodeName { node: node.id, name: node.name.clone(), kind: kind_name(node).into_owned() }
}

fn changed(before: &Node, after: &Node, differences: &mut Vec<Difference>) {
    let (said_before, said_after) = (fields(before), fields(after));
    let all: BTreeSet<&String> = said_before.keys().chain(said_after.keys()).collect();
    for field in all {
        let (was, is) = (said_before.get(field).cloned(), said_after.get(field).cloned());
        if was != is {
            let node = name(before);
            differences.push(Difference::Changed { node, field: field.clone(), before: was, after: is });
        }
    }
}

/// Everything a node says, by field. Of attributes that are there twice the first counts.
fn fields(node: &Node) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    for attribute in node.attributes.iter().rev() {
        fields.insert(attribute.name.clone(), meaning(attribute));
    }
    let dependencies: BTreeSet<u64> = node.control_deps.iter().chain(&node.data_deps).copied().collect();
    fields.insert("name".to_owned(), format!("{:?}", node.name));
    fields.insert("type".to_owned(), kind_name(node).into_owned());
    fields.insert("duration_us".to_owned(), node.duration_micros.to_string());
    fields.insert("dependencies".to_owned(), format!("{dependencies:?}").replace(['{', '}'], ""));
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::et::{Attribute, Metadata, Names, Value, Writer};

    fn hashed(nodes: &[Node]) -> HashedTrace {
        HashedTrace::read("x", &Writer::file(&Metadata::default(), nodes), Names::Count).unwrap()
    }

    fn work() -> Vec<Node> {
        vec![
            Node::compute(0, "a", 1),
            Node::send(1, "s", 1, 64, 3).after([0]),
            Node::compute(2, "b", 2).after([1]),
        ]
    }

    fn names(differences: &[Difference]) -> Vec<(char, &str)> {
        fn name(difference: &Difference) -> (char, &str) {
            match difference {
                Difference::Removed(node) => ('-', &node.name),
                Difference::Added(node) => ('+', &node.name),
                Difference::Changed { field, .. } => ('~', field),
            }
        }
        differences.iter().map(name).collect()
    }

    #[test]
    fn nodes_of_one_id_are_compared_field_by_field() {
        let mut other = work();
        other[0].duration_micros = 9;
        other[1].attributes[0].value = Some(Value::Uint32(65));
        other[1].data_deps = vec![0, 0];
        other[2].attributes.push(Attribute::new("extra", Value::Bool(true)));
        other.push(Node::compute(7, "new", 1));
        other.reverse();
        let differences = diff_by_id(&work(), &other);
        assert_eq!(
            names(&differences),
            [('~', "duration_us"), ('~', "comm_size"), ('~', "extra"), ('+', "new")]
        );
        let Difference::Changed { before, after, .. } = &differences[1] else { panic!("{differences:?}") };
        assert_eq!((before.as_deref(), after.as_deref()), (Some("64"), Some("65")));
        assert_eq!(names(&diff_by_id(&other, &work())).last(), Some(&('-', "new")));
        assert_eq!(diff_by_id(&work(), &work()), []);
    }

    #[test]
    fn by_structure_ids_mean_nothing_and_only_the_first_of_a_changed_chain_is_told() {
        let mut renumbered = work();
        for node in &mut renumbered {
            node.id += 10;
            node.control_deps.iter_mut().for_each(|id| *id += 10);
        }
        assert_eq!(diff_by_structure(&hashed(&work()), &hashed(&renumbered)), []);
        assert!(!diff_by_id(&work(), &renumbered).is_empty());
        renumbered[1].attributes[0].value = Some(Value::Int64(65));
        let differences = diff_by_structure(&hashed(&work()), &hashed(&renumbered));
        assert_eq!(names(&differences), [('-', "s"), ('+', "s")]);
        let twice = [Node::compute(0, "a", 1), Node::compute(1, "a", 1)];
        assert_eq!(names(&diff_by_structure(&hashed(&twice), &hashed(&twice[..1]))), [('-', "a")]);
    }
}

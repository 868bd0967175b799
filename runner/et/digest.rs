//! Digests of traces by what they say instead of by their bytes: equal for traces that differ only in ids and in the order
//! of nodes, dependencies and attributes.
//!
//! The hash of a node is made of its type, its name, its duration, its attributes and the hashes of what it waits for. Left
//! out: its id, start times, tensors, doc strings, the metadata, whether a dependency is one of data or control, and which
//! kind of integer a number is written as. Simulations of traces with one digest may differ, because ids decide who goes
//! first; such digests are for people, not for keys.

use std::collections::BTreeMap;

use artifact_store::Digest;

use super::reader::Reader;
use super::schema::attribute::Value;
use super::schema::{Attribute, Node};
use crate::{Error, Result};

/// Whether names of nodes count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// They do.
    Count,
    /// They do not.
    Ignored,
}

/// The nodes of a trace with their hashes.
#[derive(Debug)]
pub struct HashedTrace {
    /// In the order of the file.
    pub nodes: Vec<Node>,
    /// The hash of each.
    pub hashes: Vec<Digest>,
}

impl HashedTrace {
    /// Reads a trace and hashes its nodes.
    ///
    /// # Errors
    /// The file is damaged, an id is there twice, or dependencies make no graph.
    pub fn read(file: &str, bytes: &[u8], names: Names) -> Result<Self> {
        let nodes = Reader::from_bytes(file, bytes)?.collect::<Result<Vec<Node>>>()?;
        let hashes = hashes(&nodes, names).map_err(|e| e.in_file(file))?;
        Ok(Self { nodes, hashes })
    }

    /// The digest of the whole trace: of its nodes, whatever their order.
    pub fn digest(&self) -> Digest {
        let mut hashes: Vec<[u8; 32]> = self.hashes.iter().map(|hash| *hash.as_bytes()).collect();
        hashes.sort_unstable();
        Digest::of(hashes.as_flattened())
    }
}

fn hashes(nodes: &[Node], names: Names) -> Result<Vec<Digest>> {
    let mut place_of_id: BTreeMap<u64, usize> = BTreeMap::new();
    for (place, node) in nodes.iter().enumerate() {
        if place_of_id.insert(node.id, place).is_some() {
            return Err(Error::input(format!("id {} is given to more than one node", node.id)));
        }
    }
    let mut parents: Vec<Vec<usize>> = Vec::with_capacity(nodes.len());
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (place, node) in nodes.iter().enumerate() {
        let found = node.control_deps.iter().chain(&node.data_deps).map(|id| {
            place_of_id.get(id).copied().ok_or_else(|| {
                let message = format!("node {} depends on node {id}, which the trace does not have", node.id);
                Error::input(message)
            })
        });
        let mut found = found.collect::<Result<Vec<usize>>>()?;
        found.sort_unstable();
        found.dedup();
        found.iter().for_each(|&parent| children[parent].push(place));
        parents.push(found);
    }
    let mut hashes: Vec<Option<Digest>> = vec![None; nodes.len()];
    let mut waiting: Vec<usize> = parents.iter().map(Vec::len).collect();
    let mut ready: Vec<usize> = (0..nodes.len()).filter(|&node| waiting[node] == 0).collect();
    while let Some(place) = ready.pop() {
        let mut of_parents: Vec<Digest> =
            parents[place].iter().filter_map(|&parent| hashes[parent]).collect();
        of_parents.sort_unstable();
        hashes[place] = Some(hash(&nodes[place], &of_parents, names));
        for &child in &children[place] {
            waiting[child] -= 1;
            if waiting[child] == 0 {
                ready.push(child);
            }
        }
    }
    let whole: Option<Vec<Digest>> = hashes.into_iter().collect();
    whole.ok_or_else(|| Error::input("nodes wait for each other and can never start; `et lint` says which"))
}

fn hash(node: &Node, parents: &[Digest], names: Names) -> Digest {
    let mut text = Vec::new();
    let mut part = |bytes: &[u8]| {
        text.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        text.extend_from_slice(bytes);
    };
    part(&node.kind.to_le_bytes());
    part(if names == Names::Count { node.name.as_bytes() } else { &[] });
    part(&node.duration_micros.to_le_bytes());
    let mut attributes: Vec<(&str, String)> =
        node.attributes.iter().map(|attribute| (attribute.name.as_str(), meaning(attribute))).collect();
    attributes.sort();
    for (name, value) in attributes {
        part(name.as_bytes());
        part(value.as_bytes());
    }
    // Their number, at the end, says where the attributes end.
    parents.iter().for_each(|parent| part(parent.as_bytes()));
    part(&(parents.len() as u64).to_le_bytes());
    Digest::of(&text)
}

/// What an attribute says; integers of all kinds, and truth values, alike.
pub(super) fn meaning(attribute: &Attribute) -> String {
    match &attribute.value {
        None => "nothing".to_owned(),
        Some(Value::Int32(v) | Value::Sint32(v) | Value::Sfixed32(v)) => format!("{v}"),
        Some(Value::Int64(v) | Value::Sint64(v) | Value::Sfixed64(v)) => format!("{v}"),
        Some(Value::Uint32(v) | Value::Fixed32(v)) => format!("{v}"),
        Some(Value::Uint64(v) | Value::Fixed64(v)) => format!("{v}"),
        Some(Value::Bool(v)) => format!("{}", u8::from(*v)),
        Some(Value::String(v)) => format!("{v:?}"),
        Some(other) => format!("{} {}", other.kind_name(), serde_json::json!(super::dump::ValueJson(other))),
    }
}

#[cfg(test)]
mod tests {
    use astra_engine::CollectiveType;

    use super::*;
    use crate::et::{Metadata, Writer};

    fn digest_with(nodes: &[Node], names: Names) -> Result<Digest> {
        let bytes = Writer::file(&Metadata::default(), nodes);
        HashedTrace::read("x.et", &bytes, names).map(|trace| trace.digest())
    }

    fn digest(nodes: &[Node]) -> Digest {
        digest_with(nodes, Names::Count).unwrap()
    }

    fn work() -> Vec<Node> {
        vec![
            Node::compute(0, "a", 1),
            Node::compute(1, "b", 2),
            Node::collective(2, "sum", CollectiveType::AllReduce, 64, None).after([0, 1]),
        ]
    }

    #[test]
    fn ids_and_every_order_are_left_out() {
        let mut other = work();
        other.reverse();
        for (node, id) in other.iter_mut().zip([5, 90, 7]) {
            node.id = id;
        }
        other[0].control_deps.clear();
        other[0].data_deps = vec![90, 7, 90];
        other[0].attributes.reverse();
        other[0].attributes[0].value = Some(Value::Uint32(64));
        assert_eq!(digest(&work()), digest(&other));
    }

    #[test]
    fn whatever_else_is_different_makes_another_digest() {
        let changed = |change: fn(&mut Vec<Node>)| {
            let mut nodes = work();
            change(&mut nodes);
            digest(&nodes)
        };
        let mut digests = vec![
            digest(&work()),
            changed(|nodes| nodes[0].duration_micros = 9),
            changed(|nodes| nodes[0].name = "z".into()),
            changed(|nodes| nodes[0].kind = 3),
            changed(|nodes| nodes[2].control_deps = vec![0]),
            changed(|nodes| nodes[1].control_deps = vec![0]),
            changed(|nodes| nodes[2].attributes[2].value = Some(Value::Int64(65))),
            changed(|nodes| nodes.push(Node::compute(3, "b", 2))),
        ];
        let all = digests.len();
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), all);
        let mut renamed = work();
        renamed[0].name = "z".into();
        let without = |nodes: &[Node]| digest_with(nodes, Names::Ignored).unwrap();
        assert_eq!(without(&work()), without(&renamed));
    }

    #[test]
    fn what_is_no_graph_has_no_digest() {
        let refused = |nodes: &[Node]| digest_with(nodes, Names::Count).unwrap_err().to_string();
        assert!(refused(&[Node::compute(0, "a", 1).after([1])]).contains("depends on node 1"));
        assert!(refused(&[Node::compute(0, "a", 1).after([0])]).contains("wait for each other"));
        assert!(
            refused(&[Node::compute(0, "a", 1), Node::compute(0, "b", 1)]).contains("more than one node")
        );
    }
}

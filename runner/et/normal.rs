//! The normal form of a trace: the same file for traces that differ only in what no simulation can depend on.
//!
//! A simulator looks at ids for their order alone: of nodes that could start, the one with the least id does. So ids may be
//! replaced by their place in that order, and the file sorted, but no two nodes may change places: that would be another
//! trace, whatever their dependencies. Names and attributes are kept.

use artifact_store::SharedBytes;

use super::reader::Reader;
use super::schema::Node;
use super::writer::Writer;
use crate::{Error, Result};

/// The normal form of a file: nodes by ascending id, ids 0, 1, 2 …, dependencies ascending and each once, no compression.
///
/// # Errors
/// The file is damaged, an id is there twice, or a dependency is on a node that is not there.
pub fn normal_form(file: &str, bytes: &[u8]) -> Result<SharedBytes> {
    let mut trace = Reader::from_bytes(file, bytes)?;
    let mut nodes = trace.by_ref().collect::<Result<Vec<Node>>>()?;
    nodes.sort_by_key(|node| node.id);
    let ids: Vec<u64> = nodes.iter().map(|node| node.id).collect();
    if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
        let message =
            format!("id {} is given to more than one node, so that the trace has no normal form", pair[0]);
        return Err(Error::input(message).in_file(file));
    }
    for (place, node) in (0..).zip(&mut nodes) {
        let own = node.id;
        for dependencies in [&mut node.control_deps, &mut node.data_deps] {
            for dependency in dependencies.iter_mut() {
                *dependency = ids.binary_search(dependency).map_err(|_| {
                    let message =
                        format!("node {own} depends on node {dependency}, which the trace does not have");
                    Error::input(message).in_file(file)
                })? as u64;
            }
            dependencies.sort_unstable();
            dependencies.dedup();
        }
        node.id = place;
    }
    Ok(Writer::file(trace.metadata(), &nodes).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::et::Metadata;

    fn normal(nodes: &[Node]) -> Result<SharedBytes> {
        normal_form("x.et", &Writer::file(&Metadata::default(), nodes))
    }

    #[test]
    fn order_in_the_file_and_gaps_in_ids_do_not_count_and_the_order_of_ids_does() {
        let one =
            [Node::compute(0, "a", 1), Node::compute(1, "b", 2), Node::compute(2, "c", 3).after([0, 1])];
        let other =
            [Node::compute(90, "c", 3).after([7, 3, 7]), Node::compute(3, "a", 1), Node::compute(7, "b", 2)];
        assert_eq!(normal(&one).unwrap(), normal(&other).unwrap());
        assert_eq!(*normal(&one).unwrap(), Writer::file(&Metadata::default(), &one)[..]);
        let swapped =
            [Node::compute(1, "a", 1), Node::compute(0, "b", 2), Node::compute(2, "c", 3).after([0, 1])];
        assert_ne!(normal(&one).unwrap(), normal(&swapped).unwrap());
    }

    #[test]
    fn what_has_no_normal_form_is_refused() {
        let twice = [Node::compute(1, "a", 1), Node::compute(1, "b", 2)];
        assert!(normal(&twice).unwrap_err().to_string().contains("id 1 is given to more than one node"));
        let dangling = [Node::compute(1, "a", 1).after([5])];
        assert!(normal(&dangling).unwrap_err().to_string().contains("depends on node 5"));
    }
}

//! One or two binary trees as the only dimension: their shapes, their links and the ways in them.
//!
//! Members are numbered in order: below a member are those next to it, the lower ones on its left. So the next step
//! to another member follows from two comparisons. Faulty links have no effect here.

use crate::network::{Dimension, Topology};
use crate::sim::links::{Ends, Links};
use crate::sim::slab::NONE;

/// A member and what is below it: the members from `low` up to `high`, itself among them.
#[derive(Clone, Copy)]
struct Node {
    parent: u32,
    left: u32,
    right: u32,
    low: u32,
    high: u32,
}

struct Tree {
    nodes: Vec<Node>,
}

/// The trees of a network; of two the first has the lowest member as root and the second the highest.
pub(super) struct Trees {
    trees: Vec<Tree>,
    /// Links out of each member: up and down, for each tree.
    ports: u32,
}

/// Part of a tree that is yet to be built: `count` members from `low` on.
struct Part {
    /// Levels below its root if it is complete; fewer than 0 means that it is a line to the left.
    depth: i32,
    count: u32,
    low: u32,
    parent: u32,
}

impl Tree {
    /// A tree of `npus` members whose root has two children.
    fn single(npus: u32) -> Self {
        let mut tree = Self::empty(npus);
        tree.build(Part { depth: depth_of(npus), count: npus, low: 0, parent: NONE });
        tree
    }

    /// A tree whose root, the lowest or the highest member, has one child.
    fn below_root(npus: u32, root: u32) -> Self {
        let mut tree = Self::empty(npus);
        tree.nodes[root as usize].high = npus;
        let low = u32::from(root == 0);
        tree.build(Part { depth: depth_of(npus) - 1, count: npus - 1, low, parent: root });
        tree
    }

    fn empty(npus: u32) -> Self {
        Self { nodes: vec![Node { parent: NONE, left: NONE, right: NONE, low: 0, high: 0 }; npus as usize] }
    }

    /// Lower levels are filled from the left; what does not fit goes to the right. Parts are kept in a list, as a
    /// tree may be half as deep as it has members.
    fn build(&mut self, whole: Part) {
        let mut parts = vec![whole];
        while let Some(Part { depth, count, low, parent }) = parts.pop() {
            if count == 0 {
                continue;
            }
            let full = u32::try_from(depth).map_or(u32::MAX, |depth| (1 << depth) - 1);
            let left = full.min(count - 1);
            let root = low + left;
            let node = &mut self.nodes[root as usize];
            (node.parent, node.low, node.high) = (parent, low, low + count);
            if let Some(above) = self.nodes.get_mut(parent as usize) {
                *(if root < parent { &mut above.left } else { &mut above.right }) = root;
            }
            parts.push(Part { depth: depth - 1, count: left, low, parent: root });
            parts.push(Part { depth: depth - 1, count: count - 1 - left, low: root + 1, parent: root });
        }
    }

    /// The next member on the way from one to another.
    fn step(&self, from: u32, to: u32) -> u32 {
        let Node { parent, left, right, low, high } = self.nodes[from as usize];
        if !(low..high).contains(&to) {
            parent
        } else if to < from {
            left
        } else {
            right
        }
    }

    /// The members on the way from one to another, with both.
    fn path(&self, from: u32, to: u32) -> impl Iterator<Item = u32> {
        std::iter::successors(Some(from), move |&at| (at != to).then(|| self.step(at, to)))
    }

    fn is_child(&self, child: u32, parent: u32) -> bool {
        self.nodes[child as usize].parent == parent
    }
}

/// Levels below the root of a complete tree that has room for so many members.
const fn depth_of(npus: u32) -> i32 {
    (u32::BITS - npus.leading_zeros()) as i32 - 1
}

impl Trees {
    pub(super) fn new<M>(dimension: &Dimension, links: &mut Links<M>) -> Self {
        let (topology, npus) = (dimension.topology, dimension.npus);
        let trees = match topology {
            Topology::DoubleBinaryTree => vec![Tree::below_root(npus, 0), Tree::below_root(npus, npus - 1)],
            _ => vec![Tree::single(npus)],
        };
        let kind = links.add_kind(dimension.bandwidth, dimension.latency_ns);
        let ports = topology.ports(npus);
        links.lay(npus, std::iter::repeat_n(kind, ports as usize));
        Self { trees, ports }
    }

    /// Whether the next link follows from where a message is and where it goes.
    pub(super) const fn is_one(&self) -> bool {
        self.trees.len() == 1
    }

    /// The link that a message takes in the only tree, and where it leads.
    pub(super) fn step(&self, from: u32, to: u32) -> (u32, u32) {
        let next = self.trees[0].step(from, to);
        (self.link(from, next), next)
    }

    /// Adds the links of the shorter way in either tree, of two equal ones that in the first.
    pub(super) fn route(&self, from: u32, to: u32, route: &mut Vec<u32>) {
        let shorter = self.trees.iter().min_by_key(|tree| tree.path(from, to).count());
        let mut members = shorter.into_iter().flat_map(|tree| tree.path(from, to));
        let mut at = members.next().unwrap_or(from);
        for next in members {
            route.push(self.link(at, next));
            at = next;
        }
    }

    /// The members that a link joins: it leads up from a child or down to it.
    pub(super) fn ends(&self, link: u32) -> Ends {
        let (child, port) = (link / self.ports, link % self.ports);
        let parent = self.trees[port as usize / 2].nodes[child as usize].parent;
        if port % 2 == 0 { Ends { from: child, to: parent } } else { Ends { from: parent, to: child } }
    }

    /// The link between a child and its parent, or back; one that is in both trees is that of the first.
    pub(super) fn link(&self, from: u32, to: u32) -> u32 {
        for (tree, ports) in self.trees.iter().zip((0..).step_by(2)) {
            if tree.is_child(from, to) {
                return from * self.ports + ports;
            }
            if tree.is_child(to, from) {
                return to * self.ports + ports + 1;
            }
        }
        NONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parent of each member; `NONE` of the root.
    fn parents(tree: &Tree) -> Vec<Option<u32>> {
        tree.nodes.iter().map(|node| (node.parent != NONE).then_some(node.parent)).collect()
    }

    #[test]
    fn a_tree_is_filled_from_the_left() {
        assert_eq!(parents(&Tree::single(5)), [Some(1), Some(3), Some(1), None, Some(3)]);
        assert_eq!(parents(&Tree::single(6)), [Some(1), Some(3), Some(1), None, Some(5), Some(3)]);
        assert_eq!(parents(&Tree::single(7)), [Some(1), Some(3), Some(1), None, Some(5), Some(3), Some(5)]);
        let ten = [1, 3, 1, 7, 5, 3, 5, NONE, 9, 7].map(|parent| (parent != NONE).then_some(parent));
        assert_eq!(parents(&Tree::single(10)), ten);
    }

    #[test]
    fn of_two_trees_one_hangs_from_the_lowest_and_one_from_the_highest_member() {
        let both =
            |npus| [Tree::below_root(npus, 0), Tree::below_root(npus, npus - 1)].map(|tree| parents(&tree));
        assert_eq!(both(4), [[None, Some(2), Some(0), Some(2)], [Some(1), Some(3), Some(1), None],]);
        assert_eq!(
            both(6),
            [
                [None, Some(2), Some(0), Some(2), Some(5), Some(3)],
                [Some(1), Some(5), Some(1), Some(4), Some(2), None],
            ]
        );
    }

    #[test]
    fn every_way_ends_and_every_step_has_a_link() {
        for npus in 2..70 {
            for trees in
                [vec![Tree::single(npus)], vec![Tree::below_root(npus, 0), Tree::below_root(npus, npus - 1)]]
            {
                let ports = 2 * trees.len() as u32;
                let trees = Trees { trees, ports };
                for (from, to) in (0..npus).flat_map(|from| (0..npus).map(move |to| (from, to))) {
                    let mut route = Vec::new();
                    trees.route(from, to, &mut route);
                    assert!(route.iter().all(|&link| link < npus * ports), "{npus}: {from} to {to}");
                    assert_eq!(route.is_empty(), from == to);
                }
            }
        }
    }

    #[test]
    fn a_large_tree_is_built_although_it_is_deep() {
        let npus = 100_000;
        let tree = Tree::below_root(npus, npus - 1);
        assert_eq!(tree.path(npus - 1, 0).last(), Some(0));
    }
}

//! `doubleBinaryTree`: an all-reduce up and down one of two complementary trees, whatever the collective is.
//!
//! Each tree is a root with one child, under which the other members form a perfect binary tree, numbered in
//! order. The number of members is a power of two, which the plan has checked.

use super::MemoryStep;
use crate::units::Nanos;

/// Constants of a tree phase.
#[derive(Clone, Copy, Debug)]
pub(in crate::sim) struct TreeSteps {
    pub(in crate::sim) size: u64,
    pub(in crate::sim) reduction: Nanos,
}

/// Which tree a chunk uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sim) enum Shape {
    /// The last member is the root.
    Max,
    /// The first member is the root.
    Min,
}

/// A member's place in a tree; peers as indices among the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sim) enum Place {
    Root { child: u32 },
    Inner { parent: u32, left: u32, right: u32 },
    Leaf { parent: u32 },
}

impl Place {
    /// The place of member `own` of `count`.
    pub(in crate::sim) const fn new(shape: Shape, own: u32, count: u32) -> Self {
        // The perfect sub-tree has count - 1 members; number them from 1, so that the lowest set bit is the
        // height.
        let (root, shift) = match shape {
            Shape::Max => (count - 1, 1),
            Shape::Min => (0, 0),
        };
        if own == root {
            return Self::Root { child: count / 2 - shift };
        }
        let number = own + shift;
        let height = number.trailing_zeros();
        let parent =
            if number == count / 2 { root } else { ((number & !(1 << height)) | 2 << height) - shift };
        if height == 0 {
            return Self::Leaf { parent };
        }
        let half = 1 << (height - 1);
        Self::Inner { parent, left: number - half - shift, right: number + half - shift }
    }
}

/// Progress of a chunk.
#[derive(Clone, Copy, Debug)]
pub(in crate::sim) struct Tree {
    pub(in crate::sim) place: Place,
    /// Receives completed.
    received: u8,
    /// Memory steps completed.
    stepped: u8,
}

/// What a chunk does next in a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sim) enum TreeMove {
    /// Wait.
    Wait,
    /// Send to the parent and receive its answer.
    Up { parent: u32 },
    /// Send to these children in order; the phase is complete.
    Down { first: u32, second: Option<u32> },
    /// The phase is complete.
    Done,
}

impl Tree {
    pub(in crate::sim) const fn new(place: Place) -> Self {
        Self { place, received: 0, stepped: 0 }
    }

    /// A message is there and a memory step begins. Only a leaf's does not reduce; the result of the first child
    /// is not sent back, because that of the second will be.
    pub(in crate::sim) fn receive(&mut self) -> MemoryStep {
        self.received += 1;
        match self.place {
            Place::Leaf { .. } => MemoryStep::IN,
            Place::Root { .. } => MemoryStep { reduces: true, outwards: false, back: true },
            Place::Inner { .. } => MemoryStep { reduces: true, outwards: false, back: self.received > 1 },
        }
    }

    /// A memory step is done.
    pub(in crate::sim) fn step_done(&mut self) -> TreeMove {
        self.stepped += 1;
        match (self.place, self.stepped) {
            (Place::Leaf { parent }, 1) | (Place::Inner { parent, .. }, 2) => TreeMove::Up { parent },
            (Place::Leaf { .. }, _) => TreeMove::Done,
            (Place::Inner { .. }, 1) => TreeMove::Wait,
            (Place::Inner { left, right, .. }, _) => TreeMove::Down { first: left, second: Some(right) },
            (Place::Root { child }, _) => TreeMove::Down { first: child, second: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trees_of_four_are_those_of_the_worked_example() {
        let max: Vec<_> = (0..4).map(|own| Place::new(Shape::Max, own, 4)).collect();
        let leaf = |parent| Place::Leaf { parent };
        assert_eq!(
            max,
            [leaf(1), Place::Inner { parent: 3, left: 0, right: 2 }, leaf(1), Place::Root { child: 1 }]
        );
        let min: Vec<_> = (0..4).map(|own| Place::new(Shape::Min, own, 4)).collect();
        assert_eq!(
            min,
            [Place::Root { child: 2 }, leaf(2), Place::Inner { parent: 0, left: 1, right: 3 }, leaf(2)]
        );
    }

    #[test]
    fn every_child_knows_its_parent() {
        for shape in [Shape::Max, Shape::Min] {
            for count in [2_u32, 8, 64] {
                for own in 0..count {
                    let children = match Place::new(shape, own, count) {
                        Place::Root { child } => vec![child],
                        Place::Inner { left, right, .. } => vec![left, right],
                        Place::Leaf { .. } => vec![],
                    };
                    for child in children {
                        match Place::new(shape, child, count) {
                            Place::Leaf { parent } | Place::Inner { parent, .. } => assert_eq!(parent, own),
                            Place::Root { .. } => panic!("the root is a child"),
                        }
                    }
                }
            }
        }
    }
}

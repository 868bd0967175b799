//! Which stages lie behind a node: what makes walks short that would find nothing.
//!
//! Without this, every consumer of a collective would look again at everything the collective waits for.

use super::model::{Graph, NodeIndex};
use super::roles::{Role, Roles};

/// What can be found by walking on from a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Nothing,
    /// Compute nodes of one hardware id.
    Only(u32),
    /// Collectives, or several hardware ids.
    More,
}

impl Reach {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, reach) | (reach, Self::Nothing) => reach,
            (Self::Only(hw), Self::Only(same)) if hw == same => self,
            _ => Self::More,
        }
    }
}

/// What lies behind all nodes.
#[derive(Debug)]
pub(super) struct Reaches {
    behind: Vec<Reach>,
}

impl Reaches {
    pub(super) fn of(graph: &Graph, roles: &Roles) -> Self {
        let mut reaches = Self { behind: vec![Reach::Nothing; graph.node_count()] };
        for &node in &graph.topological {
            let is_transfer = roles.of(node) == Role::Transfer;
            let reach = graph.parents(node).iter().map(|parent| match roles.of(*parent) {
                Role::Compute { hw, .. } => Reach::Only(hw),
                // As the source of a transfer it counts like a compute node.
                Role::Collective { hw, .. } if is_transfer => Reach::Only(hw),
                Role::Collective { .. } => Reach::More,
                Role::Transfer | Role::Passage => reaches.behind[parent.at()],
            });
            reaches.behind[node.at()] = reach.fold(Reach::Nothing, Reach::and);
        }
        reaches
    }

    /// What makes no walk shorter.
    #[cfg(test)]
    pub(super) fn unknown(graph: &Graph) -> Self {
        Self { behind: vec![Reach::More; graph.node_count()] }
    }

    /// Whether nothing lies behind a node but compute nodes of one hardware id. For a task there, behind a collective,
    /// none of them is a source: the collective has waited for them.
    pub(super) fn only(&self, node: NodeIndex, hw: u32) -> bool {
        matches!(self.behind[node.at()], Reach::Nothing) || self.behind[node.at()] == Reach::Only(hw)
    }
}

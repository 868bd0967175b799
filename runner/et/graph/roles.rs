//! What each node is to a conversion: executed on a stage, on the way between two stages, or only passed through.
//!
//! A stage is a hardware id on which something is executed. Depends on the graph and on the switches only.

use astra_engine::CollectiveType;

use super::REPLICA_AXIS;
use super::mends::Mends;
use super::model::{Graph, Kind, NodeIndex, Work};
use crate::{Error, Result};

/// The axes of which a collective does not run inside one replica: its group are the replicas of its stage.
const REPLICATED_AXES: [&str; 4] = [REPLICA_AXIS, "lp", "pp", "pipeline"];

/// What a node is to a conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Computes on a hardware id.
    Compute { hw: u32, absence: Option<Absence> },
    /// Takes part in a collective on a hardware id.
    Collective { hw: u32, absence: Option<Absence> },
    /// Brings data from the stages of its parents to those of its children.
    Transfer,
    /// What waits for it waits for its parents.
    Passage,
}

/// Why a node that stands on a stage is not executed there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absence {
    Placeholder,
    Unreached,
    SingleReplica,
}

/// The roles of all nodes, and what is executed where.
#[derive(Debug)]
pub(super) struct Roles {
    roles: Vec<Role>,
    /// What is reached, in the order in which the roots reach it.
    pub(super) reached: Vec<NodeIndex>,
    /// The hardware ids of the stages, ascending.
    pub(super) stages: Vec<u32>,
    /// For each stage what takes part in scheduling: compute nodes, then collectives, each in the order in which the
    /// roots reach them.
    pub(super) tasks: Vec<Vec<NodeIndex>>,
}

impl Roles {
    pub(super) fn of(&self, node: NodeIndex) -> Role {
        self.roles[node.at()]
    }

    /// The position of the stage with a hardware id.
    pub(super) fn stage(&self, hw: u32) -> Option<u32> {
        self.stages.binary_search(&hw).ok().map(|stage| stage as u32)
    }

    /// The stage that executes a node, if one does.
    pub(super) fn executed_on(&self, node: NodeIndex) -> Option<u32> {
        match self.of(node) {
            Role::Compute { hw, absence: None } | Role::Collective { hw, absence: None } => self.stage(hw),
            _ => None,
        }
    }
}

/// Whether a collective along an axis runs inside one replica, so that it needs a group of its own.
pub(super) fn is_inside_replica(graph: &Graph, node: NodeIndex) -> bool {
    match graph.work(node) {
        Work::Communication { axis: Some(axis), .. } => !REPLICATED_AXES.contains(&graph.axis_name(axis)),
        _ => false,
    }
}

/// The collective that is executed for a node of communication, if there is one.
///
/// # Errors
/// Its kind is not simulated, and that is not to be taken for an all-reduce.
pub(super) fn collective(graph: &Graph, mends: &Mends, node: NodeIndex) -> Result<Option<CollectiveType>> {
    let Work::Communication { kind, .. } = graph.work(node) else { return Ok(None) };
    match kind {
        Kind::Collective(collective) => Ok(Some(collective)),
        Kind::Transfer | Kind::Nothing => Ok(None),
        Kind::Unknown(_) if !mends.unknown_kinds => Ok(Some(CollectiveType::AllReduce)),
        Kind::Unknown(unknown) => Err(graph.unknown_kind(node, unknown)),
    }
}

/// Decides the roles of all nodes.
///
/// # Errors
/// Nothing computes, a collective has no hardware id and no neighbour that has one, is of a kind that is not simulated,
/// or would be the only thing on its stage; as far as the switches do not say otherwise.
pub(super) fn assign(graph: &Graph, mends: &Mends) -> Result<Roles> {
    let order = order_reached(graph, mends.unreached_nodes);
    let mut reached = vec![false; graph.node_count()];
    order.iter().for_each(|node| reached[node.at()] = true);
    let role = |node: NodeIndex| role(graph, mends, node, reached[node.at()]);
    let roles = graph.nodes().map(role).collect::<Result<Vec<_>>>()?;
    let of = |node: &NodeIndex| roles[node.at()];

    let mut stages: Vec<u32> = order
        .iter()
        .filter_map(|node| match of(node) {
            Role::Compute { hw, absence: None } => Some(hw),
            _ => None,
        })
        .collect();
    if stages.is_empty() {
        let message = "no node computes on a hardware id, so there are no ranks";
        return Err(Error::input(message).key("nodes").hint("give compute nodes the key `hw`"));
    }
    if mends.collective_only_stages {
        stages.extend(order.iter().filter_map(|node| match of(node) {
            Role::Collective { hw, absence: None } => Some(hw),
            _ => None,
        }));
    }
    stages.sort_unstable();
    stages.dedup();

    let mut tasks = vec![Vec::new(); stages.len()];
    let computes = |node: &&NodeIndex| matches!(of(node), Role::Compute { absence: None, .. });
    let collectives = |node: &&NodeIndex| matches!(of(node), Role::Collective { .. });
    for &node in order.iter().filter(computes).chain(order.iter().filter(collectives)) {
        let (Role::Compute { hw, absence } | Role::Collective { hw, absence }) = of(&node) else { continue };
        match stages.binary_search(&hw) {
            Ok(stage) => tasks[stage].push(node),
            // Left out anyway.
            Err(_) if absence.is_some() => {}
            Err(_) => return Err(alone_on_its_stage(graph, node, hw)),
        }
    }
    Ok(Roles { roles, reached: order, stages, tasks })
}

fn alone_on_its_stage(graph: &Graph, node: NodeIndex, hw: u32) -> Error {
    let name = graph.quoted(node);
    let message = format!("nothing computes on hardware id {hw}, on which the collective {name} runs");
    Error::input(message)
        .key(graph.key(node))
        .hint("the switch `collective_only_stages` makes a rank of such a hardware id")
}

/// The nodes that the roots reach through children, depth first; with `all` those they do not reach come after them.
fn order_reached(graph: &Graph, all: bool) -> Vec<NodeIndex> {
    let mut seen = vec![false; graph.node_count()];
    let mut order = Vec::with_capacity(graph.node_count());
    let mut stack = Vec::new();
    let mut visit = |root: NodeIndex| {
        stack.push(root);
        while let Some(node) = stack.pop() {
            if !std::mem::replace(&mut seen[node.at()], true) {
                order.push(node);
                stack.extend(graph.children(node).iter().rev().filter(|child| !seen[child.at()]));
            }
        }
    };
    graph.roots.iter().copied().for_each(&mut visit);
    if all {
        graph.nodes().for_each(visit);
    }
    order
}

fn role(graph: &Graph, mends: &Mends, node: NodeIndex, reached: bool) -> Result<Role> {
    let unreached = (!reached).then_some(Absence::Unreached);
    match graph.work(node) {
        Work::Compute { placeholder: true, .. } if mends.placeholders => Ok(Role::Passage),
        Work::Compute { hw: Some(hw), placeholder, .. } => {
            let absence = if placeholder { Some(Absence::Placeholder) } else { unreached };
            Ok(Role::Compute { hw, absence })
        }
        Work::Compute { hw: None, .. } | Work::Join => Ok(Role::Passage),
        Work::Communication { kind: Kind::Transfer, .. } => Ok(Role::Transfer),
        Work::Communication { .. } => {
            if collective(graph, mends, node)?.is_none() {
                return Ok(Role::Passage);
            }
            let inside = is_inside_replica(graph, node);
            let single_replica = graph.replicas() == 1 && !inside;
            if mends.single_rank_collectives && (single_replica || inside && size_of_axis(graph, node)? == 1)
            {
                return Ok(Role::Passage);
            }
            let absence = unreached.or(single_replica.then_some(Absence::SingleReplica));
            match collective_hw(graph, node) {
                Ok(hw) => Ok(Role::Collective { hw, absence }),
                // Left out anyway.
                Err(_) if absence == Some(Absence::Unreached) => Ok(Role::Passage),
                Err(error) => Err(error),
            }
        }
    }
}

/// How many hardware ids the axis of a collective has.
fn size_of_axis(graph: &Graph, node: NodeIndex) -> Result<u32> {
    let Work::Communication { axis: Some(axis), .. } = graph.work(node) else { return Ok(1) };
    let axis = graph.axis_name(axis);
    let known = graph.layout().map_or(&[][..], |layout| layout.axes());
    let size = known.iter().find(|(name, _)| name == axis).map(|(_, size)| *size);
    size.ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
        let expected = match names.is_empty() {
            true => "but the graph has no layout that says which ranks lie along it".to_owned(),
            false => format!("expected one of the layout's: {}", names.join(", ")),
        };
        let message = format!("found `{}`, {expected}", axis.escape_debug());
        Error::input(message).key(format!("{}.axis", graph.key(node))).suggest(axis, names)
    })
}

/// The hardware id of a collective: its own, or that of the first neighbour that computes on one.
fn collective_hw(graph: &Graph, node: NodeIndex) -> Result<u32> {
    if let Some(hw) = graph.own_hw(node) {
        return Ok(hw);
    }
    let mut neighbours = graph.parents(node).iter().chain(graph.children(node));
    neighbours.find_map(|neighbour| graph.compute_hw(*neighbour)).ok_or_else(|| {
        let what = if graph.parents(node).is_empty() && graph.children(node).is_empty() {
            "neighbours"
        } else {
            "neighbour that computes on one"
        };
        let message = format!("the collective {} has no hardware id and no {what}", graph.quoted(node));
        Error::input(message).key(graph.key(node)).hint("give it the key `hw`")
    })
}

//! What each task waits for: on its own stage, and on others.
//!
//! Walks from a task through joins, collectives and transfers up to what is executed, last parent first. The order in
//! which things are found is the order of dependencies, and with it part of the result. What DeepFlow finds, and what
//! it drops, is kept apart by the switches.

use super::marks::Marks;
use super::mends::Mends;
use super::model::{Graph, NodeIndex};
use super::passages::{LONGEST, Order, Passages, Passing};
use super::reach::Reaches;
use super::roles::{Absence, Role, Roles};
use super::rows::Rows;
use crate::{Error, Result};

/// How many dependencies a conversion writes out: memory grows with them. Graphs of ten million nodes have fewer.
const MOST_DEPENDENCIES: usize = 1 << 28;

/// Something on another stage that a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Crossing {
    pub(super) source: NodeIndex,
    /// The node that stands for the way: a transfer; for a collective that waits for a collective the latter.
    pub(super) edge: Option<NodeIndex>,
}

/// What all tasks wait for, by node; empty for nodes that are no tasks.
#[derive(Debug)]
pub(super) struct Sources {
    /// On the same stage: what was found to compute, then collectives; each once.
    pub(super) local: Rows<NodeIndex>,
    /// On other stages.
    pub(super) crossing: Rows<Crossing>,
}

/// Finds what every task waits for.
///
/// # Errors
/// A task waits for something that is not executed, or for something in a way that only DeepFlow stumbles over and the
/// switches do not mend.
pub(super) fn find(graph: &Graph, roles: &Roles, mends: &Mends) -> Result<Sources> {
    let mut walk = Walk::new(graph, roles, mends, Shortcuts::of(graph, roles, mends, LONGEST));
    walk.find_all()?;
    Ok(walk.found)
}

/// What makes walks short without changing what they find.
struct Shortcuts {
    reaches: Reaches,
    passages: Passages,
    /// Passages and transfers, where those are followed to all that they come from.
    transfers: Passages,
    /// Passages, and collectives of other stages where compute nodes wait for what is behind those.
    collectives: Option<Passages>,
}

impl Shortcuts {
    fn of(graph: &Graph, roles: &Roles, mends: &Mends, longest: usize) -> Self {
        let passages = |node| match roles.of(node) {
            Role::Passage => Passing::Everybody,
            _ => Passing::Nobody,
        };
        let transfers = |node| match roles.of(node) {
            Role::Transfer | Role::Passage if mends.cross_stage_sources => Passing::Everybody,
            _ => Passing::Nobody,
        };
        let collectives = |node| match roles.of(node) {
            Role::Collective { hw, .. } => Passing::AllBut(hw),
            _ => passages(node),
        };
        Self {
            reaches: Reaches::of(graph, roles),
            passages: Passages::of(graph, Order::LastParentFirst, longest, passages),
            transfers: Passages::of(graph, Order::FirstParentFirst, longest, transfers),
            collectives: (!mends.cross_stage_sources)
                .then(|| Passages::of(graph, Order::LastParentFirst, longest, collectives)),
        }
    }
}

/// A task whose sources are looked for.
#[derive(Clone, Copy)]
struct Task {
    node: NodeIndex,
    hw: u32,
    collective: bool,
    /// Left out of the traces; takes part in scheduling only.
    absent: bool,
}

struct Walk<'a> {
    graph: &'a Graph,
    roles: &'a Roles,
    mends: &'a Mends,
    shortcuts: Shortcuts,
    most_dependencies: usize,
    /// How many nodes have been looked at.
    #[cfg(test)]
    looked_at: usize,
    found: Sources,
    /// Nodes to look at, and whether a collective lies between them and the task.
    stack: Vec<(NodeIndex, bool)>,
    /// Nodes behind a transfer to look at.
    behind_transfer: Vec<NodeIndex>,
    computes: Vec<NodeIndex>,
    collectives: Vec<NodeIndex>,
    crossings: Vec<Crossing>,
    seen: Marks,
    seen_behind: Marks,
    seen_behind_transfer: Marks,
    in_computes: Marks,
    in_collectives: Marks,
    /// Sources with a crossing of which each has one, and where that is.
    crossed: Marks,
    position_of_crossing: Vec<u32>,
    /// Transfers that have been followed to all of their sources, and those sources.
    transferred: Marks,
    crossed_by_transfer: Marks,
}

impl<'a> Walk<'a> {
    fn new(graph: &'a Graph, roles: &'a Roles, mends: &'a Mends, shortcuts: Shortcuts) -> Self {
        let marks = || Marks::new(graph.node_count());
        Self {
            graph,
            roles,
            mends,
            shortcuts,
            most_dependencies: MOST_DEPENDENCIES,
            #[cfg(test)]
            looked_at: 0,
            found: Sources { local: Rows::new(), crossing: Rows::new() },
            stack: Vec::new(),
            behind_transfer: Vec::new(),
            computes: Vec::new(),
            collectives: Vec::new(),
            crossings: Vec::new(),
            seen: marks(),
            seen_behind: marks(),
            seen_behind_transfer: marks(),
            in_computes: marks(),
            in_collectives: marks(),
            crossed: marks(),
            position_of_crossing: vec![0; graph.node_count()],
            transferred: marks(),
            crossed_by_transfer: marks(),
        }
    }

    fn find_all(&mut self) -> Result<()> {
        for node in self.graph.nodes() {
            match self.roles.of(node) {
                Role::Compute { hw, absence: None } => {
                    self.from(Task { node, hw, collective: false, absent: false })?
                }
                Role::Collective { hw, absence: absence @ (None | Some(Absence::SingleReplica)) } => {
                    self.from(Task { node, hw, collective: true, absent: absence.is_some() })?;
                }
                _ => {}
            }
            self.found.local.end_row();
            self.found.crossing.end_row();
            if self.found.local.item_count() + self.found.crossing.item_count() > self.most_dependencies {
                return Err(self.too_many_dependencies(node));
            }
        }
        Ok(())
    }

    fn too_many_dependencies(&self, node: NodeIndex) -> Error {
        let most = self.most_dependencies;
        let message =
            format!("tasks up to {} wait for more than {most} others together", self.graph.quoted(node));
        Error::input(message).key(self.graph.key(node)).hint(
            "where many wait for the same many through a join or a transfer, each waits for each; put a compute node of 0 \
             seconds, with its `hw`, in between",
        )
    }

    fn from(&mut self, task: Task) -> Result<()> {
        self.forget();
        self.push_parents(task, task.node, false);
        while let Some((node, behind)) = self.stack.pop() {
            self.look_at();
            let seen = if behind { &mut self.seen_behind } else { &mut self.seen };
            if !seen.mark(node) {
                continue;
            }
            match self.roles.of(node) {
                Role::Compute { hw, .. } if hw == task.hw => self.compute(task, node, behind)?,
                Role::Compute { .. } => self.cross(node, None),
                Role::Collective { hw, .. } if task.collective && self.graph.own_hw(node).is_some() => {
                    if hw == task.hw {
                        self.compute(task, node, behind)?;
                    } else {
                        self.cross(node, Some(node));
                    }
                }
                Role::Collective { hw, .. } => self.through_collective(task, node, hw)?,
                Role::Transfer | Role::Passage if behind && self.shortcuts.reaches.only(node, task.hw) => {}
                Role::Transfer => self.transfer(task, node, behind)?,
                Role::Passage => self.push_parents(task, node, behind),
            }
        }
        self.write(task)
    }

    fn forget(&mut self) {
        self.computes.clear();
        self.collectives.clear();
        self.crossings.clear();
        for marks in [
            &mut self.seen,
            &mut self.seen_behind,
            &mut self.in_computes,
            &mut self.in_collectives,
            &mut self.crossed,
            &mut self.transferred,
            &mut self.crossed_by_transfer,
        ] {
            marks.clear();
        }
    }

    /// Tests count the work of walks.
    fn look_at(&mut self) {
        #[cfg(test)]
        {
            self.looked_at += 1;
        }
    }

    fn push_parents(&mut self, task: Task, node: NodeIndex, behind: bool) {
        let Shortcuts { passages, collectives, .. } = &self.shortcuts;
        let (graph, stack) = (self.graph, &mut self.stack);
        let item = |found| (found, behind);
        match collectives {
            Some(beyond) if behind && !task.collective => {
                passages.push_parents_beyond(beyond, task.hw, graph, node, stack, item);
            }
            _ => passages.push_parents(graph, node, stack, item),
        }
    }

    /// A collective on the way of a compute node, or one without hardware id of its own on that of a collective.
    fn through_collective(&mut self, task: Task, node: NodeIndex, hw: u32) -> Result<()> {
        if hw == task.hw {
            self.collective(task, node)?;
            if self.shortcuts.reaches.only(node, task.hw) {
                return Ok(());
            }
        } else if self.mends.cross_stage_sources {
            // It waits for all that lies behind it.
            self.cross(node, None);
            return Ok(());
        }
        self.push_parents(task, node, true);
        Ok(())
    }

    fn transfer(&mut self, task: Task, transfer: NodeIndex, behind: bool) -> Result<()> {
        if task.collective
            && !self.mends.transfers_before_collectives
            && self.graph.own_hw(transfer).is_some()
        {
            let (waiting, found) = (self.graph.quoted(task.node), self.graph.quoted(transfer));
            return Err(self.unmended(
                task.node,
                format!("the collective {waiting} waits for the transfer {found}, which has a hardware id"),
                "transfers_before_collectives",
            ));
        }
        if self.mends.cross_stage_sources {
            return self.transfer_find_all(task, transfer, behind);
        }
        for &parent in self.graph.parents(transfer) {
            match self.roles.of(parent) {
                Role::Compute { hw, .. } if hw == task.hw => self.compute(task, parent, behind)?,
                // The last transfer found is the way.
                Role::Compute { .. } => self.cross(parent, Some(transfer)),
                _ if behind || self.graph.own_hw(parent) != Some(task.hw) => {}
                Role::Collective { .. } => self.collective(task, parent)?,
                _ => {
                    let (first, second) = (self.graph.quoted(parent), self.graph.quoted(transfer));
                    return Err(self.unmended(
                        transfer,
                        format!("{second} transfers what comes from {first}, which is never executed"),
                        "cross_stage_sources",
                    ));
                }
            }
        }
        Ok(())
    }

    /// Follows a transfer to all that it comes from, in the order of its parents.
    fn transfer_find_all(&mut self, task: Task, transfer: NodeIndex, behind: bool) -> Result<()> {
        let crossings_known = !self.transferred.mark(transfer);
        self.push_behind_transfer(transfer);
        self.seen_behind_transfer.clear();
        while let Some(node) = self.behind_transfer.pop() {
            self.look_at();
            if !self.seen_behind_transfer.mark(node) {
                continue;
            }
            match self.roles.of(node) {
                Role::Compute { hw, .. } if hw == task.hw => self.compute(task, node, behind)?,
                Role::Collective { hw, .. } if hw == task.hw && !behind => self.collective(task, node)?,
                Role::Collective { hw, .. } if hw == task.hw => {}
                Role::Compute { .. } | Role::Collective { .. } if crossings_known => {}
                Role::Compute { .. } | Role::Collective { .. } => {
                    self.crossings.push(Crossing { source: node, edge: Some(transfer) });
                    self.crossed_by_transfer.mark(node);
                }
                Role::Transfer | Role::Passage => self.push_behind_transfer(node),
            }
        }
        Ok(())
    }

    fn push_behind_transfer(&mut self, node: NodeIndex) {
        let stack = &mut self.behind_transfer;
        self.shortcuts.transfers.push_parents(self.graph, node, stack, |found| found);
    }

    /// Something on the stage of the task that counts as computing.
    fn compute(&mut self, task: Task, node: NodeIndex, behind: bool) -> Result<()> {
        if !behind && self.in_computes.mark(node) {
            self.check_executed(task, node)?;
            self.computes.push(node);
        }
        Ok(())
    }

    fn collective(&mut self, task: Task, node: NodeIndex) -> Result<()> {
        if self.in_collectives.mark(node) {
            self.check_executed(task, node)?;
            self.collectives.push(node);
        }
        Ok(())
    }

    /// Something on another stage.
    fn cross(&mut self, source: NodeIndex, edge: Option<NodeIndex>) {
        if self.crossed.mark(source) {
            self.position_of_crossing[source.at()] = self.crossings.len() as u32;
            self.crossings.push(Crossing { source, edge });
        } else if edge.is_some() {
            self.crossings[self.position_of_crossing[source.at()] as usize].edge = edge;
        }
    }

    fn check_executed(&self, task: Task, node: NodeIndex) -> Result<()> {
        let (Role::Compute { absence: Some(absence), .. } | Role::Collective { absence: Some(absence), .. }) =
            self.roles.of(node)
        else {
            return Ok(());
        };
        let (why, switch) = match absence {
            Absence::SingleReplica if task.absent => return Ok(()),
            Absence::SingleReplica => {
                ("a data-parallel collective of a single replica", "single_rank_collectives")
            }
            Absence::Placeholder => ("a placeholder", "placeholders"),
            Absence::Unreached => ("which no root reaches", "unreached_nodes"),
        };
        let (waiting, found) = (self.graph.quoted(task.node), self.graph.quoted(node));
        let message = format!("{waiting} waits for {found} (node {}), {why}; it is not executed", node.0);
        Err(self.unmended(task.node, message, switch))
    }

    /// The error for what DeepFlow cannot do and a switch would mend.
    fn unmended(&self, node: NodeIndex, message: String, switch: &str) -> Error {
        Error::input(message)
            .key(self.graph.key(node))
            .hint(format!("DeepFlow fails here too; the switch `{switch}` mends it"))
    }

    /// Adds what was found to the results.
    fn write(&mut self, task: Task) -> Result<()> {
        for &node in &self.computes {
            self.found.local.push(node);
        }
        for &node in &self.collectives {
            if !self.in_computes.has(node) {
                self.found.local.push(node);
            } else if !self.mends.repeated_dependencies {
                let (waiting, found) = (self.graph.quoted(task.node), self.graph.quoted(node));
                let message = format!("{waiting} waits for {found} both directly and through a transfer");
                return Err(self.unmended(task.node, message, "repeated_dependencies"));
            }
        }
        for crossing in &self.crossings {
            // What is transferred has then arrived.
            let implied = crossing.edge.is_none() && self.crossed_by_transfer.has(crossing.source);
            if !implied {
                self.found.crossing.push(*crossing);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

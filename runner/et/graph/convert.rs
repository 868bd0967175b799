//! From a graph to the traces of all ranks.
//!
//! Rank = replica × stages + stage. The replicas of a stage execute the same program with other peers, so programs are
//! made once per stage, and files are written from them in parallel. The same graph and options give the same bytes,
//! whatever the number of threads.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use astra_engine::CollectiveType;

use super::groups::{self, Groups};
use super::mends::{ConvertOptions, Mends};
use super::messages::{self, Messages};
use super::model::{Graph, NodeIndex, Work};
use super::parallel::in_parallel;
use super::program::{self, Program, Step};
use super::roles::{self, Roles};
use super::{schedule, sources};
use crate::et::bundle::{Bundle, FileWriter, Summary, check_ranks};
use crate::et::schema::Node;
use crate::{Notice, Result};

/// The beginning of the names of the files that a graph becomes.
pub const GRAPH_PREFIX: &str = "llm_graph";

/// What a graph became.
#[derive(Clone, Debug)]
pub struct Converted {
    /// The traces.
    pub bundle: Bundle,
    /// The communicator groups with their ranks, in ring order.
    pub groups: BTreeMap<u32, Vec<u32>>,
    /// The axes along which ranks lie, which a network for them covers; `None` when the graph has no layout.
    pub axes: Option<Vec<String>>,
    /// What is odd about the graph, but not wrong.
    pub notices: Vec<Notice>,
    /// How many ranks the graph has; one less than the bundle where a single rank has been duplicated.
    pub graph_ranks: u32,
}

/// Converts a graph, writing traces on several threads.
///
/// # Errors
/// The graph cannot be executed, in DeepFlow's way if the options ask for that; with the key path of a node.
pub fn convert(graph: &Graph, options: &ConvertOptions, jobs: NonZeroUsize) -> Result<Converted> {
    let mends = &options.mends;
    let roles = roles::assign(graph, mends)?;
    check_ranks(roles.stages.len() as u64 * u64::from(graph.replicas()))?;
    let sources = sources::find(graph, &roles, mends)?;
    let order = schedule::order(graph, &roles, &sources);
    let messages = messages::plan(graph, &roles, mends, &order, &sources)?;
    let programs = program::programs(graph, &roles, &order, &sources, &messages);
    let groups = groups::form(graph, &roles)?;
    let notices = groups::notices(graph, &roles, &groups);

    let scene =
        Scene { graph, mends, roles: &roles, messages: &messages, programs: &programs, groups: &groups };
    let ranks = programs.len() * graph.replicas() as usize;
    let mut bundle = Bundle::of_ranks(in_parallel(ranks, jobs, |rank| scene.write(rank)))?;
    if options.duplicate_single_rank && ranks == 1 {
        bundle.file_of_rank.push(0);
    }
    let axes = graph.layout().map(|layout| layout.active_axes());
    Ok(Converted { bundle, groups: groups.members, axes, notices, graph_ranks: ranks as u32 })
}

/// Everything that is known before the first file is written.
struct Scene<'a> {
    graph: &'a Graph,
    mends: &'a Mends,
    roles: &'a Roles,
    messages: &'a Messages,
    programs: &'a [Program],
    groups: &'a Groups,
}

impl Scene<'_> {
    /// Writes the trace of a rank.
    fn write(&self, rank: usize) -> Result<(Arc<[u8]>, Summary)> {
        let stages = self.programs.len();
        let (replica, stage) = ((rank / stages) as u32, (rank % stages) as u32);
        let program = &self.programs[stage as usize];
        let mut file = FileWriter::new();
        for (id, step) in program.steps.iter().enumerate() {
            let node = self.node(id as u64, *step, stage, replica)?;
            file.node(&node.after(program.dependencies.row(id).iter().copied()))?;
        }
        Ok(file.finish())
    }

    fn node(&self, id: u64, step: Step, stage: u32, replica: u32) -> Result<Node> {
        Ok(match step {
            Step::Compute(node) => self.compute(id, node, replica),
            Step::Collective(node) => self.collective(id, node, stage, replica)?,
            Step::Send(message) => {
                let message = &self.messages.all[message as usize];
                let name = self.message_name(message, "send", replica);
                let (to, tag) = (self.rank(message.to, replica), message.tag(replica) as i32);
                Node::send(id, name, to, message.bytes as i64, tag)
            }
            Step::Receive(message) => {
                let message = &self.messages.all[message as usize];
                let name = self.message_name(message, "recv", replica);
                let (from, tag) = (self.rank(message.from, replica), message.tag(replica) as i32);
                Node::recv(id, name, from, message.bytes as i64, tag)
            }
        })
    }

    fn compute(&self, id: u64, node: NodeIndex, replica: u32) -> Node {
        let seconds = match self.graph.work(node) {
            Work::Compute { seconds, .. } => self.graph.seconds(seconds, replica),
            _ => 0.0,
        };
        // Traces count whole microseconds; DeepFlow rounds halves to even ones.
        let micros = (seconds * 1e6).round_ties_even() as u64;
        Node::compute(id, format!("{}_{}", self.graph.name(node), self.graph.op(node)), micros)
    }

    fn collective(&self, id: u64, node: NodeIndex, stage: u32, replica: u32) -> Result<Node> {
        let kind = roles::collective(self.graph, self.mends, node)?.unwrap_or(CollectiveType::AllReduce);
        let bytes = match self.graph.work(node) {
            Work::Communication { bytes, .. } => bytes as i64,
            _ => 0,
        };
        Ok(match self.groups.of(node, replica) {
            Some((label, group)) => Node::collective(id, label, kind, bytes, Some(group)),
            None => {
                let name = format!("{}_{}_dp{replica}", self.graph.name(node), self.graph.op(node));
                Node::collective(id, name, kind, bytes, Some(stage + 1))
            }
        })
    }

    fn message_name(&self, message: &messages::Message, end: &str, replica: u32) -> String {
        let edge = message.edge.map_or("pipeline", |edge| self.graph.name(edge));
        if message.is_control { format!("{edge}_{end}_control") } else { format!("{edge}_{end}_dp{replica}") }
    }

    /// The rank of a stage on a replica. The number of ranks has been checked.
    fn rank(&self, stage: u32, replica: u32) -> i32 {
        (replica * self.roles.stages.len() as u32 + stage) as i32
    }
}

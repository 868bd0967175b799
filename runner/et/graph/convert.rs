//! From a graph to the traces of all ranks.
//!
//! Rank = replica × stages + stage. The replicas of a stage execute the same program with other peers, so programs are
//! made once per stage, and files are written from them in parallel. The same graph and options give the same bytes,
//! whatever the number of threads.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use super::emit::Scene;
use super::mends::ConvertOptions;
use super::model::Graph;
use super::{groups, messages, program, roles, schedule, sources};
use crate::et::bundle::{Bundle, check_ranks};
use crate::et::parallel::in_parallel;
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
    /// The axes along which ranks lie, which a network for them covers, data parallelism last. Empty when there is one
    /// rank, `None` when the graph has no layout.
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

    let scene = Scene { graph, mends, messages: &messages, programs: &programs, groups: &groups };
    let ranks = programs.len() * graph.replicas() as usize;
    let mut bundle = Bundle::of_ranks(in_parallel(ranks, jobs, |rank| scene.write(rank)))?;
    if options.duplicate_single_rank && ranks == 1 {
        bundle.file_of_rank.push(0);
    }
    let axes = graph.layout().map(|layout| layout.active_axes());
    Ok(Converted { bundle, groups: groups.members, axes, notices, graph_ranks: ranks as u32 })
}

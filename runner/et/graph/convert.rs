//! From a graph to the traces of all ranks.
//!
//! Rank = replica × stages + stage. The replicas of a stage execute the same program with other peers, so programs are
//! made once per stage, and files are written from them in parallel. The same graph and options give the same bytes,
//! whatever the number of threads.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use super::emit::Scene;
use super::groups::{self, Groups};
use super::mends::ConvertOptions;
use super::messages::{self, Messages};
use super::model::Graph;
use super::program::{self, Program};
use super::{roles, schedule, sources};
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

/// How much a graph becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// How many traces there will be.
    pub ranks: u32,
    /// How many nodes all of them have together.
    pub nodes: u64,
}

/// What a graph is to become: everything is decided, and no trace is written.
#[derive(Debug)]
pub struct Plan<'a> {
    graph: &'a Graph,
    options: &'a ConvertOptions,
    messages: Messages,
    /// By stage; all replicas execute the same.
    programs: Vec<Program>,
    groups: Groups,
    notices: Vec<Notice>,
}

impl<'a> Plan<'a> {
    /// Decides what a graph becomes, which takes as long for one replica as for many.
    ///
    /// # Errors
    /// The graph cannot be executed, in DeepFlow's way if the options ask for that; with the key path of a node.
    pub fn of(graph: &'a Graph, options: &'a ConvertOptions) -> Result<Self> {
        let mends = &options.mends;
        let roles = roles::assign(graph, mends)?;
        check_ranks(roles.stages.len() as u64 * u64::from(graph.replicas()))?;
        let sources = sources::find(graph, &roles, mends)?;
        let order = schedule::order(graph, &roles, &sources);
        let messages = messages::plan(graph, &roles, mends, &order, &sources)?;
        let programs = program::programs(graph, &roles, &order, &sources, &messages);
        let groups = groups::form(graph, &roles)?;
        let notices = groups::notices(graph, &roles, &groups);
        Ok(Self { graph, options, messages, programs, groups, notices })
    }

    /// What is odd about the graph, but not wrong.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// How much it will be.
    pub fn extent(&self) -> Extent {
        let of_replica: u64 = self.programs.iter().map(|program| program.steps.len() as u64).sum();
        let copies = if self.is_duplicated() { 2 } else { u64::from(self.graph.replicas()) };
        let ranks = self.programs.len() as u64 * copies;
        Extent { ranks: ranks as u32, nodes: of_replica * copies }
    }

    /// How many bytes all traces will have together, about: those of one replica times the number of replicas, which
    /// differ in how many digits their numbers have.
    ///
    /// # Errors
    /// As for [`Plan::write`].
    pub fn estimate_bytes(&self, jobs: NonZeroUsize) -> Result<u64> {
        let scene = self.scene();
        let stages = self.programs.len();
        let of_replica =
            in_parallel(stages, jobs, |rank| scene.write(rank).map(|(bytes, _)| bytes.len() as u64));
        let of_replica = of_replica.into_iter().sum::<Result<u64>>()?;
        Ok(of_replica * (u64::from(self.extent().ranks) / stages as u64))
    }

    /// Writes the traces on several threads.
    ///
    /// # Errors
    /// A collective is of a kind that is not simulated.
    pub fn write(self, jobs: NonZeroUsize) -> Result<Converted> {
        let scene = self.scene();
        let ranks = self.programs.len() * self.graph.replicas() as usize;
        let mut bundle = Bundle::of_ranks(in_parallel(ranks, jobs, |rank| scene.write(rank)))?;
        if self.is_duplicated() {
            bundle.file_of_rank.push(0);
        }
        let axes = self.graph.layout().map(|layout| layout.active_axes());
        let (groups, notices) = (self.groups.members, self.notices);
        Ok(Converted { bundle, groups, axes, notices, graph_ranks: ranks as u32 })
    }

    fn scene(&self) -> Scene<'_> {
        let Self { graph, options, messages, programs, groups, .. } = self;
        Scene { graph, mends: &options.mends, messages, programs, groups }
    }

    fn is_duplicated(&self) -> bool {
        self.options.duplicate_single_rank && self.programs.len() == 1 && self.graph.replicas() == 1
    }
}

/// Converts a graph, writing traces on several threads.
///
/// # Errors
/// The graph cannot be executed, in DeepFlow's way if the options ask for that; with the key path of a node.
pub fn convert(graph: &Graph, options: &ConvertOptions, jobs: NonZeroUsize) -> Result<Converted> {
    Plan::of(graph, options)?.write(jobs)
}

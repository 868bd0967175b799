//! The collective algorithms as small state machines, one per file: they count steps and name peers, and know
//! nothing of events, messages in flight or queues.
//!
//! All alternate a memory step with an exchange of messages. [`Steps`] is what a phase fixes for every rank
//! and chunk, and [`Machine`] is the progress of one chunk on one rank.

pub(super) mod direct;
pub(super) mod halving_doubling;
pub(super) mod ring;
mod rounds;
pub(super) mod tree;

use super::plan::reduction;
use crate::collective::{Algorithm, CollectiveType};
use crate::dialect::Dialect;
use crate::error::NodeProblem;
use crate::units::{GbPerSec, Nanos};
use rounds::Rounds;

/// What the members of a phase are to do together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    pub(super) algorithm: Algorithm,
    pub(super) collective: CollectiveType,
    /// Number of members.
    pub(super) count: u32,
    /// Input of a member in bytes.
    pub(super) size: u64,
    /// Whether the members are a communicator group that is not all ranks.
    pub(super) in_group: bool,
}

impl Job {
    /// The size of a message, or of the smallest where they differ.
    fn message(&self, dialect: Dialect) -> Result<u64, NodeProblem> {
        use Algorithm::{Direct, DoubleBinaryTree, OneDirect, OneRing, Ring};
        use CollectiveType::{AllGather, AllReduce, AllToAll};
        let Self { algorithm, collective, count, size, .. } = *self;
        let full = match (algorithm, collective) {
            (DoubleBinaryTree, _) | (_, AllGather) => size,
            _ => size / u64::from(count),
        };
        // DeepFlow's rings are meant to go both ways, which it simulates as half the messages one way.
        let two_way = matches!(algorithm, Ring | OneRing | Direct { .. } | OneDirect { .. });
        let other = dialect == Dialect::DeepFlow && two_way;
        let message = match collective {
            AllReduce | AllGather if other => full / 2,
            AllToAll if other => size,
            _ => full,
        };
        match (message, collective) {
            (0, AllReduce | AllGather) if other => {
                Err(NodeProblem::HalvedToZero { algorithm, collective, message: full })
            }
            (0, _) => Err(NodeProblem::ZeroBytes),
            _ => Ok(message),
        }
    }
}

/// What a phase's algorithm is, with its constants.
#[derive(Clone, Copy, Debug)]
pub(super) enum Steps {
    Ring(ring::RingSteps),
    Direct(direct::DirectSteps),
    HalvingDoubling(halving_doubling::HalvingSteps),
    Tree(tree::TreeSteps),
    /// Given by a trace.
    Custom,
}

impl Steps {
    /// The constants of a job.
    pub(super) fn new(job: &Job, dialect: Dialect, memory: GbPerSec) -> Result<Self, NodeProblem> {
        let Job { algorithm, collective, count, size, in_group } = *job;
        let message = job.message(dialect)?;
        let time = reduction(message, memory);
        Ok(match algorithm {
            Algorithm::Ring
            | Algorithm::OneRing
            | Algorithm::Mesh
            | Algorithm::HyperCube
            | Algorithm::Torus2D => {
                Self::Ring(ring::RingSteps::new(Rounds::of(algorithm, collective, count), message, time))
            }
            Algorithm::Direct { window } | Algorithm::OneDirect { window } => {
                let window = window.map_or(count - 1, |window| window.min(count - 1));
                if window == 0 {
                    return Err(NodeProblem::ZeroWindow);
                }
                Self::Direct(direct::DirectSteps::new(collective, count, message, window, in_group, time))
            }
            Algorithm::HalvingDoubling | Algorithm::OneHalvingDoubling => {
                Self::HalvingDoubling(halving_doubling::HalvingSteps::new(collective, count, size))
            }
            Algorithm::DoubleBinaryTree => Self::Tree(tree::TreeSteps { size, reduction: time }),
            Algorithm::Mesh2D => return Err(NodeProblem::Algorithm(algorithm, collective)),
        })
    }

    /// The largest size that a memory step works on.
    pub(super) fn largest_step(&self) -> u64 {
        match self {
            Self::Ring(steps) => steps.message,
            Self::Direct(steps) => steps.message,
            Self::HalvingDoubling(steps) => steps.largest_step(),
            Self::Tree(steps) => steps.size,
            Self::Custom => 0,
        }
    }

    /// What the phase leaves of its input for the next phase; `None` if that does not fit 64 bits.
    pub(super) fn final_size(&self, collective: CollectiveType, count: u32, size: u64) -> Option<u64> {
        match (self, collective) {
            (Self::Tree(_), _) => Some(size),
            (_, CollectiveType::ReduceScatter) => Some(size / u64::from(count)),
            (_, CollectiveType::AllGather) => size.checked_mul(u64::from(count)),
            _ => Some(size),
        }
    }
}

/// Progress of one chunk in its current phase on one rank.
#[derive(Clone, Copy, Debug)]
pub(super) enum Machine {
    /// Not started.
    Idle,
    Ring(ring::Ring),
    Direct(direct::Direct),
    HalvingDoubling(halving_doubling::Halving),
    Tree(tree::Tree),
    /// The run of a trace with this number.
    Custom {
        run: u32,
    },
}

/// One message to send and one to receive, of equal size; peers as indices among the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exchange {
    pub(super) to: u32,
    pub(super) from: u32,
    pub(super) size: u64,
}

/// A memory step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MemoryStep {
    /// Whether a reduction follows the endpoint delay.
    pub(super) reduces: bool,
    /// Over a shared bus: whether the data goes out to the memory, not in from it.
    pub(super) outwards: bool,
    /// Over a shared bus: whether the data goes back once it was processed.
    pub(super) back: bool,
}

impl MemoryStep {
    /// A step that sends data out and does nothing more.
    pub(super) const OUT: Self = Self { reduces: false, outwards: true, back: false };
    /// A step that takes data in and does nothing more.
    pub(super) const IN: Self = Self { reduces: false, outwards: false, back: false };
}

/// Decides which memory steps reduce. Steps are counted in cycles; the first `plain` of a cycle never reduce.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cycle {
    length: u64,
    plain: u64,
    position: u64,
    odd: bool,
}

impl Cycle {
    pub(super) const fn new(length: u64, plain: u64) -> Self {
        Self { length, plain, position: 0, odd: false }
    }

    /// The next step. After the plain ones it reduces: in a reduce-scatter always, in an all-reduce in every
    /// other cycle, else never.
    pub(super) fn step(&mut self, collective: CollectiveType) -> MemoryStep {
        let outwards = self.position < self.plain;
        let reduces = match collective {
            CollectiveType::ReduceScatter => true,
            CollectiveType::AllReduce => !self.odd,
            _ => false,
        };
        let step = MemoryStep {
            reduces: reduces && !outwards,
            outwards,
            back: !outwards && self.length - self.position > self.plain,
        };
        self.position += 1;
        if self.position == self.length {
            self.position = 0;
            self.odd = !self.odd;
        }
        step
    }
}

/// The member `distance` places from `own`, with or against the direction of ascending indices.
pub(super) const fn neighbour(own: u32, distance: u32, count: u32, clockwise: bool) -> u32 {
    let distance = if clockwise { distance } else { count - distance };
    // Both are below `count`, so one subtraction brings the sum back; 64 bits keep it from overflowing.
    let sum = own as u64 + distance as u64;
    (if sum >= count as u64 { sum - count as u64 } else { sum }) as u32
}

/// The reduction time of a step of a chunk that is in this state.
pub(super) fn reduction_of(steps: &Steps, machine: &Machine, memory: GbPerSec) -> Nanos {
    match (steps, machine) {
        (Steps::Ring(steps), _) => steps.reduction,
        (Steps::Direct(steps), _) => steps.reduction,
        (Steps::Tree(steps), _) => steps.reduction,
        (Steps::HalvingDoubling(_), Machine::HalvingDoubling(state)) => {
            reduction(state.packet_size(), memory)
        }
        (Steps::HalvingDoubling(_) | Steps::Custom, _) => Nanos(0),
    }
}

/// The size that a memory step of a chunk in this state works on.
pub(super) fn step_size(steps: &Steps, machine: &Machine) -> u64 {
    match (steps, machine) {
        (Steps::Ring(steps), _) => steps.message,
        (Steps::Direct(steps), _) => steps.message,
        (Steps::Tree(steps), _) => steps.size,
        (Steps::HalvingDoubling(_), Machine::HalvingDoubling(state)) => state.packet_size(),
        (Steps::HalvingDoubling(_) | Steps::Custom, _) => 0,
    }
}

//! Why a simulation could not be carried out. Messages read well after "error: ".

use crate::collective::{Algorithm, CollectiveType};
use crate::network::NetworkProblem;
use crate::stall::Stall;
use crate::system::SystemProblem;
use crate::units::{Nanos, Rank};
use crate::unroutable::Unroutable;
use crate::workload::{GroupId, WorkloadProblem};
use std::fmt;

/// Why [`crate::simulate`] gave no report.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// The network cannot be simulated.
    Network {
        /// The dimension with the problem, if it is in one.
        dimension: Option<usize>,
        /// What is wrong.
        problem: NetworkProblem,
    },
    /// The system settings cannot be used.
    System(SystemProblem),
    /// The workload as a whole does not fit.
    Workload(WorkloadProblem),
    /// A node cannot be executed.
    Node(Box<NodeError>),
    /// A message has no route through the network.
    Unroutable(Box<Unroutable>),
    /// Events ran out before every rank had finished.
    Stalled(Box<Stall>),
    /// The clock passed the largest time that the simulator counts exactly.
    ClockRange,
    /// The caller asked to stop.
    Interrupted,
}

/// A node that cannot be executed.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeError {
    /// The rank that reached it.
    pub rank: Rank,
    /// Its id.
    pub node: u64,
    /// Its name.
    pub name: String,
    /// When the rank reached it.
    pub at: Nanos,
    /// What is wrong.
    pub problem: NodeProblem,
}

/// What is wrong with a node.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeProblem {
    /// A communication node is marked as a CPU operation.
    CommunicationOnCpu,
    /// A metadata node; the simulator has no meaning for it.
    Metadata,
    /// The duration in nanoseconds does not fit 64 bits.
    Duration,
    /// The roofline model needs operations and bytes, and the node does not have both.
    NoWork,
    /// The roofline model has no finite time: no operations, or neither bandwidth nor peak performance.
    EndlessWork,
    /// A message, or a step of a collective, of 0 bytes.
    ZeroBytes,
    /// Dialect `deepflow` halves the messages of a collective, and nothing is left.
    HalvedToZero {
        /// The algorithm.
        algorithm: Algorithm,
        /// The collective.
        collective: CollectiveType,
        /// The message in bytes before it is halved: 0 or 1.
        message: u64,
    },
    /// A tag of 2^31 or more.
    Tag(u32),
    /// The peer is not a rank of the network.
    NoSuchRank(Rank),
    /// The peer is not a member of the group.
    NoSuchMember {
        /// Index of the member.
        member: u32,
        /// How many there are.
        members: usize,
    },
    /// A message to the sending rank itself, which this network cannot route.
    ToItself,
    /// A message of 2^31 bytes or more under the rendezvous protocol.
    RendezvousSize(u64),
    /// The collective type is not simulated.
    Collective(CollectiveType),
    /// The system has no algorithm for the collective.
    NoAlgorithm(CollectiveType),
    /// The algorithm cannot carry out the collective.
    Algorithm(Algorithm, CollectiveType),
    /// The algorithm needs a power of two.
    NotPowerOfTwo(Algorithm, u32),
    /// A tree as last of a list that is shorter than the network.
    TreeShortList(usize, usize),
    /// The algorithm cannot run on a communicator group.
    AlgorithmOnGroup(Algorithm, GroupId),
    /// A window of 0 messages.
    ZeroWindow,
    /// A system setting that must be at least 1 when a collective runs is 0.
    ZeroSetting(&'static str),
    /// An all-gather of fewer bytes than there are chunks.
    SmallAllGather {
        /// Its size in bytes.
        size: u64,
        /// The chunks asked for.
        splits: u32,
    },
    /// A custom collective is one chunk, and the system asks for another number.
    CustomChunks {
        /// The custom collective.
        name: String,
        /// Chunks that the size and `preferred-dataset-splits` give.
        chunks: u32,
    },
    /// A custom collective has no trace for the member that the rank is.
    NoCustomTrace {
        /// The custom collective.
        name: String,
        /// The rank; in a group its place among the members in ascending order.
        member: u32,
    },
    /// A node of a custom collective cannot be executed.
    InCustom {
        /// The custom collective.
        name: String,
        /// The member whose trace has the node.
        member: u32,
        /// The node's id.
        node: u64,
        /// What is wrong with it.
        problem: Box<NodeProblem>,
    },
    /// The shared bus carries less than 2^31 bytes at once.
    BusSize(u64),
    /// More chunks than a collective may have.
    TooManyChunks(u64),
    /// A size along the phases does not fit 64 bits.
    SizeRange,
    /// No dimension in which the collective could run: a group of one, or none involved.
    NoDimension,
    /// The group does not exist.
    UnknownGroup(GroupId),
    /// The rank is not a member of the group.
    NotMember(GroupId),
    /// A memory node without remote memory.
    NoRemoteMemory,
    /// The rank's memory number is beyond the number of memories.
    MemoryNumber {
        /// The memory that the rank would use.
        memory: u32,
        /// How many there are.
        memories: u32,
    },
    /// A remote memory of bandwidth 0.
    MemoryBandwidth,
}

impl fmt::Display for NodeProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommunicationOnCpu => {
                f.write_str("a communication node cannot be a CPU operation; set is_cpu_op to false")
            }
            Self::Metadata => f.write_str("metadata nodes cannot be simulated; remove it from the trace"),
            Self::Duration => f.write_str("its duration exceeds 2^64 ns"),
            Self::NoWork => f.write_str("the roofline model needs num_ops and tensor_size on every GPU computation"),
            Self::EndlessWork => f.write_str(
                "the roofline model gives no finite time; num_ops, local-mem-bw and peak-perf must be above 0",
            ),
            Self::ZeroBytes => f.write_str("a message of 0 bytes cannot be sent; give a larger size"),
            Self::HalvedToZero { algorithm, collective, message } => write!(
                f,
                "in dialect deepflow {algorithm} halves the messages of {collective}, and half of {message} byte(s) is \
                 0; give a larger size or fewer preferred-dataset-splits"
            ),
            Self::Tag(tag) => write!(f, "tag {tag} is 2^31 or more"),
            Self::NoSuchRank(rank) => write!(f, "the network has no rank {rank}"),
            Self::NoSuchMember { member, members } => {
                write!(f, "its peer is member {member} of a group of {members}")
            }
            Self::ToItself => f.write_str("this network cannot route a message from a rank to itself"),
            Self::RendezvousSize(size) => {
                write!(f, "{size} bytes; the rendezvous protocol carries messages below 2^31 bytes")
            }
            Self::Collective(collective) => write!(
                f,
                "collective {collective} is not simulated; there are all_reduce, all_gather, reduce_scatter, \
                 all_to_all and broadcast"
            ),
            Self::NoAlgorithm(collective) => write!(f, "the system names no algorithm for {collective}"),
            Self::Algorithm(Algorithm::Mesh2D, collective) => write!(
                f,
                "mesh2d never completes {collective}: its first and last member wait for neighbours that do not exist; \
                 use mesh or torus2d"
            ),
            Self::Algorithm(algorithm, collective) => write!(f, "{algorithm} cannot carry out {collective}"),
            Self::NotPowerOfTwo(algorithm, members) => {
                write!(f, "{algorithm} needs a power of two, there are {members} members; use ring or direct")
            }
            Self::TreeShortList(algorithms, dimensions) => write!(
                f,
                "doubleBinaryTree ends a list of {algorithms} algorithm(s) for a network of {dimensions} dimensions; \
                 give one per dimension"
            ),
            Self::AlgorithmOnGroup(algorithm, group) => {
                write!(f, "{algorithm} cannot run on communicator group {group}; use ring, direct or halvingDoubling")
            }
            Self::ZeroWindow => f.write_str("direct0 has room for no message; use direct or a window of 1 or more"),
            Self::ZeroSetting(key) => write!(f, "{key} is 0; a collective needs at least 1"),
            Self::SmallAllGather { size, splits } => write!(
                f,
                "an all-gather of {size} bytes cannot be cut into {splits} chunks; give a larger size or fewer \
                 preferred-dataset-splits"
            ),
            Self::CustomChunks { name, chunks } => write!(
                f,
                "custom collective {name} is one chunk, the collective would be {chunks}; set \
                 preferred-dataset-splits to 1"
            ),
            Self::NoCustomTrace { name, member } => {
                write!(f, "custom collective {name} has no trace for member {member} ({name}.{member}.et)")
            }
            Self::InCustom { name, member, node, problem } => {
                write!(f, "node {node} of {name}.{member}.et: {problem}")
            }
            Self::BusSize(size) => {
                write!(f, "{size} bytes in one step; the shared bus carries steps below 2^31 bytes")
            }
            Self::TooManyChunks(chunks) => {
                write!(f, "the collective would be cut into {chunks} chunks; use fewer preferred-dataset-splits")
            }
            Self::SizeRange => f.write_str("a size along the collective's phases exceeds 2^64 bytes"),
            Self::NoDimension => f.write_str(
                "the collective has no dimension to run in: its group has one member, or involved_dim excludes all",
            ),
            Self::UnknownGroup(group) => write!(f, "communicator group {group} is not defined"),
            Self::NotMember(group) => write!(f, "the rank is not a member of communicator group {group}"),
            Self::NoRemoteMemory => f.write_str("a memory node needs a remote memory, and the memory-type is none"),
            Self::MemoryNumber { memory, memories } => {
                write!(f, "the rank would use remote memory {memory}, but there are {memories}; raise num-nodes")
            }
            Self::MemoryBandwidth => f.write_str("remote-mem-bw is 0; a memory access needs at least 1"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network { dimension: Some(dimension), problem } => {
                write!(f, "network dimension {dimension}: {problem}")
            }
            Self::Network { dimension: None, problem } => problem.fmt(f),
            Self::System(problem) => problem.fmt(f),
            Self::Workload(problem) => problem.fmt(f),
            Self::Node(error) => error.fmt(f),
            Self::Unroutable(unroutable) => unroutable.fmt(f),
            Self::Stalled(stall) => stall.fmt(f),
            Self::ClockRange => {
                f.write_str("the simulated time exceeds 2^53 ns (104 days), beyond which it is not exact")
            }
            Self::Interrupted => f.write_str("the simulation was interrupted"),
        }
    }
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {}, node {} `{}`, at {}: {}", self.rank, self.node, self.name, self.at, self.problem)
    }
}

impl std::error::Error for Error {}

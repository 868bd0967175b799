//! Discrete-event simulator of distributed machine-learning workloads, cycle-exact with ASTRA-sim's
//! analytical models.
//!
//! Values in, report out: no I/O, no clock, no threads. A [`Network`], a [`System`] and a [`Workload`] give a
//! [`Report`] or an [`Error`] that says which rank and node broke which rule. One cycle is one nanosecond.

#![forbid(unsafe_code)]

mod chain_set;
mod collective;
mod custom;
mod cycle;
mod dialect;
mod error;
mod link_record;
mod names;
mod network;
mod node_record;
mod observer;
mod report;
mod sim;
mod stall;
mod system;
mod trace;
mod units;
mod unroutable;
mod workload;

pub use collective::{Algorithm, AlgorithmError, CollectiveType, InvolvedDims};
pub use custom::{CustomCollective, CustomCollectives, CustomTrace};
pub use dialect::Dialect;
pub use error::{Error, NodeError, NodeProblem};
pub use link_record::{LinkFigures, LinkRecord};
pub use names::UnknownName;
pub use network::{Dimension, FaultProblem, FaultyLink, Network, NetworkModel, NetworkProblem, Topology};
pub use node_record::{NodeRecord, NodeTimes};
pub use observer::{ChunkPhase, Device, Link, Message, NodeOf, Observer, Transmission};
pub use report::{RankReport, Report};
pub use sim::{Options, simulate, simulate_observed, simulate_until, simulate_with};
pub use stall::{Awaited, Blocked, CollectivePlace, Diagnosis, Stall, Unmatched, UnmatchedState, Wait};
pub use system::{CollectiveOptimization, MemoryTiming, RemoteMemory, SharedBus, System, SystemProblem};
pub use trace::{Node, NodeKind, Trace, TraceBuilder, TraceError, Work};
pub use units::{Bytes, GbPerSec, GibPerSec, Micros, Nanos, Rank, Tflops};
pub use unroutable::{DeadLink, RouteProblem, Unroutable};
pub use workload::{GroupId, Workload, WorkloadProblem};

/// Version of the results: bumped exactly when the same input gives another report. Part of the key of every
/// run.
pub const SEMANTIC_VERSION: u32 = 1;

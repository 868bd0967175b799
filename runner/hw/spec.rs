//! The canonical description of a network: what simulation reads of a hardware file, and nothing else.
//!
//! Its bytes are the output of the `hw` step; [`SPEC_VERSION`] is the version of both.

use astra_engine::Topology;
use astra_policy::Collective;
use serde::{Deserialize, Serialize};

use super::topology;
use crate::{Error, Result};

/// Version of the canonical form and of how a hardware file is read into it: raised when equal files would give other
/// bytes, whether the form changes or a rule.
pub const SPEC_VERSION: u32 = 1;

/// A parallelism axis that counts as devices, in the order in which rank counts are matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// Tensor parallelism.
    Tp,
    /// Context parallelism.
    Cp,
    /// Pipeline (layer) parallelism.
    Lp,
    /// Data parallelism.
    Dp,
}

impl Axis {
    /// All axes, in matching order.
    pub const ALL: [Self; 4] = [Self::Tp, Self::Cp, Self::Lp, Self::Dp];

    /// The name in hardware files and recipes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tp => "tp",
            Self::Cp => "cp",
            Self::Lp => "lp",
            Self::Dp => "dp",
        }
    }

    /// The axis of that name; case and blanks around it do not matter.
    ///
    /// # Errors
    ///
    /// Any other name, with what to write instead where that is known.
    pub fn parse(name: &str) -> Result<Self> {
        let lower = name.trim().to_lowercase();
        Self::ALL.into_iter().find(|axis| axis.name() == lower).ok_or_else(|| {
            let error =
                Error::input(format!("unknown parallelism axis `{name}`; the axes are tp, cp, lp, dp"));
            match lower.as_str() {
                "mb" => error.hint("micro-batches (`mb`) are not devices, so no dimension can carry them"),
                "pp" => error.hint("the pipeline axis is called `lp`"),
                _ => error,
            }
        })
    }
}

/// The degree of each axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parallelism {
    /// Tensor-parallel degree, ≥ 1.
    pub tp: u32,
    /// Context-parallel degree, ≥ 1.
    pub cp: u32,
    /// Pipeline stages, ≥ 1.
    pub lp: u32,
    /// Data-parallel degree, ≥ 1.
    pub dp: u32,
}

impl Parallelism {
    /// The degree of an axis.
    pub const fn degree(&self, axis: Axis) -> u32 {
        match axis {
            Axis::Tp => self.tp,
            Axis::Cp => self.cp,
            Axis::Lp => self.lp,
            Axis::Dp => self.dp,
        }
    }
}

/// An algorithm per collective, where the user chose one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectiveChoices {
    /// For all-reduce.
    pub all_reduce: Option<String>,
    /// For all-gather.
    pub all_gather: Option<String>,
    /// For reduce-scatter.
    pub reduce_scatter: Option<String>,
    /// For all-to-all.
    pub all_to_all: Option<String>,
}

impl CollectiveChoices {
    /// The choice for a collective, if any.
    pub fn get(&self, collective: Collective) -> Option<&str> {
        match collective {
            Collective::AllReduce => &self.all_reduce,
            Collective::AllGather => &self.all_gather,
            Collective::ReduceScatter => &self.reduce_scatter,
            Collective::AllToAll => &self.all_to_all,
        }
        .as_deref()
    }

    pub(super) fn set(&mut self, collective: Collective, algorithm: String) {
        let place = match collective {
            Collective::AllReduce => &mut self.all_reduce,
            Collective::AllGather => &mut self.all_gather,
            Collective::ReduceScatter => &mut self.reduce_scatter,
            Collective::AllToAll => &mut self.all_to_all,
        };
        *place = Some(algorithm);
    }
}

/// One dimension of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dimension {
    /// The user's name for it; `dim<index>` when the file gives none.
    pub id: String,
    /// Number of NPUs along it: the product of the degrees of its axes.
    pub size: u32,
    /// Rows and columns, when the file gives them and the topology has a shape.
    pub size_2d: Option<(u32, u32)>,
    /// Topology, under its name in the network file.
    #[serde(with = "topology::name")]
    pub topology: Topology,
    /// Effective link bandwidth in bytes per second: bandwidth × utilisation.
    pub bandwidth_bytes_per_s: f64,
    /// Latency of a hop in seconds.
    pub latency_s: f64,
    /// The axes laid along it.
    pub axes: Vec<Axis>,
    /// Algorithms fixed for this dimension.
    pub collectives: CollectiveChoices,
}

/// A degraded link.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultyLink {
    /// Rank at one end.
    pub src: u32,
    /// Rank at the other end.
    pub dst: u32,
    /// Remaining fraction of the bandwidth, 0 (dead) to 1 (healthy).
    pub health: f64,
}

impl From<FaultyLink> for astra_engine::FaultyLink {
    fn from(FaultyLink { src, dst, health }: FaultyLink) -> Self {
        Self { src, dst, health }
    }
}

/// Settings of the simulator's system layer that a hardware file may give.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SysOptions {
    /// Delay before every message step, in nanoseconds.
    pub endpoint_delay_ns: Option<u32>,
    /// Chunks of a collective active at once per dimension, ≥ 1.
    pub active_chunks_per_dimension: Option<u32>,
    /// Number of chunks a collective is split into, ≥ 1.
    pub preferred_dataset_splits: Option<u32>,
}

/// The network of a hardware file, as simulation reads it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSpec {
    /// Version of this form: [`SPEC_VERSION`].
    pub version: u32,
    /// Degrees of the parallelism axes.
    pub parallelism: Parallelism,
    /// Dimensions, fastest-varying first.
    pub dimensions: Vec<Dimension>,
    /// Degraded links.
    pub faulty_links: Vec<FaultyLink>,
    /// Algorithms chosen for all dimensions that do not fix their own.
    pub collectives: CollectiveChoices,
    /// Settings of the system layer.
    pub sys_options: SysOptions,
}

impl NetworkSpec {
    /// The canonical bytes: compact JSON in a fixed key order, floats in shortest round-trip form.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a struct of strings and numbers has a JSON form")
    }

    /// Reads canonical bytes back.
    ///
    /// # Errors
    ///
    /// Bytes that are not a network specification of this version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let spec: Self = serde_json::from_slice(bytes)
            .map_err(|error| Error::input(format!("not a network specification: {error}")))?;
        if spec.version != SPEC_VERSION {
            let message =
                format!("network specification of version {}, expected {SPEC_VERSION}", spec.version);
            return Err(Error::input(message));
        }
        Ok(spec)
    }
}

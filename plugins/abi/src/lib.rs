//! What a collective-algorithm policy is asked and what it answers, as plain values.
//!
//! A policy chooses, for one collective, the algorithm of every network dimension. Its decision must be a pure
//! function of the [`Request`]. This crate depends on nothing and must never know of files, recipes or the store.

use std::fmt;

/// A collective operation a policy can be asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Collective {
    /// Every rank ends with the reduction of all contributions.
    AllReduce,
    /// Every rank ends with the concatenation of all contributions.
    AllGather,
    /// Every rank ends with its share of the reduction.
    ReduceScatter,
    /// Every rank sends a distinct part to every other rank.
    AllToAll,
}

impl Collective {
    /// All collectives, in the order in which ASTRA-sim's system file lists them.
    pub const ALL: [Self; 4] = [Self::AllReduce, Self::AllGather, Self::ReduceScatter, Self::AllToAll];

    /// The name in recipes and hardware files: `all_reduce`, …
    pub const fn name(self) -> &'static str {
        match self {
            Self::AllReduce => "all_reduce",
            Self::AllGather => "all_gather",
            Self::ReduceScatter => "reduce_scatter",
            Self::AllToAll => "all_to_all",
        }
    }

    /// The collective of that name; `-` and `_` are the same.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.replace('-', "_");
        Self::ALL.into_iter().find(|collective| collective.name() == name)
    }
}

impl fmt::Display for Collective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The simulator that will run the collective: it decides which algorithms there are and what they cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// ASTRA-sim.
    AstraSim,
    /// DeepFlow's fork of it.
    DeepFlow,
}

/// One network dimension as the simulator will see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Dimension {
    /// The user's name of the dimension.
    pub id: String,
    /// Topology name as written to the network file: `Ring`, `FullyConnected`, `Switch`, …
    pub topology: String,
    /// Number of NPUs along this dimension.
    pub npus: u32,
    /// Link bandwidth in GiB/s (2^30 bytes per second).
    pub bandwidth_gib_per_s: f64,
    /// Latency of a hop in nanoseconds.
    pub latency_ns: f64,
    /// The algorithm the user fixed for this collective on this dimension, if any.
    pub fixed: Option<String>,
}

/// The question: which algorithm should `collective` use on each dimension?
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The collective asked about.
    pub collective: Collective,
    /// The simulator.
    pub dialect: Dialect,
    /// The algorithm the user chose for this collective on every dimension that does not fix its own, if any.
    pub global: Option<String>,
    /// The dimensions, fastest-varying first.
    pub dimensions: Vec<Dimension>,
}

/// Who decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DecidedBy {
    /// The user fixed the whole list in the recipe's `system` block.
    SystemOverride,
    /// The user fixed it in the recipe's `policy` section.
    RecipePolicy,
    /// The user fixed it for this dimension.
    DimensionOverride,
    /// The user chose it for this collective everywhere.
    GlobalChoice,
    /// The policy, by its own rule.
    Policy,
}

/// The algorithm for one dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Algorithm name as in ASTRA-sim's system file: `ring`, `direct`, `halvingDoubling`, …
    pub algorithm: String,
    /// Who decided.
    pub decided_by: DecidedBy,
    /// Why, in a few words for a reader.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collective_is_found_under_both_spellings_and_no_other() {
        assert_eq!(Collective::from_name("all-to-all"), Some(Collective::AllToAll));
        for collective in Collective::ALL {
            assert_eq!(Collective::from_name(collective.name()), Some(collective));
        }
        assert_eq!(Collective::from_name("allreduce"), None);
    }
}

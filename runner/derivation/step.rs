//! The kinds of step a point goes through, and values that exist once for each.

use std::fmt;
use std::ops::{Index, IndexMut};

use serde::{Deserialize, Serialize};

/// The derivations of a point: `hw` → `policy` → `configs` → `run`, `hw` → `configs` and `et` → `run`; and `et` → `policy`
/// and `et` → `configs` where only the traces say what the ranks ask of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepKind {
    /// Hardware YAML → canonical network specification.
    Hw,
    /// Workload → execution traces, one per rank.
    Et,
    /// Network specification, policy, the collectives asked about → decision table.
    Policy,
    /// Network specification, decisions, rank count → simulator configuration files.
    Configs,
    /// Configuration files, traces, engine → per-rank times.
    Run,
}

/// What says what the ranks of a point ask of the network: how many they are, and which collectives they carry out. The
/// recipe settles which of the two it is, so the graph of derivations is known before any of them is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DemandFrom {
    /// The recipe.
    Recipe,
    /// What the step `et` finds out.
    Traces,
}

impl StepKind {
    /// All kinds; what a step reads comes before it.
    pub const ALL: [Self; 5] = [Self::Hw, Self::Et, Self::Policy, Self::Configs, Self::Run];

    /// The steps whose outputs this one reads.
    pub const fn needs(self, demand: DemandFrom) -> &'static [Self] {
        match (self, demand) {
            (Self::Hw | Self::Et, _) => &[],
            (Self::Policy, DemandFrom::Recipe) => &[Self::Hw],
            (Self::Policy, DemandFrom::Traces) => &[Self::Hw, Self::Et],
            (Self::Configs, DemandFrom::Recipe) => &[Self::Hw, Self::Policy],
            (Self::Configs, DemandFrom::Traces) => &[Self::Hw, Self::Et, Self::Policy],
            (Self::Run, _) => &[Self::Et, Self::Configs],
        }
    }

    /// The steps that read this one's outputs; what reads another's outputs comes after it.
    pub const fn feeds(self, demand: DemandFrom) -> &'static [Self] {
        match (self, demand) {
            (Self::Hw, _) => &[Self::Policy, Self::Configs],
            (Self::Et, DemandFrom::Recipe) | (Self::Configs, _) => &[Self::Run],
            (Self::Et, DemandFrom::Traces) => &[Self::Policy, Self::Configs, Self::Run],
            (Self::Policy, _) => &[Self::Configs],
            (Self::Run, _) => &[],
        }
    }

    /// The name used in keys, events and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hw => "hw",
            Self::Et => "et",
            Self::Policy => "policy",
            Self::Configs => "configs",
            Self::Run => "run",
        }
    }
}

impl fmt::Display for StepKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One value for each kind of step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PerStep<T>([T; 5]);

impl<T> PerStep<T> {
    /// The value that `f` gives for each kind.
    pub fn of(f: impl FnMut(StepKind) -> T) -> Self {
        Self(StepKind::ALL.map(f))
    }
}

impl<T> Index<StepKind> for PerStep<T> {
    type Output = T;

    fn index(&self, kind: StepKind) -> &T {
        &self.0[kind as usize]
    }
}

impl<T> IndexMut<StepKind> for PerStep<T> {
    fn index_mut(&mut self, kind: StepKind) -> &mut T {
        &mut self.0[kind as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_step_reads_comes_before_it_and_knows_who_reads_it() {
        for (position, kind) in StepKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, position);
            for demand in [DemandFrom::Recipe, DemandFrom::Traces] {
                assert!(kind.needs(demand).iter().all(|need| *need < kind));
                for other in StepKind::ALL {
                    let reads = other.needs(demand).contains(&kind);
                    assert_eq!(kind.feeds(demand).contains(&other), reads, "{kind} {other}");
                }
            }
        }
    }
}

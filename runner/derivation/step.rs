//! The kinds of step a point goes through, and values that exist once for each.

use std::fmt;
use std::ops::{Index, IndexMut};

use serde::{Deserialize, Serialize};

/// The derivations of a point: `hw` → `configs` → `run` and `et` → `run`, and `et` → `configs` where the traces decide
/// how many ranks there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepKind {
    /// Hardware YAML → canonical network specification.
    Hw,
    /// Workload → execution traces, one per rank.
    Et,
    /// Network specification, decisions, rank count → simulator configuration files.
    Configs,
    /// Configuration files, traces, engine → per-rank times.
    Run,
}

/// What says how many ranks a point has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RanksFrom {
    /// The recipe.
    Recipe,
    /// What the step `et` finds out.
    Traces,
}

impl StepKind {
    /// All kinds; what a step reads comes before it.
    pub const ALL: [Self; 4] = [Self::Hw, Self::Et, Self::Configs, Self::Run];

    /// The steps whose outputs this one reads.
    pub const fn needs(self, ranks: RanksFrom) -> &'static [Self] {
        match (self, ranks) {
            (Self::Hw | Self::Et, _) => &[],
            (Self::Configs, RanksFrom::Recipe) => &[Self::Hw],
            (Self::Configs, RanksFrom::Traces) => &[Self::Hw, Self::Et],
            (Self::Run, _) => &[Self::Et, Self::Configs],
        }
    }

    /// The steps that read this one's outputs; what reads another's outputs comes after it.
    pub const fn feeds(self, ranks: RanksFrom) -> &'static [Self] {
        match (self, ranks) {
            (Self::Hw, _) => &[Self::Configs],
            (Self::Et, RanksFrom::Recipe) | (Self::Configs, _) => &[Self::Run],
            (Self::Et, RanksFrom::Traces) => &[Self::Configs, Self::Run],
            (Self::Run, _) => &[],
        }
    }

    /// The name used in keys, events and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hw => "hw",
            Self::Et => "et",
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
pub struct PerStep<T>([T; 4]);

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
            for ranks in [RanksFrom::Recipe, RanksFrom::Traces] {
                assert!(kind.needs(ranks).iter().all(|need| *need < kind));
                for other in StepKind::ALL {
                    let reads = other.needs(ranks).contains(&kind);
                    assert_eq!(kind.feeds(ranks).contains(&other), reads, "{kind} {other}");
                }
            }
        }
    }
}

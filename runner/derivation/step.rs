//! The kinds of step a point goes through, and values that exist once for each.

use std::fmt;
use std::ops::{Index, IndexMut};

use serde::{Deserialize, Serialize};

/// The derivations of a point: `hw` → `configs` → `run` and `et` → `run`.
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

impl StepKind {
    /// All kinds; what a step reads comes before it.
    pub const ALL: [Self; 4] = [Self::Hw, Self::Et, Self::Configs, Self::Run];

    /// The steps whose outputs this one reads.
    pub const fn needs(self) -> &'static [Self] {
        match self {
            Self::Hw | Self::Et => &[],
            Self::Configs => &[Self::Hw],
            Self::Run => &[Self::Et, Self::Configs],
        }
    }

    /// The step that reads this one's outputs.
    pub const fn feeds(self) -> Option<Self> {
        match self {
            Self::Hw => Some(Self::Configs),
            Self::Et | Self::Configs => Some(Self::Run),
            Self::Run => None,
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
            for need in kind.needs() {
                assert!(*need < kind);
                assert_eq!(need.feeds(), Some(kind));
            }
        }
    }
}

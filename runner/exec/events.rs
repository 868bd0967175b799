//! What a build tells while it goes on.

use std::time::Duration;

use artifact_store::ActionKey;

use crate::derivation::StepKind;
use crate::steps::RanksFinished;

/// How a step came to its outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepStatus {
    /// Its key was in the store.
    Hit,
    /// Dry run: its key is upstream.
    HitUpstream,
    /// It was executed and its outputs are published.
    Run,
    /// It was executed or prepared, and failed.
    Failed,
    /// Dry run: it would be executed.
    WouldRun,
    /// Dry run: whether it would be executed depends on what a step before it gives.
    Unknown,
}

impl StepStatus {
    /// The word in `--json` events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::HitUpstream => "hit-upstream",
            Self::Run => "run",
            Self::Failed => "failed",
            Self::WouldRun => "would-run",
            Self::Unknown => "unknown-until-cutoff",
        }
    }
}

/// How a point came to its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointStatus {
    /// Its simulation was known.
    Hit,
    /// Dry run: its simulation is known upstream.
    HitUpstream,
    /// Its simulation was executed in this build.
    Run,
    /// One of its steps failed.
    Failed,
    /// It was not attempted, or not to the end: another point failed, or the build was interrupted.
    Skipped,
    /// Dry run: its simulation would be executed.
    WouldRun,
    /// Dry run: whether it would be simulated depends on what a step before gives.
    Unknown,
}

impl PointStatus {
    /// The word in tables and in the last line of `--json`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::HitUpstream => StepStatus::HitUpstream.as_str(),
            Self::Run => "run",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::WouldRun => StepStatus::WouldRun.as_str(),
            Self::Unknown => StepStatus::Unknown.as_str(),
        }
    }
}

/// Something happened in a build. Events of one step come in order; those of different points interleave.
#[derive(Debug)]
pub enum Event<'a> {
    /// The points are known; work begins.
    Started {
        /// Number of points.
        points: usize,
    },
    /// A step that no point had asked for before came to its end. For `Run`: its outputs are published.
    Step {
        /// The point that asked first.
        point: &'a str,
        /// Which derivation.
        kind: StepKind,
        /// How it ended.
        status: StepStatus,
        /// Its key, when its inputs are known.
        key: Option<ActionKey>,
        /// Wall time of the execution; zero for a hit.
        took: Duration,
        /// Why it was executed, when asked for: one line.
        why: Option<String>,
    },
    /// A simulation by another program has come further.
    Ranks {
        /// The point that asked first.
        point: &'a str,
        /// How far.
        ranks: RanksFinished,
    },
    /// A point came to its end.
    Point {
        /// Its name.
        name: &'a str,
        /// How.
        status: PointStatus,
        /// What went wrong with it.
        error: Option<&'a crate::Error>,
    },
}

//! Simulating every point of a build with the other engine too, and comparing what both say of each rank.
//!
//! The other engine's runs are steps like any other, known afterwards; no root needs them.

use std::path::PathBuf;
use std::sync::Arc;

use artifact_store::{Digest, Store};

use crate::derivation::StepKind;
use crate::error::{Error, ErrorKind, Result};
use crate::external::{self, Executable};
use crate::recipe::{EngineKind, Point, Recipe};
use crate::report::RunResult;
use crate::steps;

use super::Event;
use super::board::{Message, Resolved};
use super::build::{BuildOptions, Outcome, StepCounts, context, step_finished};
use super::scheduler::Scheduler;

/// The points of a recipe, each with the engine that it does not ask for.
#[derive(Debug)]
pub struct CrossCheck {
    others: Vec<Point>,
    executable: Option<(Arc<str>, Executable)>,
}

/// What two engines say of a point.
#[derive(Debug)]
pub struct CrossChecked {
    /// The point's name.
    pub point: String,
    /// How many ranks there are.
    pub ranks: usize,
    /// Those of which the engines say different things.
    pub differing: Vec<Difference>,
    /// Why there is nothing to compare with: the other engine failed.
    pub error: Option<Arc<Error>>,
}

/// What two engines say of a rank, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The rank.
    pub rank: usize,
    /// What the built-in engine says.
    pub builtin: RankTimes,
    /// What the other program says.
    pub external: RankTimes,
}

/// What every engine says of every rank, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RankTimes {
    /// When it finished.
    pub finish_ns: u64,
    /// Exposed communication.
    pub exposed_ns: u64,
}

impl CrossChecked {
    /// Whether both engines say the same of every rank.
    pub fn agrees(&self) -> bool {
        self.differing.is_empty() && self.error.is_none()
    }
}

impl CrossCheck {
    /// What is to be compared. `binary` simulates the points that ask for the built-in engine; where it is absent the
    /// environment names it.
    ///
    /// # Errors
    /// When the recipe is wrong, or there is no such executable.
    pub fn new(recipe: &Recipe, binary: Option<PathBuf>) -> Result<Self> {
        let mut others = recipe.points()?;
        let is_builtin = |point: &Point| point.engine.kind == EngineKind::Builtin;
        let executable = if others.iter().any(is_builtin) {
            let path = binary.or_else(|| external::from_environment().ok()).ok_or_else(|| {
                let message = "--cross-check needs an executable to compare the built-in engine with";
                Error::new(ErrorKind::Usage, message)
                    .hint(format!("name it: `--cross-check=PATH`, or set {}", external::VARIABLE))
            })?;
            let name = Arc::from(path.to_string_lossy());
            Some((name, Executable::find(&path, None)?))
        } else if let Some(binary) = binary {
            let message =
                format!("--cross-check={}: all points name an executable of their own", binary.display());
            return Err(Error::new(ErrorKind::Usage, message).hint("leave the path out"));
        } else {
            None
        };
        for point in &mut others {
            if is_builtin(point) {
                point.engine.kind = EngineKind::AstraSim;
                point.engine.external.binary = executable.as_ref().map(|(name, _)| Arc::clone(name));
            } else {
                point.engine.kind = EngineKind::Builtin;
            }
        }
        Ok(Self { others, executable })
    }

    /// Simulates the points that a build has results of with the other engine, and compares them, in the order of the
    /// points. Steps and ranks are told as in a build.
    ///
    /// # Errors
    /// When the store cannot be used, or [`ErrorKind::Interrupted`]. What fails in a point is part of what is returned.
    pub fn run(
        self,
        store: &Store,
        recipe: &Recipe,
        outcome: &Outcome,
        options: &BuildOptions<'_>,
        sink: &mut dyn FnMut(Event<'_>),
    ) -> Result<Vec<CrossChecked>> {
        let _session = store.session()?;
        let mut context = context(store, recipe, options)?;
        if let Some((name, executable)) = self.executable {
            context.sources.add_executable(name, executable);
        }
        let context = context.for_points(&self.others);
        let mut pairs = Vec::new();
        let mut others = Vec::new();
        for (point, other) in outcome.points.iter().zip(self.others) {
            if let Some(result) = &point.row.result {
                pairs.push((point.row.name.as_str(), result));
                others.push(other);
            }
        }
        let scheduler = Scheduler::new(&context, &others, false, true, options.cancel);
        let mut counts = StepCounts::default();
        scheduler.drive(options.jobs, &mut |message| {
            match message {
                Message::Step(step) => step_finished(step, &others, None, &mut counts, sink)?,
                Message::Ranks(point, ranks) => {
                    sink(Event::Ranks { point: &others[*point].name, ranks: *ranks })
                }
                Message::Point(..) => {}
            }
            Ok(())
        })?;
        let resolved = scheduler.into_resolved();
        let read = |digest| RunResult::decode(&steps::content(store, &digest)?);
        let mut compared = Vec::with_capacity(pairs.len());
        for (((name, result), other), resolved) in pairs.into_iter().zip(&others).zip(resolved) {
            let result = read(result.0)?;
            let ranks = result.rank_finish_ns.len();
            let point = name.to_owned();
            compared.push(match of_other(&context, &resolved[StepKind::Run])? {
                Ok(digest) => {
                    let theirs = read(digest)?;
                    let (builtin, external) = match other.engine.kind {
                        EngineKind::AstraSim => (&result, &theirs),
                        EngineKind::Builtin => (&theirs, &result),
                    };
                    CrossChecked { point, ranks, differing: differences(builtin, external), error: None }
                }
                Err(error) => CrossChecked { point, ranks, differing: Vec::new(), error: Some(error) },
            });
        }
        Ok(compared)
    }
}

/// The result of the other engine, or why it has none.
fn of_other(context: &steps::Context, run: &Resolved) -> Result<Result<Digest, Arc<Error>>> {
    match run {
        Resolved::Done { record, .. } => context
            .finish_of(record)
            .map(|(digest, _)| Ok(digest))
            .ok_or_else(|| Error::new(ErrorKind::Store, "the record of a step `run` has no result")),
        Resolved::Failed(error) => Ok(Err(Arc::clone(error))),
        Resolved::Skipped | Resolved::WouldRun | Resolved::Unknown => {
            Err(Error::new(ErrorKind::Interrupted, "interrupted while the engines were compared"))
        }
    }
}

/// The ranks of which two results say different things. A rank that one of them lacks differs.
fn differences(builtin: &RunResult, external: &RunResult) -> Vec<Difference> {
    let times = |result: &RunResult, rank: usize| RankTimes {
        finish_ns: result.rank_finish_ns.get(rank).copied().unwrap_or_default(),
        exposed_ns: result.rank_exposed_ns.get(rank).copied().unwrap_or_default(),
    };
    let ranks = builtin.rank_finish_ns.len().max(external.rank_finish_ns.len());
    (0..ranks)
        .map(|rank| Difference { rank, builtin: times(builtin, rank), external: times(external, rank) })
        .filter(|difference| difference.builtin != difference.external)
        .collect()
}

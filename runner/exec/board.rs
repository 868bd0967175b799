//! What every derivation of a build has come to, and what that means for those that read its outputs.
//!
//! Plain values under the scheduler's lock. Nothing here executes, looks up or waits.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use artifact_store::{ActionKey, ActionRecord, Ticket};

use crate::derivation::{DemandFrom, PerStep, StepKind};
use crate::error::Error;
use crate::steps::{Derivation, RanksFinished};

use super::StepStatus;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) point: usize,
    pub(super) kind: StepKind,
    /// What says what the point's ranks ask of the network, which decides what the step reads.
    pub(super) demand: DemandFrom,
}

impl Task {
    /// The steps of the point whose outputs this one reads.
    pub(super) fn needs(self) -> impl Iterator<Item = Self> {
        self.kind.needs(self.demand).iter().map(move |&kind| Self { kind, ..self })
    }
}

/// What came of a derivation.
#[derive(Clone, Debug)]
pub(super) enum Resolved {
    /// The outputs are known; `status` says since when: `Run`, `Hit` or `HitUpstream`.
    Done { key: ActionKey, record: Arc<ActionRecord>, status: StepStatus },
    /// Dry run: not known, would be executed.
    WouldRun,
    /// Dry run: the key depends on a step that would be executed.
    Unknown,
    /// It failed, or one it depends on did.
    Failed(Arc<Error>),
    /// Not attempted: the build stopped before.
    Skipped,
}

/// What workers tell, in an order in which a point comes after its steps.
pub(super) enum Message {
    Step(Finished),
    /// A simulation of a point goes on.
    Ranks(usize, RanksFinished),
    /// The last derivation of a point is resolved.
    Point(usize, Resolved),
}

/// Told once per distinct key, and once per task whose key could not be made.
pub(super) struct Finished {
    pub(super) task: Task,
    pub(super) status: StepStatus,
    pub(super) key: Option<ActionKey>,
    pub(super) took: Duration,
    /// What the step was made of, when it was executed or would be.
    pub(super) derivation: Option<Arc<Derivation>>,
    /// Of a step that was executed: done when its outputs are published.
    pub(super) ticket: Option<Ticket>,
}

impl Finished {
    pub(super) fn new(task: Task, status: StepStatus, key: Option<ActionKey>) -> Self {
        Self { task, status, key, took: Duration::ZERO, derivation: None, ticket: None }
    }
}

pub(super) fn tell(report: &Sender<Message>, finished: Finished) {
    // The receiver outlives the workers; if it is gone the build is being torn down.
    let _ = report.send(Message::Step(finished));
}

pub(super) enum Slot {
    /// Tasks that wait for the owner.
    InProgress(Vec<Task>),
    Resolved(Resolved),
}

pub(super) struct State {
    pub(super) ready: Vec<Task>,
    /// Tasks whose step another process executes, and when to look again.
    pub(super) claimed_elsewhere: Vec<(Instant, Task, Arc<Derivation>)>,
    pub(super) resolved: Vec<PerStep<Option<Resolved>>>,
    /// How often steps of a point were attempted again because their outputs were gone.
    pub(super) again: HashMap<usize, usize>,
    pub(super) slots: HashMap<ActionKey, Slot>,
    /// Tasks without a result.
    pub(super) open: usize,
    /// Workers that wait for `changed`.
    pub(super) idle: usize,
    pub(super) stop: bool,
}

impl State {
    /// Notes what a task came to. A step that depends on it becomes ready, or comes to its end with it.
    pub(super) fn settle(&mut self, task: Task, resolved: Resolved, report: &Sender<Message>) {
        let Task { point, kind, demand } = task;
        if matches!(resolved, Resolved::Unknown) {
            tell(report, Finished::new(task, StepStatus::Unknown, None));
        }
        if kind == StepKind::Run {
            let _ = report.send(Message::Point(point, resolved.clone()));
        }
        self.resolved[point][kind] = Some(resolved);
        self.open -= 1;
        for &kind in kind.feeds(demand) {
            // Looked at one after the other: the end of one may have been the end of the next.
            if self.resolved[point][kind].is_some() {
                continue;
            }
            let task = Task { kind, ..task };
            match self.standing(task) {
                Standing::Ready => self.ready.push(task),
                Standing::Waits => {}
                Standing::Over(resolved) => self.settle(task, resolved, report),
            }
        }
    }

    /// What the steps that a task reads mean for it.
    pub(super) fn standing(&self, task: Task) -> Standing {
        let mut standing = Standing::Ready;
        for need in task.needs() {
            match &self.resolved[need.point][need.kind] {
                Some(Resolved::Done { .. }) => {}
                Some(Resolved::Failed(e)) => return Standing::Over(Resolved::Failed(Arc::clone(e))),
                Some(Resolved::Skipped) => return Standing::Over(Resolved::Skipped),
                None => standing = Standing::Waits,
                Some(Resolved::WouldRun | Resolved::Unknown) if matches!(standing, Standing::Waits) => {}
                Some(Resolved::WouldRun | Resolved::Unknown) => standing = Standing::Over(Resolved::Unknown),
            }
        }
        standing
    }
}

pub(super) enum Standing {
    Ready,
    Waits,
    Over(Resolved),
}

//! The order in which derivations are attempted, and by whom.
//!
//! A point is five derivations, of which `run` comes last. Ready ones wait on a stack, so that a
//! point in progress is finished before a new one begins. Equal keys are executed once: within the process
//! through the table of slots, between processes through the store's claims. A worker never blocks on another
//! one: what has to wait is parked and picked up again.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use artifact_store::{ActionKey, ActionRecord, Claim};

use crate::derivation::{PerStep, StepKind};
use crate::error::{Error, ErrorKind, Result};
use crate::steps::{self, Derivation, Inputs};

use super::StepStatus;
use super::board::{Finished, Message, Resolved, Slot, Standing, State, Task, tell};
use super::upstream::Asker;

/// How long a step that another process executes is left alone before it is looked at again.
const CLAIMED_RETRY: Duration = Duration::from_millis(5);

pub(super) struct Scheduler<'a> {
    pub(super) context: &'a steps::Context,
    pub(super) points: &'a [crate::recipe::Point],
    pub(super) dry_run: bool,
    pub(super) keep_going: bool,
    pub(super) cancel: &'a AtomicBool,
    upstream: Option<&'a Asker<'a>>,
    state: Mutex<State>,
    changed: Condvar,
}

impl<'a> Scheduler<'a> {
    pub(super) fn new(
        context: &'a steps::Context,
        points: &'a [crate::recipe::Point],
        dry_run: bool,
        keep_going: bool,
        cancel: &'a AtomicBool,
    ) -> Self {
        let ready = (0..points.len())
            .rev()
            .flat_map(|point| {
                let demand = steps::demand_from(&points[point]);
                [StepKind::Et, StepKind::Hw].map(|kind| Task { point, kind, demand })
            })
            .collect();
        let state = State {
            ready,
            claimed_elsewhere: Vec::new(),
            resolved: vec![PerStep::default(); points.len()],
            again: HashMap::new(),
            slots: HashMap::new(),
            open: points.len() * StepKind::ALL.len(),
            idle: 0,
            stop: false,
        };
        Self {
            context,
            points,
            dry_run,
            keep_going,
            cancel,
            upstream: None,
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// The same, asking upstream before anything is executed.
    pub(super) fn with_upstream(self, upstream: Option<&'a Asker<'a>>) -> Self {
        Self { upstream, ..self }
    }

    /// Lets so many threads work until nothing is left to do, and hands on what they tell. Stops at its first error.
    /// More threads than steps would have nothing to do; where the machine starts no more, those that run do the work.
    pub(super) fn drive(&self, jobs: usize, told: &mut dyn FnMut(&Message) -> Result<()>) -> Result<()> {
        let (report, messages) = mpsc::channel();
        let steps = self.lock().open;
        std::thread::scope(|scope| {
            for started in 0..jobs.clamp(1, steps.max(1)) {
                let report = report.clone();
                let worker = move || {
                    self.work(&report);
                    // Nothing more to come that a commit could wait for. A failure is told by the tickets.
                    drop(self.context.store.flush());
                };
                match std::thread::Builder::new().spawn_scoped(scope, worker) {
                    Ok(_) => {}
                    Err(_) if started > 0 => break,
                    Err(e) => {
                        return Err(Error::new(ErrorKind::System, format!("cannot start a thread: {e}")));
                    }
                }
            }
            drop(report);
            for message in messages {
                if let Err(e) = told(&message) {
                    self.stop();
                    return Err(e);
                }
            }
            Ok(())
        })
    }

    /// Works until nothing is left to do. Run by every worker thread.
    fn work(&self, report: &Sender<Message>) {
        while let Some((task, known)) = self.next() {
            match self.attempt(task, known, report) {
                Attempt::Resolved(key, resolved) => self.finish(task, key, resolved, report),
                Attempt::Parked => {}
            }
        }
    }

    /// What every task came to; tasks never attempted are `Skipped`.
    pub(super) fn into_resolved(self) -> Vec<PerStep<Resolved>> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let of_point = |mut point: PerStep<Option<Resolved>>| {
            PerStep::of(|kind| point[kind].take().unwrap_or(Resolved::Skipped))
        };
        state.resolved.into_iter().map(of_point).collect()
    }

    /// No new step begins after this.
    fn stop(&self) {
        self.lock().stop = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next task, with its derivation when it was made before; `None` when the work is over.
    fn next(&self) -> Option<(Task, Option<Arc<Derivation>>)> {
        let mut state = self.lock();
        loop {
            if state.open == 0 || state.stop || self.cancel.load(Ordering::Relaxed) {
                self.changed.notify_all();
                return None;
            }
            let now = Instant::now();
            if let Some(i) = state.claimed_elsewhere.iter().position(|(at, ..)| *at <= now) {
                let (_, task, derivation) = state.claimed_elsewhere.swap_remove(i);
                return Some((task, Some(derivation)));
            }
            if let Some(task) = state.ready.pop() {
                return Some((task, None));
            }
            // Woken by a finished task; the bound is for claims of other processes and for cancellation.
            let bound = if state.claimed_elsewhere.is_empty() { 20 * CLAIMED_RETRY } else { CLAIMED_RETRY };
            state.idle += 1;
            state = self.changed.wait_timeout(state, bound).unwrap_or_else(PoisonError::into_inner).0;
            state.idle -= 1;
        }
    }

    fn attempt(&self, task: Task, known: Option<Arc<Derivation>>, report: &Sender<Message>) -> Attempt {
        let inputs = self.inputs(task);
        let point = &self.points[task.point];
        let owned_before = known.is_some();
        let derivation = match known {
            Some(derivation) => derivation,
            None => match guarded(task, || steps::derive(self.context, point, task.kind, &inputs)) {
                Ok(derivation) => derivation,
                Err(e) if self.attempt_again(task, None, &e) => return Attempt::Parked,
                Err(e) => {
                    let e = Arc::new(e);
                    tell(report, Finished::new(task, StepStatus::Failed, None));
                    return Attempt::Resolved(None, Resolved::Failed(e));
                }
            },
        };
        let key = derivation.key;
        if !owned_before {
            match self.lock().slots.entry(key) {
                std::collections::hash_map::Entry::Vacant(slot) => {
                    slot.insert(Slot::InProgress(Vec::new()));
                }
                std::collections::hash_map::Entry::Occupied(mut slot) => match slot.get_mut() {
                    Slot::InProgress(waiting) => {
                        waiting.push(task);
                        return Attempt::Parked;
                    }
                    Slot::Resolved(resolved) => return Attempt::Resolved(None, resolved.clone()),
                },
            }
        }
        match self.obtain(task, &derivation, &inputs, report) {
            Ok(Some(resolved)) => Attempt::Resolved(Some(key), resolved),
            Ok(None) => {
                let at = Instant::now() + CLAIMED_RETRY;
                self.lock().claimed_elsewhere.push((at, task, derivation));
                Attempt::Parked
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => Attempt::Resolved(Some(key), Resolved::Skipped),
            Err(e) if self.attempt_again(task, Some(key), &e) => Attempt::Parked,
            Err(e) if self.comes_apart(task, &key, &inputs, &e) => Attempt::Parked,
            Err(e) => {
                let finished = Finished::new(task, StepStatus::Failed, Some(key));
                tell(report, Finished { derivation: Some(derivation), ..finished });
                Attempt::Resolved(Some(key), Resolved::Failed(Arc::new(e)))
            }
        }
    }

    /// Looks a step up, or claims and executes it. `None`: another process has claimed it.
    fn obtain(
        &self,
        task: Task,
        derivation: &Arc<Derivation>,
        inputs: &Inputs,
        report: &Sender<Message>,
    ) -> Result<Option<Resolved>> {
        let key = derivation.key;
        if let Some(record) = self.known(task, &key)? {
            return Ok(Some(hit(task, key, record, report)));
        }
        if self.dry_run {
            let finished = Finished::new(task, StepStatus::WouldRun, Some(key));
            tell(report, Finished { derivation: Some(Arc::clone(derivation)), ..finished });
            return Ok(Some(Resolved::WouldRun));
        }
        let Some(claim) = self.context.store.claim(&key)? else { return Ok(None) };
        // Between the look and the claim another process may have published it.
        if let Some(record) = self.known(task, &key)? {
            return Ok(Some(hit(task, key, record, report)));
        }
        if let Some(upstream) = self.upstream {
            upstream.ask(&[key])?;
            if let Some(record) = self.known(task, &key)? {
                return Ok(Some(hit(task, key, record, report)));
            }
        }
        self.execute(task, derivation, inputs, claim, report).map(Some)
    }

    /// The record of a step whose outputs are all there, as far as this build will look at them.
    fn known(&self, task: Task, key: &ActionKey) -> Result<Option<Known>> {
        let known = match self.context.store.hit(key)? {
            Some(record) => Some((Arc::new(record), StepStatus::Hit)),
            None => self
                .upstream
                .and_then(|upstream| upstream.planned(key))
                .map(|record| (record, StepStatus::HitUpstream)),
        };
        let Some(known) = known else { return Ok(None) };
        match steps::recall(self.context, &self.points[task.point], task.kind, &known.0) {
            Ok(()) => Ok(Some(known)),
            Err(e) if e.kind() == ErrorKind::Missing => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Whether a task that failed because content was gone is attempted again, after the steps that wrote what it
    /// reads. Once for each step of a point: what is gone the next time is not mended by executing it again.
    fn attempt_again(&self, task: Task, owned: Option<ActionKey>, e: &Error) -> bool {
        if e.kind() != ErrorKind::Missing || self.dry_run || task.needs().next().is_none() {
            return false;
        }
        let mut state = self.lock();
        let again = state.again.entry(task.point).or_default();
        *again += 1;
        if *again > StepKind::ALL.len() {
            return false;
        }
        if let Some(Slot::InProgress(waiting)) = owned.and_then(|key| state.slots.remove(&key)) {
            state.ready.extend(waiting);
        }
        for need in task.needs() {
            if let Some(Resolved::Done { key, .. }) = state.resolved[need.point][need.kind].take() {
                state.open += 1;
                if matches!(state.slots.get(&key), Some(Slot::Resolved(_))) {
                    state.slots.remove(&key);
                }
            }
        }
        // Those that read what others of them write become ready with these.
        for need in task.needs() {
            if matches!(state.standing(need), Standing::Ready) {
                state.ready.push(need);
            }
        }
        drop(state);
        self.changed.notify_all();
        true
    }

    /// Whether a step failed for some of the points that share it. Each of them makes its key again, then, and those for which
    /// it failed fail by that. Of no use to a build that stops at the first failure.
    fn comes_apart(&self, task: Task, key: &ActionKey, inputs: &Inputs, e: &Error) -> bool {
        if !self.keep_going || task.kind != StepKind::Policy || e.kind() != ErrorKind::Failed {
            return false;
        }
        let point = &self.points[task.point];
        let apart = guarded(task, || steps::ask_apart(self.context, point, inputs, self.cancel));
        if !matches!(apart, Ok(true)) {
            return false;
        }
        let mut state = self.lock();
        if let Some(Slot::InProgress(waiting)) = state.slots.remove(key) {
            state.ready.extend(waiting);
        }
        state.ready.push(task);
        drop(state);
        self.changed.notify_all();
        true
    }

    fn execute(
        &self,
        task: Task,
        derivation: &Arc<Derivation>,
        inputs: &Inputs,
        claim: Claim,
        report: &Sender<Message>,
    ) -> Result<Resolved> {
        let started = Instant::now();
        let point = &self.points[task.point];
        let progress = |ranks| drop(report.send(Message::Ranks(task.point, ranks)));
        let produced =
            guarded(task, || steps::execute(self.context, point, task.kind, inputs, self.cancel, &progress))?;
        let took = started.elapsed();
        let record = Arc::new(produced.record.clone());
        let ticket = self.context.store.publish(produced.into_publication(derivation, took, claim));
        let key = derivation.key;
        let finished = Finished::new(task, StepStatus::Run, Some(key));
        tell(
            report,
            Finished { took, derivation: Some(Arc::clone(derivation)), ticket: Some(ticket), ..finished },
        );
        Ok(Resolved::Done { key, record, status: StepStatus::Run })
    }

    /// The records this task reads. A task is ready only when they are there.
    fn inputs(&self, task: Task) -> Inputs {
        let state = self.lock();
        let mut inputs = Inputs::default();
        for need in task.needs() {
            if let Some(Resolved::Done { record, .. }) = &state.resolved[need.point][need.kind] {
                inputs.insert(need.kind, Arc::clone(record));
            }
        }
        inputs
    }

    /// Notes what a task and those waiting for its key came to, and readies what depended on them.
    fn finish(&self, task: Task, owned: Option<ActionKey>, resolved: Resolved, report: &Sender<Message>) {
        let mut state = self.lock();
        if matches!(resolved, Resolved::Failed(_)) && !self.keep_going {
            state.stop = true;
        }
        let waiting = owned
            .and_then(|key| state.slots.insert(key, Slot::Resolved(resolved.clone())))
            .map_or_else(Vec::new, |slot| match slot {
                Slot::InProgress(waiting) => waiting,
                Slot::Resolved(_) => Vec::new(),
            });
        for task in std::iter::once(task).chain(waiting) {
            state.settle(task, resolved.clone(), report);
        }
        let somebody_waits = state.idle > 0;
        drop(state);
        if somebody_waits {
            self.changed.notify_all();
        }
    }
}

/// What a step gave, and since when that is known.
type Known = (Arc<ActionRecord>, StepStatus);

enum Attempt {
    /// With the key when this task owned its slot.
    Resolved(Option<ActionKey>, Resolved),
    Parked,
}

fn hit(task: Task, key: ActionKey, (record, status): Known, report: &Sender<Message>) -> Resolved {
    tell(report, Finished::new(task, status, Some(key)));
    Resolved::Done { key, record, status }
}

/// Turns a panic, which is a defect of this program, into the failure of one step: other steps and the store go on.
fn guarded<T>(task: Task, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Err(Error::failed(format!("step `{}` panicked: {said}", task.kind))
            .hint("this is a defect of astra-store; please report it with the recipe"))
    })
}

//! Building a recipe: the one look-up when nothing changed, else the whole graph.
//!
//! A build is itself a derivation: its key is made of the recipe, the content of its sources and the versions
//! of the steps; its outputs are the report, the index and the closure of everything behind them. So a build
//! that changes nothing is one hit, however many points it has.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use artifact_store::remote::Upstream;
use artifact_store::{ActionKey, Blob, Closure, NewAction, OutputKind, Publication, Store};
use serde_json::{Value, json};

use crate::derivation::{PerStep, Preimage, StepKind};
use crate::error::{Error, ErrorKind, Result};
use crate::recipe::{Point, Recipe};
use crate::report::{Index, Report};
use crate::steps::{self, Context, Derivation, PluginPath, Produced, Sources};

use super::board::{Finished, Message, Resolved};
use super::explain::Explainer;
use super::known::KnownRecipe;
use super::latest::{self, Extent, INDEX, REPORT, Targets};
use super::rows;
use super::scheduler::Scheduler;
use super::shared::forget_stand_in;
use super::upstream::{Asker, UpstreamReport};
use super::{Event, PointStatus, StepStatus};

/// Bumped when the report or the index of equal points would differ.
const VERSION: u32 = 3;
pub(super) const CLOSURE: &str = "closure";

/// How to build.
#[derive(Debug)]
pub struct BuildOptions<'a> {
    /// How many steps to execute at a time.
    pub jobs: usize,
    /// Resolve what is known, execute nothing, write nothing.
    pub dry_run: bool,
    /// Go on with other points when one fails.
    pub keep_going: bool,
    /// Say why each step is executed.
    pub explain: bool,
    /// Check traces before they are simulated. Not in any key: a simulation that ends gives the same either way.
    pub lint: bool,
    /// Where policies are looked for that the recipe calls by name.
    pub plugins: &'a PluginPath,
    /// Run policies that come as libraries in this process, for a debugger.
    pub policy_in_process: bool,
    /// The program `astra-store`, which watches over simulators that are other programs; such a point fails without.
    pub watcher: Option<&'a Path>,
    /// Asked for what is not in the store before it is executed. A dry run asks, too, and keeps nothing of it; its options
    /// have to say so ([`PullOptions::dry_run`](artifact_store::remote::PullOptions::dry_run)).
    pub upstream: Option<&'a Upstream>,
    /// Set to stop: running steps are abandoned, finished ones are kept.
    pub cancel: &'a AtomicBool,
}

/// How many distinct steps came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepCounts {
    /// Executed and published.
    pub executed: u64,
    /// Known.
    pub hit: u64,
    /// Dry run: known upstream.
    pub hit_upstream: u64,
    /// Failed.
    pub failed: u64,
    /// Dry run: would be executed.
    pub would_run: u64,
    /// Dry run: depends on what a step before gives.
    pub unknown: u64,
}

/// A point and how it came to its result.
#[derive(Debug)]
pub struct PointOutcome {
    /// Name, axes, figures.
    pub row: crate::report::Row,
    /// Known, simulated now, or failed.
    pub status: PointStatus,
    /// Why it failed.
    pub error: Option<Arc<Error>>,
}

/// What a build came to.
#[derive(Debug)]
pub struct Outcome {
    /// The recipe's name.
    pub recipe: String,
    /// Labels of the swept axes.
    pub axes: Vec<String>,
    /// In the order of the recipe.
    pub points: Vec<PointOutcome>,
    /// Which keys each point was made of.
    pub index: Index,
    /// Distinct steps.
    pub steps: StepCounts,
    /// Wall time.
    pub elapsed: Duration,
    /// What came from upstream.
    pub upstream: UpstreamReport,
    /// Things worth saying about the input.
    pub notices: Vec<String>,
    /// Whether `cancel` ended it.
    pub interrupted: bool,
    /// Whether nothing was executed on purpose.
    pub dry_run: bool,
}

/// Builds a recipe, or says what that would take.
///
/// # Errors
/// When the recipe, its sources or the store cannot be read, or the store not written. What fails in a point
/// is part of the outcome.
pub fn build(
    store: &Store,
    recipe: &Recipe,
    options: &BuildOptions<'_>,
    sink: &mut dyn FnMut(Event<'_>),
) -> Result<Outcome> {
    let started = Instant::now();
    let _session = store.session()?;
    let is_dry = options.dry_run || store.is_read_only();
    let upstream = options.upstream.filter(|_| options.dry_run || !is_dry);
    let context = context(store, recipe, options)?.peeking(upstream.filter(|_| is_dry));
    let derivation = derivation(&context.sources);
    // Of this machine, so no part of the report.
    let where_found: Vec<String> = context.sources.policy_notices().cloned().collect();
    let rooted_as = KnownRecipe::of(recipe);
    let asker = upstream.map(|upstream| Asker::new(store, upstream, options.cancel));
    if let Some(asker) = &asker {
        asker.ask(&[derivation.key])?;
    }
    let mut outcome = match known(&context, asker.as_ref(), &rooted_as, &derivation, is_dry)? {
        Some(outcome) => outcome,
        None => {
            let points = recipe.points()?;
            let context = context.for_points(&points);
            let (context, asker) = (&context, asker.as_ref());
            Build { store, recipe, rooted_as, context, asker, derivation, options, is_dry }
                .run(&points, sink)?
        }
    };
    outcome.upstream = asker.map(Asker::into_report).unwrap_or_default();
    outcome.notices.extend(where_found);
    outcome.dry_run = options.dry_run;
    if !options.dry_run && is_dry {
        refuse_to_run(store, &outcome.steps)?;
    }
    outcome.elapsed = started.elapsed();
    Ok(outcome)
}

/// What the steps of a build share.
pub(super) fn context(store: &Store, recipe: &Recipe, options: &BuildOptions<'_>) -> Result<Context> {
    let sources = Sources::read(recipe, options.plugins, Some(store))?;
    Ok(Context::new(store.clone(), sources)
        .with_lint(options.lint)
        .with_policies_in_process(options.policy_in_process)
        .with_watcher(options.watcher))
}

/// An error when a store that is open for reading only does not know all steps.
fn refuse_to_run(store: &Store, steps: &StepCounts) -> Result<()> {
    let unknown = steps.would_run + steps.unknown;
    if unknown == 0 {
        return Ok(());
    }
    let message = format!("{unknown} steps are not in the store, and it is open for reading only");
    Err(Error::new(ErrorKind::Store, message)
        .in_file(store.directory().display())
        .hint("build in a store that this user may write, or without --read-only"))
}

/// The derivation of the whole build.
pub(super) fn derivation(sources: &Sources) -> Derivation {
    let versions: serde_json::Map<String, Value> =
        StepKind::ALL.iter().map(|kind| (kind.as_str().to_owned(), steps::version(*kind).into())).collect();
    let params = json!({
        "engine_version": astra_engine::SEMANTIC_VERSION,
        "policies": sources.policies().collect::<Vec<String>>(),
        "steps": versions,
    });
    let mut preimage = Preimage::new("build", VERSION, params).input("recipe", sources.recipe.digest());
    for (name, digest) in sources.digests() {
        preimage = preimage.input(format!("source {name}"), digest);
    }
    for (number, digest) in sources.executables().enumerate() {
        preimage = preimage.input(format!("executable {number}"), digest);
    }
    Derivation::of(&preimage.salted(sources.salt.as_deref()))
}

/// The outcome of a build that is known as a whole. Its root is put back when another build has moved it.
fn known(
    context: &Context,
    asker: Option<&Asker<'_>>,
    recipe: &KnownRecipe,
    derivation: &Derivation,
    is_dry: bool,
) -> Result<Option<Outcome>> {
    let store = &context.store;
    let (record, status) = match store.hit(&derivation.key)? {
        Some(record) => (Arc::new(record), PointStatus::Hit),
        None => match asker.and_then(|asker| asker.planned(&derivation.key)) {
            Some(record) => (record, PointStatus::HitUpstream),
            None => return Ok(None),
        },
    };
    let Some(targets) = Targets::of(&record) else { return Ok(None) };
    let [Some(report_bytes), Some(index_bytes)] =
        [context.find(&targets.report)?, context.find(&targets.index)?]
    else {
        return Ok(None);
    };
    let roots = latest::roots_of_complete(recipe, targets);
    if !is_dry && !latest::hold(store, &roots)? {
        store.publish(Publication { roots, ..Publication::default() }).wait()?;
        latest::forget_placeless(store, recipe)?;
        forget_stand_in(store, recipe, &derivation.key)?;
    }
    let report = Report::decode(&report_bytes)?;
    let steps = match status {
        PointStatus::HitUpstream => StepCounts { hit_upstream: report.steps, ..StepCounts::default() },
        _ => StepCounts { hit: report.steps, ..StepCounts::default() },
    };
    let points = report.points.into_iter().map(|row| PointOutcome { row, status, error: None }).collect();
    Ok(Some(Outcome {
        recipe: report.recipe,
        axes: report.axes,
        points,
        index: Index::decode(&index_bytes)?,
        steps,
        elapsed: Duration::ZERO,
        upstream: UpstreamReport::default(),
        notices: report.notices,
        interrupted: false,
        dry_run: is_dry,
    }))
}

struct Build<'a> {
    store: &'a Store,
    recipe: &'a Recipe,
    rooted_as: KnownRecipe,
    context: &'a Context,
    asker: Option<&'a Asker<'a>>,
    derivation: Derivation,
    options: &'a BuildOptions<'a>,
    /// Nothing is executed and nothing written.
    is_dry: bool,
}

impl Build<'_> {
    fn run(self, points: &[Point], sink: &mut dyn FnMut(Event<'_>)) -> Result<Outcome> {
        sink(Event::Started { points: points.len() });
        if !self.is_dry {
            self.store.publish(Publication { blobs: self.context.sources.blobs(), ..Publication::default() });
        }
        if let Some(asker) = self.asker {
            asker.ask_for_all(self.context, points)?;
        }
        let (resolved, counts) = self.resolve(points, sink)?;
        let rows = rows::rows(self.context, points, &resolved);
        let index = rows::index(points, &resolved);
        let report = Report {
            recipe: self.recipe.name().to_owned(),
            axes: points
                .first()
                .map_or_else(Vec::new, |p| p.axes.iter().map(|(label, _)| label.to_string()).collect()),
            steps: counts.executed + counts.hit,
            notices: self.context.take_notices(),
            points: rows,
        };
        let extent = extent(&resolved);
        if !self.is_dry {
            self.publish(&report, &index, extent)?;
        }
        let outcomes = report.points.into_iter().zip(&resolved).map(|(row, resolved)| {
            let (status, error) = status_of(&resolved[StepKind::Run]);
            PointOutcome { row, status, error }
        });
        Ok(Outcome {
            recipe: report.recipe,
            axes: report.axes,
            points: outcomes.collect(),
            index,
            steps: counts,
            elapsed: Duration::ZERO,
            upstream: UpstreamReport::default(),
            notices: report.notices,
            interrupted: self.options.cancel.load(Ordering::Relaxed) && extent == Extent::Cut,
            dry_run: self.is_dry,
        })
    }

    /// Resolves all points. A step is reported when its outputs are published.
    fn resolve(
        &self,
        points: &[Point],
        sink: &mut dyn FnMut(Event<'_>),
    ) -> Result<(Vec<PerStep<Resolved>>, StepCounts)> {
        let options = self.options;
        let scheduler = Scheduler::new(self.context, points, self.is_dry, options.keep_going, options.cancel)
            .with_upstream(self.asker);
        let explainer = if options.explain || self.is_dry {
            Some(Explainer::load(self.store, &self.rooted_as)?)
        } else {
            None
        };
        let mut counts = StepCounts::default();
        // A commit that failed is the reason for everything that failed after it.
        scheduler.drive(options.jobs, &mut |message| {
            match message {
                Message::Step(step) => step_finished(step, points, explainer.as_ref(), &mut counts, sink)?,
                Message::Ranks(point, ranks) => {
                    sink(Event::Ranks { point: &points[*point].name, ranks: *ranks });
                }
                Message::Point(point, run) => {
                    let (status, error) = status_of(run);
                    sink(Event::Point { name: &points[*point].name, status, error: error.as_deref() });
                }
            }
            Ok(())
        })?;
        if !self.is_dry {
            self.store.flush()?;
        }
        Ok((scheduler.into_resolved(), counts))
    }

    /// Makes the build known: report, index, closure, roots and, when every point has a result, the record.
    fn publish(&self, report: &Report, index: &Index, extent: Extent) -> Result<()> {
        let recipe = &self.rooted_as;
        let mut produced = Produced::default();
        let report = produced.output(OutputKind::Blob, REPORT, report.encode());
        let index_digest = produced.output(OutputKind::Blob, INDEX, index.encode());
        let mut blobs = vec![report, index_digest];
        blobs.extend(self.context.sources.blobs().iter().map(Blob::digest));
        let mut actions: Vec<ActionKey> = index.keys.iter().map(|k| k.0).collect();
        if extent == Extent::Complete {
            actions.push(self.derivation.key);
        } else if let Some(before) = latest::finished_before(self.store, recipe)? {
            actions.extend(before.actions());
            blobs.extend(before.blobs());
        }
        let closure = produced.output(OutputKind::Closure, CLOSURE, Closure::new(actions, blobs).encode());
        let targets = Targets { report, index: index_digest, closure };
        let mut publication = Publication { blobs: produced.blobs, ..Publication::default() };
        if extent == Extent::Complete {
            let preimage = self.derivation.encoded.clone();
            let provenance = steps::provenance(Duration::ZERO);
            publication.action = Some(NewAction::new(preimage, produced.record, provenance));
            publication.roots = latest::roots_of_complete(recipe, targets);
        } else {
            publication.roots = latest::roots_of_incomplete(recipe, targets, extent);
        }
        self.store.publish(publication).wait()?;
        if extent == Extent::Complete {
            latest::forget_placeless(self.store, recipe)?;
            forget_stand_in(self.store, recipe, &self.derivation.key)?;
        }
        Ok(())
    }
}

/// Counts and tells what became of a step, once it is published.
pub(super) fn step_finished(
    finished: &Finished,
    points: &[Point],
    explainer: Option<&Explainer>,
    counts: &mut StepCounts,
    sink: &mut dyn FnMut(Event<'_>),
) -> Result<()> {
    if let Some(ticket) = &finished.ticket {
        ticket.wait_for_batch()?;
    }
    let count = match finished.status {
        StepStatus::Hit => &mut counts.hit,
        StepStatus::HitUpstream => &mut counts.hit_upstream,
        StepStatus::Run => &mut counts.executed,
        StepStatus::Failed => &mut counts.failed,
        StepStatus::WouldRun => &mut counts.would_run,
        StepStatus::Unknown => &mut counts.unknown,
    };
    *count += 1;
    let point = &points[finished.task.point];
    let kind = finished.task.kind;
    let why = match (explainer, &finished.derivation) {
        (Some(explainer), Some(derivation)) => Some(explainer.why(point, kind, derivation)?),
        _ => None,
    };
    let Finished { status, key, took, .. } = *finished;
    sink(Event::Step { point: &point.name, kind, status, key, took, why });
    Ok(())
}

/// How far a build came, from what its points came to.
fn extent(resolved: &[PerStep<Resolved>]) -> Extent {
    let runs = || resolved.iter().map(|point| &point[StepKind::Run]);
    let done = runs().filter(|run| matches!(run, Resolved::Done { .. })).count();
    if done == resolved.len() {
        Extent::Complete
    } else if done > 0 && !runs().any(|run| matches!(run, Resolved::Skipped)) {
        Extent::Ended
    } else {
        Extent::Cut
    }
}

/// How a point came to its result, from what its simulation came to.
fn status_of(run: &Resolved) -> (PointStatus, Option<Arc<Error>>) {
    let status = match run {
        Resolved::Done { status: StepStatus::Run, .. } => PointStatus::Run,
        Resolved::Done { status: StepStatus::HitUpstream, .. } => PointStatus::HitUpstream,
        Resolved::Done { .. } => PointStatus::Hit,
        Resolved::Failed(e) => return (PointStatus::Failed, Some(Arc::clone(e))),
        Resolved::WouldRun => PointStatus::WouldRun,
        Resolved::Unknown => PointStatus::Unknown,
        Resolved::Skipped => PointStatus::Skipped,
    };
    (status, None)
}

//! `astra-store build`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::error::{Error, ErrorKind, Result};
use crate::exec::{self, BuildOptions, Event, KnownRecipe, Outcome, StepStatus};
use crate::program::this_program;
use crate::recipe::Recipe;
use crate::report::stall_json;
use crate::steps::RanksFinished;

use super::cache::{CacheArgs, Workplace};
use super::interrupt::stop_on_signal;
use super::plugin::PluginDirs;
use super::sharing::{SharingArgs, tell_upstream};
use super::ui::{Ui, counted};
use super::{Global, cross_check, table};

/// Build a recipe: run the steps whose inputs changed, print the table of results.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  astra-store build recipe.json
  astra-store build recipe.json --explain        # why each executed step was executed
  astra-store build recipe.json --dry-run        # what would be executed
  astra-store build recipe.json --out results    # also write every point's files
  astra-store build recipe.json --cross-check=AstraSim_Analytical_Congestion_Aware
  astra-store build recipe.json --out astra_cache --layout astra-cache
  astra-store build recipe.json --upstream /mnt/lab/results --push /mnt/lab/results
  astra-store build recipe.json --upstream /mnt/lab/results -n  # what would come from there
  astra-store build recipe.json --json | tail -1 # the summary for scripts")]
pub(super) struct BuildArgs {
    /// The recipe.
    recipe: PathBuf,
    /// How many steps to execute at a time. Default: the number of cores.
    #[arg(long, short, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Say what would be executed, and execute nothing.
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Go on with other points when one fails.
    #[arg(long, short)]
    keep_going: bool,
    /// For every executed step, say which input changed.
    #[arg(long)]
    explain: bool,
    /// Simulate without checking traces first.
    #[arg(long)]
    no_lint: bool,
    /// Use nothing that was recorded without this text, and record with it: for when records are no longer believed.
    /// Takes the place of `salt` in the recipe.
    #[arg(long, value_name = "TEXT")]
    salt: Option<String>,
    /// Write the files of every point to this directory, under the names ASTRA-sim's users know.
    #[arg(long, value_name = "DIR", conflicts_with = "dry_run")]
    out: Option<PathBuf>,
    /// Simulate every point with the other engine too, the built-in one or an executable of ASTRA-sim, and compare the
    /// times of every rank; they must be equal. Where the recipe names no executable this does, or ASTRA_SIM_BINARY.
    #[arg(long, value_name = "EXECUTABLE", num_args = 0..=1, require_equals = true, conflicts_with = "dry_run")]
    cross_check: Option<Option<PathBuf>>,
    /// How --out lays the files out: `points`, a directory for each point; `astra-cache`, as the cache directory of DeepFlow's
    /// library with its `cache.json`, whole or not at all, and never over files of others.
    #[arg(long, value_name = "LAYOUT", requires = "out", default_value = "points", value_parser = ["points", "astra-cache"],
        hide_possible_values = true)]
    layout: String,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    plugins: PluginDirs,
    /// Run policies that come as libraries in this process, for a debugger; one that crashes takes the build with it.
    #[arg(long)]
    policy_in_process: bool,
    #[command(flatten)]
    sharing: SharingArgs,
}

pub(super) fn run(ui: &Ui, global: &Global, args: &BuildArgs) -> Result<()> {
    let recipe = salted(Recipe::load(&args.recipe)?, args.salt.as_deref())?;
    let cross_check =
        args.cross_check.as_ref().map(|path| exec::CrossCheck::new(&recipe, path.clone())).transpose()?;
    let plugins = args.plugins.path()?;
    let workplace = Workplace::open(ui, global, args.cache.mode()?, args.dry_run)?;
    let store = &workplace.store;
    let sharing = args.sharing.open(ui, global, &workplace, args.dry_run)?;
    let cancel =
        stop_on_signal(*ui, "stopping: what is finished is kept; press Ctrl-C again to leave at once")?;
    let watcher = this_program()?;
    let options = BuildOptions {
        watcher: Some(&watcher),
        jobs: args.jobs.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get),
        dry_run: args.dry_run,
        keep_going: args.keep_going,
        explain: args.explain,
        lint: !args.no_lint,
        plugins: &plugins,
        policy_in_process: args.policy_in_process,
        upstream: sharing.upstream(),
        cancel: &cancel,
    };
    let mut progress = Progress::new(ui);
    let outcome = exec::build(store, &recipe, &options, &mut |event| progress.show(&event));
    let compared = match (&outcome, cross_check) {
        (Ok(outcome), Some(check)) if !outcome.interrupted => {
            Some(check.run(store, &recipe, outcome, &options, &mut |event| progress.show(&event)))
        }
        _ => None,
    };
    progress.end()?;
    let outcome = outcome?;
    let compared = compared.transpose()?;
    for notice in &outcome.notices {
        ui.warn(notice);
    }
    tell_upstream(ui, &outcome.upstream, sharing.asks_others(), args.dry_run);
    let written = args.out.as_ref().map(|dir| match args.layout.as_str() {
        "astra-cache" => exec::write_astra_cache(store, &recipe, &outcome, dir),
        _ => exec::materialise(store, &recipe, &outcome, dir),
    });
    // What is finished is handed out, too, when something else failed; not when the user wants to get away.
    let pushed = match outcome.interrupted {
        true => Ok(None),
        false => sharing.hand_out(ui, store, &KnownRecipe::of(&recipe)),
    };
    if ui.json() {
        let mut summary = summary(&outcome);
        if let Some(upstream) = sharing.upstream_json(&outcome.upstream) {
            summary["upstream"] = upstream;
        }
        if let Some(compared) = &compared {
            summary["cross_check"] = cross_check::json(compared);
        }
        match &pushed {
            Ok(Some(pushed)) => summary["pushed"] = pushed.json(),
            Ok(None) => {}
            Err(e) => summary["pushed"] = json!({ "error": e.to_string() }),
        }
        ui.json_line(&summary)?;
    } else {
        print_table(ui, &outcome)?;
        print_totals(ui, &outcome, args.dry_run);
        compared.as_ref().map_or(Ok(()), |compared| cross_check::print(ui, compared))?;
    }
    let pushed = pushed.and_then(|pushed| match pushed {
        Some(pushed) => {
            pushed.tell_on_stderr(ui);
            pushed.verdict()
        }
        None => Ok(()),
    });
    let written = written.transpose().map(|files| {
        if let (Some(files), Some(dir)) = (files, &args.out) {
            ui.say(format!("{} in {}", counted(files, "file"), dir.display()));
        }
    });
    let compared = compared.as_ref().map_or(Ok(()), |compared| cross_check::verdict(compared));
    first_error(ui, [verdict(ui, &outcome), compared, pushed, written])
}

/// The first error, which decides the exit code and is told last. The others are told here.
fn first_error<const N: usize>(ui: &Ui, ended: [Result<()>; N]) -> Result<()> {
    let mut errors = ended.into_iter().filter_map(Result::err);
    let first = errors.next();
    errors.for_each(|e| ui.error(&e));
    first.map_or(Ok(()), Err)
}

/// A recipe with the salt of the command line, if there is one there.
pub(super) fn salted(recipe: Recipe, salt: Option<&str>) -> Result<Recipe> {
    match salt {
        Some(salt) => recipe.with_salt(salt),
        None => Ok(recipe),
    }
}

/// The last line of `--json`.
fn summary(outcome: &Outcome) -> Value {
    let points: Vec<Value> = outcome
        .points
        .iter()
        .map(|p| {
            let mut value = json!({
                "name": p.row.name,
                "status": p.status.as_str(),
                "finish_ns": p.row.finish_ns,
                "result": p.row.result,
            });
            if let Some(bandwidth) = p.row.bus_bandwidth_bytes_per_s {
                value["bus_bandwidth_bytes_per_s"] = bandwidth.into();
            }
            if let Some(e) = &p.error {
                value["error"] = e.to_string().into();
                if let Some(stall) = e.stall() {
                    value["stall"] = stall_json(stall);
                }
            }
            value
        })
        .collect();
    let mut steps = json!({
        "executed": outcome.steps.executed,
        "hit": outcome.steps.hit,
        "failed": outcome.steps.failed,
    });
    if outcome.dry_run {
        steps["would_run"] = outcome.steps.would_run.into();
        steps["unknown_until_cutoff"] = outcome.steps.unknown.into();
        steps["hit_upstream"] = outcome.steps.hit_upstream.into();
    }
    json!({
        "recipe": outcome.recipe,
        "points": points,
        "steps": steps,
        "elapsed_s": outcome.elapsed.as_secs_f64(),
    })
}

fn print_table(ui: &Ui, outcome: &Outcome) -> Result<()> {
    let rows = outcome.points.iter().map(|p| (&p.row, Some(p.status)));
    let table = table::points(&outcome.recipe, &outcome.axes, rows);
    ui.data(|out| table.write(out))
}

fn print_totals(ui: &Ui, outcome: &Outcome, dry_run: bool) {
    let s = &outcome.steps;
    let mut parts = vec![];
    if dry_run {
        parts.push(format!("{} would run", s.would_run));
        parts.push(format!("{} unknown until what is before them has run", s.unknown));
    } else {
        parts.push(format!("{} executed", s.executed));
    }
    if s.hit_upstream > 0 {
        parts.push(format!("{} hit upstream", s.hit_upstream));
    }
    parts.push(format!("{} hit", s.hit));
    if s.failed > 0 {
        parts.push(format!("{} failed", s.failed));
    }
    let points = counted(outcome.points.len(), "point");
    ui.say(format!("{points}, steps: {}; {:.3} s", parts.join(", "), outcome.elapsed.as_secs_f64()));
}

/// How many errors are printed before the rest is counted.
const PRINTED_ERRORS: usize = 10;

/// The error that the command ends with, if any. Of several failed points every error is printed, equal ones once.
fn verdict(ui: &Ui, outcome: &Outcome) -> Result<()> {
    if outcome.interrupted {
        return Err(Error::new(ErrorKind::Interrupted, "interrupted; finished steps are kept")
            .hint("run the same command again to go on"));
    }
    let mut errors: Vec<(&str, &Error)> = Vec::new();
    let mut failed = 0;
    for point in &outcome.points {
        let Some(error) = point.error.as_deref() else { continue };
        failed += 1;
        if !errors.iter().any(|(_, known)| known.to_string() == error.to_string()) {
            errors.push((&point.row.name, error));
        }
    }
    let several = outcome.points.len() > 1;
    let named =
        |(point, e): &(&str, &Error)| if several { (*e).clone().in_point(point) } else { (*e).clone() };
    let Some(first) = errors.first() else { return Ok(()) };
    if failed == 1 {
        return Err(named(first));
    }
    for error in errors.iter().take(PRINTED_ERRORS) {
        ui.error(&named(error));
    }
    let more = errors.len().saturating_sub(PRINTED_ERRORS);
    let unprinted = if more > 0 { format!("; {more} more errors with --json") } else { String::new() };
    Err(Error::new(first.1.kind(), format!("{failed} of {} points failed{unprinted}", outcome.points.len())))
}

/// Shows events: JSON lines, or a bar on a terminal, or explanations.
struct Progress<'a> {
    ui: &'a Ui,
    bar: Option<ProgressBar>,
    bar_is_of_ranks: bool,
    error: Result<()>,
}

impl<'a> Progress<'a> {
    fn new(ui: &'a Ui) -> Self {
        Self { ui, bar: None, bar_is_of_ranks: false, error: Ok(()) }
    }

    fn show(&mut self, event: &Event<'_>) {
        if self.ui.json() && self.error.is_ok() {
            self.error = self.ui.json_line(&event_json(event));
        }
        match event {
            Event::Started { points } if self.ui.shows_progress() && *points > 1 => {
                let style = ProgressStyle::with_template("{bar:30} {pos}/{len} points {eta} {msg}")
                    .unwrap_or_else(|_| ProgressStyle::default_bar());
                self.bar = Some(ProgressBar::new(*points as u64).with_style(style));
            }
            Event::Step { point, kind, why: Some(why), status, .. } => {
                let verb = if *status == StepStatus::Run { "" } else { "would run " };
                self.line(&format!("{verb}{kind:<8}{point}: {why}"));
            }
            Event::Ranks { ranks, .. } => self.ranks(ranks),
            Event::Point { .. } => {
                if let Some(bar) = self.bar.as_ref().filter(|_| !self.bar_is_of_ranks) {
                    bar.inc(1);
                }
            }
            _ => {}
        }
    }

    /// Of a single point its ranks are what there is to wait for.
    fn ranks(&mut self, ranks: &RanksFinished) {
        let RanksFinished { finished, ranks } = *ranks;
        match &self.bar {
            Some(bar) if self.bar_is_of_ranks => bar.set_position(finished.into()),
            Some(bar) => bar.set_message(format!("({finished} of {ranks} ranks)")),
            None if self.ui.shows_progress() => {
                let style = ProgressStyle::with_template("{bar:30} {pos}/{len} ranks finished {elapsed}")
                    .unwrap_or_else(|_| ProgressStyle::default_bar());
                self.bar =
                    Some(ProgressBar::new(ranks.into()).with_style(style).with_position(finished.into()));
                self.bar_is_of_ranks = true;
            }
            None => {}
        }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.ui.say(text)),
            None => self.ui.say(text),
        }
    }

    fn end(self) -> Result<()> {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        self.error
    }
}

fn event_json(event: &Event<'_>) -> Value {
    match event {
        Event::Started { points } => json!({ "event": "started", "points": points }),
        Event::Step { point, kind, status, key, took, why } => {
            let mut value = json!({
                "event": "step",
                "point": point,
                "step": kind.as_str(),
                "status": status.as_str(),
                "key": key.map(|k| k.to_string()),
                "took_s": took.as_secs_f64(),
            });
            if let Some(why) = why {
                value["why"] = why.as_str().into();
            }
            value
        }
        Event::Ranks { point, ranks: RanksFinished { finished, ranks } } => {
            json!({ "event": "ranks", "point": point, "finished": finished, "ranks": ranks })
        }
        Event::Point { name, status, error } => {
            let mut value = json!({ "event": "point", "name": name, "status": status.as_str() });
            if let Some(e) = error {
                value["error"] = e.to_string().into();
                value["hint"] = e.hint_text().into();
            }
            value
        }
    }
}

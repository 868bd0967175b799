//! `astra-store policy compare`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::decision::BEST;
use crate::error::{Error, ErrorKind, Result};
use crate::exec::{self, BuildOptions, Compared, ComparedPoint, Comparison, Event, PointStatus, UnderPolicy};
use crate::program::this_program;
use crate::recipe::{PolicyConfig, PolicyPlugin, Recipe};
use crate::report::{Align, Table, format_nanos};

use super::interrupt::stop_on_signal;
use super::plugin::PluginDirs;
use super::ui::{Ui, counted};
use super::{Global, locate};

/// What policies decide.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  astra-store policy compare recipe.json --policies topology,best")]
pub(super) struct PolicyArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Compare(CompareArgs),
}

/// Build a recipe under several policies and compare what they decide, predict and come to.
///
/// Regret is how much longer a point takes than under `best`, or, when that is not compared, than under the fastest. Every
/// policy is built under a name of its own, NAME.under-POLICY, which `ls` lists and `show` shows.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  astra-store policy compare recipe.json --policies topology,best
  astra-store policy compare recipe.json --policies ./tuner.so,csv=tuner.csv,best --json")]
pub(super) struct CompareArgs {
    /// The recipe; it must not sweep its policy.
    recipe: PathBuf,
    /// Policies by name or path, each with =FILE when it has a configuration; paths are relative to the recipe.
    #[arg(long, value_name = "POLICIES", value_delimiter = ',', required = true)]
    policies: Vec<String>,
    /// How many steps to execute at a time. Default: the number of cores.
    #[arg(long, short, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    #[command(flatten)]
    plugins: PluginDirs,
}

pub(super) fn run(ui: &Ui, global: &Global, args: &PolicyArgs) -> Result<()> {
    match &args.command {
        Command::Compare(args) => compare(ui, global, args),
    }
}

/// A policy of the command line, with the file of its configuration behind `=`. Called as it is written, so that one policy
/// can be compared under several configurations.
fn compared(word: &str) -> Compared {
    let (plugin, config) = word.split_once('=').map_or((word, None), |(plugin, file)| (plugin, Some(file)));
    Compared {
        name: word.to_owned(),
        plugin: PolicyPlugin::of(plugin),
        config: config.map(|file| PolicyConfig::File(file.to_owned())),
    }
}

/// # Errors
/// A policy without a name; one that is there twice.
fn refuse_unclear(policies: &[Compared]) -> Result<()> {
    for (index, policy) in policies.iter().enumerate() {
        let message = match policy.plugin.as_str() {
            "" => format!("--policies: `{}` names no policy", policy.name),
            _ if policies[..index].contains(policy) => {
                format!("--policies: `{}` is there twice", policy.name)
            }
            _ => continue,
        };
        return Err(Error::new(ErrorKind::Usage, message));
    }
    Ok(())
}

fn compare(ui: &Ui, global: &Global, args: &CompareArgs) -> Result<()> {
    let policies: Vec<Compared> = args.policies.iter().map(|word| compared(word)).collect();
    refuse_unclear(&policies)?;
    let plugins = args.plugins.path()?;
    let recipe = Recipe::load(&args.recipe)?;
    let store = locate::open(ui, global)?;
    let cancel =
        stop_on_signal(*ui, "stopping: what is finished is kept; press Ctrl-C again to leave at once")?;
    let watcher = this_program()?;
    let options = BuildOptions {
        watcher: Some(&watcher),
        jobs: args.jobs.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get),
        dry_run: false,
        keep_going: true,
        explain: false,
        lint: true,
        plugins: &plugins,
        policy_in_process: false,
        upstream: None,
        cancel: &cancel,
    };
    let mut simulated = 0;
    let comparison = exec::compare(&store, &recipe, &policies, BEST.name, &options, &mut |event| {
        simulated += usize::from(matches!(event, Event::Point { status: PointStatus::Run, .. }));
    })?;
    for notice in &comparison.notices {
        ui.warn(notice);
    }
    warn_of_free_links(ui, &comparison);
    for point in &comparison.points {
        for (policy, outcome) in comparison.policies.iter().zip(&point.outcomes) {
            if let Some(error) = &outcome.error {
                ui.warn(format!("point `{}` under {policy}: {error}", point.name));
            }
        }
    }
    if ui.json() {
        return ui.json_line(&described(&recipe, &comparison));
    }
    let table = table(&comparison);
    ui.data(|out| {
        table.write(out)?;
        writeln!(out)?;
        summary(&comparison).write(out)
    })?;
    ui.say(format!("{}, {simulated} simulated now", counted(comparison.points.len(), "point")));
    Ok(())
}

fn warn_of_free_links(ui: &Ui, comparison: &Comparison) {
    let points = comparison.points.iter();
    let points = points.filter(|point| point.outcomes.iter().any(|outcome| outcome.looks_free)).count();
    if points > 0 {
        ui.warn(format!(
            "{} with `direct` where links are shared: congestion_unaware lets all its messages pass at once, so that it looks \
             faster than it is; compare with \"network\": \"congestion_aware\" under `engine`",
            counted(points, "point")
        ));
    }
}

/// One row per point and policy.
fn table(comparison: &Comparison) -> Table {
    let mut table = Table::new([
        ("point", Align::Left),
        ("policy", Align::Left),
        ("algorithms", Align::Left),
        ("predicted", Align::Right),
        ("simulated", Align::Right),
        ("regret", Align::Right),
    ]);
    for point in &comparison.points {
        for (index, (policy, outcome)) in comparison.policies.iter().zip(&point.outcomes).enumerate() {
            table.row(cells(point, index, policy, outcome));
        }
    }
    table
}

fn cells(point: &ComparedPoint, index: usize, policy: &str, outcome: &UnderPolicy) -> Vec<String> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    vec![
        if index == 0 { point.name.clone() } else { String::new() },
        policy.to_owned(),
        algorithms(outcome),
        or_dash(outcome.predicted_ns().map(|ns| format_nanos(ns.round() as u64))),
        outcome.finish_ns.map_or_else(|| "failed".to_owned(), format_nanos),
        or_dash(point.regret(index).map(percent)),
    ]
}

/// What is simulated: `ring, direct` for one collective, each with its name and size when there are several.
fn algorithms(outcome: &UnderPolicy) -> String {
    match outcome.decisions.as_slice() {
        [only] => only.simulated.join(", "),
        several => {
            let told = several.iter().map(|decision| {
                let size = decision.question.bytes.map_or_else(String::new, |bytes| format!(" {bytes}"));
                format!("{}{size}: {}", decision.question.collective, decision.simulated.join(", "))
            });
            told.collect::<Vec<_>>().join("; ")
        }
    }
}

fn summary(comparison: &Comparison) -> Table {
    let mut table = Table::new([
        ("policy", Align::Left),
        ("points", Align::Right),
        ("median regret", Align::Right),
        ("largest regret", Align::Right),
    ]);
    for (index, policy) in comparison.policies.iter().enumerate() {
        let Some(regret) = comparison.regret(index) else { continue };
        table.row([policy.clone(), regret.points.to_string(), percent(regret.median), percent(regret.max)]);
    }
    table
}

fn percent(part: f64) -> String {
    format!("{:.2} %", 100.0 * part)
}

fn described(recipe: &Recipe, comparison: &Comparison) -> Value {
    let under = |point: &ComparedPoint| {
        let outcomes = comparison.policies.iter().zip(&point.outcomes).enumerate();
        let outcomes = outcomes.map(|(index, (policy, outcome))| {
            let decisions: Vec<Value> = outcome
                .decisions
                .iter()
                .map(|decision| {
                    json!({
                        "question": decision.question,
                        "decided": decision.row.algorithms(),
                        "simulated": decision.simulated,
                        "lost": decision.is_lost,
                        "predicted_ns": decision.row.predicted_ns,
                    })
                })
                .collect();
            json!({
                "policy": policy,
                "decisions": decisions,
                "predicted_ns": outcome.predicted_ns(),
                "finish_ns": outcome.finish_ns,
                "regret": point.regret(index),
                "looks_free": outcome.looks_free,
                "error": outcome.error,
            })
        });
        outcomes.collect::<Vec<Value>>()
    };
    let points: Vec<Value> = comparison
        .points
        .iter()
        .map(|point| json!({ "name": point.name, "policies": under(point) }))
        .collect();
    let regrets = comparison.policies.iter().enumerate();
    let regrets: Vec<Value> = regrets
        .map(|(index, policy)| json!({ "policy": policy, "regret": comparison.regret(index) }))
        .collect();
    json!({ "recipe": recipe.name(), "points": points, "regret": regrets })
}

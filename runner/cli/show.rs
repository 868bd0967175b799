//! `astra-store show`.

mod decisions;

use std::io::{self, Write};

use artifact_store::{ActionKey, Digest, Found, Store, Tree};
use astra_engine::{Dialect, Options, SEMANTIC_VERSION};
use clap::Args;
use serde_json::{Value, json};

use crate::error::{Error, ErrorKind, Result};
use crate::exec::{LatestBuild, PointStatus};
use crate::external;
use crate::recipe::EngineKind;
use crate::report::{Align, LinkReport, RunResult, Table, format_bytes, format_nanos};
use crate::steps::{RecordedRun, recorded_run};

use super::follow::{Followed, TraceArgs, Wanted, follow};
use super::ui::{Ui, shown};
use super::{Global, dialect, legacy, locate, table};

/// How many links a table shows.
const SHOWN_LINKS: usize = 20;

/// Show a recipe's table, a result, or whatever a digest stands for.
///
/// For a recipe: the table of its latest build. For a result: the time of every rank. For an action: what went
/// into it and what came out. For a tree: its files.
///
/// With --trace or --links the run behind a result, or behind a recipe with one point, is simulated again from what the store
/// keeps of it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  astra-store show h100-allreduce
  astra-store show 3f2a91c0          # any unique beginning of a digest
  astra-store show h100-allreduce --trace h100.json.gz --ranks 0-3
  astra-store show h100-allreduce --links
  astra-store show h100-allreduce --decisions
  astra-store show h100-allreduce --log          # what an external simulator printed
  astra-store show --legacy")]
pub(super) struct ShowArgs {
    /// Name of a recipe, or a digest, or a unique beginning of one. NAME@PLACE where several recipes have the name: `ls`
    /// lists the places.
    #[arg(required_unless_present = "legacy")]
    what: Option<String>,
    /// Compare what `import --cache-json` has kept with what a run of its files gives now.
    #[arg(long, conflicts_with_all = ["what", "links", "trace"])]
    legacy: bool,
    /// With --legacy: whose rules, deepflow or astra-sim. Default: $ASTRA_STORE_DIALECT, else deepflow.
    #[arg(long, value_name = "DIALECT", requires = "legacy")]
    dialect: Option<String>,
    /// Show what each link carried, the busiest first, and name the bottleneck; needs congestion_aware.
    #[arg(long)]
    links: bool,
    /// Show which algorithm was decided for each collective of a recipe's points, by whom and why, and where another one is
    /// simulated.
    #[arg(long, conflicts_with_all = ["links", "log"])]
    decisions: bool,
    /// Show what the simulator printed that gave a result, if that was another program; beginning and end are kept.
    #[arg(long, conflicts_with_all = ["links", "trace"])]
    log: bool,
    #[command(flatten)]
    trace: TraceArgs,
}

pub(super) fn run(ui: &Ui, global: &Global, args: &ShowArgs) -> Result<()> {
    let store = locate::open_existing(ui, global)?;
    let Some(what) = &args.what else {
        let dialect = dialect::asked(args.dialect.as_deref())?;
        return legacy::show(ui, &store, dialect.unwrap_or(Dialect::DeepFlow));
    };
    if args.log {
        return show_log(ui, &store, what);
    }
    if args.trace.is_wanted() || args.links {
        return show_again(ui, &store, what, args);
    }
    if args.decisions {
        return decisions::show(ui, &store, what);
    }
    if let Some(build) = locate::latest_build(&store, what)? {
        return show_recipe(ui, build);
    }
    if !locate::is_digest(what) {
        return Err(locate::unknown_recipe(&store, what)?);
    }
    match locate::find(&store, what)? {
        Found::Action(key) => show_action(ui, &store, &key),
        Found::Blob(digest) => show_blob(ui, &store, &digest),
    }
}

/// Simulates a run again to show what its result does not hold.
fn show_again(ui: &Ui, store: &Store, what: &str, args: &ShowArgs) -> Result<()> {
    let key = locate::run(store, what, EngineKind::Builtin)?;
    let RecordedRun { simulation, result, engine_version } = recorded_run(store, &key)?;
    let wanted = Wanted { trace: &args.trace, nodes: false, links: args.links };
    let Followed { report, links, .. } = follow(ui, &simulation, &Options::default(), &wanted)?;
    if RunResult::from_engine(&report)? != result {
        return Err(Error::failed(format!(
            "run {key} gave other times when it was recorded, by version {engine_version} of the engine; this is version {SEMANTIC_VERSION}"
        ))
        .hint("build the recipe again"));
    }
    links
        .map_or(Ok(()), |links| show_links(ui, &LinkReport::new(&simulation.network, report.finish(), links)))
}

/// Shows what a run of a simulator that is another program printed.
fn show_log(ui: &Ui, store: &Store, what: &str) -> Result<()> {
    let key = locate::run(store, what, EngineKind::AstraSim)?;
    let log = store.provenance(&key)?.map(|provenance| provenance.log).unwrap_or_default();
    if log.is_empty() {
        return Err(Error::new(ErrorKind::Usage, format!("run {key} printed nothing that is kept"))
            .hint("logs are kept of simulators that are other programs, in the store that ran them"));
    }
    let text = external::text_of(&log)
        .map_err(|e| Error::new(ErrorKind::Store, format!("the log of run {key} cannot be read: {e}")))?;
    if ui.json() {
        return ui.json_line(&json!({ "run": key.to_string(), "log": String::from_utf8_lossy(&text) }));
    }
    ui.data(|out| out.write_all(shown(&String::from_utf8_lossy(&text)).as_bytes()))
}

fn show_links(ui: &Ui, links: &LinkReport<'_>) -> Result<()> {
    if ui.json() {
        return ui.json_line(&json!({ "links": links.json(), "bottleneck": links.bottleneck() }));
    }
    ui.data(|out| {
        writeln!(out, "{}", links.bottleneck())?;
        links.table(SHOWN_LINKS).write(out)?;
        match links.len().checked_sub(SHOWN_LINKS) {
            None | Some(0) => Ok(()),
            Some(more) => writeln!(out, "and {more} more; --json prints all"),
        }
    })
}

fn show_recipe(ui: &Ui, build: LatestBuild) -> Result<()> {
    if ui.json() {
        return ui.json_line(&build.report);
    }
    let rows = build.report.points.iter().map(|row| {
        let status = if row.finish_ns.is_some() { None } else { Some(PointStatus::Failed) };
        (row, status)
    });
    let table = table::points(&build.report.recipe, &build.report.axes, rows);
    ui.data(|out| table.write(out))
}

fn show_action(ui: &Ui, store: &Store, key: &ActionKey) -> Result<()> {
    let record = store.record(key)?;
    let preimage = store.preimage(key)?;
    let provenance = store.provenance(key)?;
    let preimage: Option<Value> = preimage.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let outputs = record.map(|r| r.outputs).unwrap_or_default();
    if ui.json() {
        let outputs: serde_json::Map<String, Value> = outputs
            .iter()
            .map(|(name, o)| (name.clone(), json!({ "digest": o.digest.to_string(), "bytes": o.len })))
            .collect();
        let provenance = provenance.map(|p| {
            json!({ "finished_unix_ms": p.finished_unix_ms, "duration_us": p.duration_us, "host": p.host })
        });
        return ui.json_line(&json!({
            "action": key.to_string(),
            "preimage": preimage,
            "outputs": outputs,
            "provenance": provenance,
        }));
    }
    let mut table = Table::new([("output", Align::Left), ("digest", Align::Left), ("size", Align::Right)]);
    for (name, output) in &outputs {
        table.row([name.clone(), output.digest.to_string(), format_bytes(output.len)]);
    }
    ui.data(|out| {
        writeln!(out, "action {key}")?;
        if let Some(p) = provenance {
            let took = format_nanos(p.duration_us.saturating_mul(1000));
            writeln!(out, "took {took} on {}", if p.host.is_empty() { "an unnamed host" } else { &p.host })?;
        }
        if let Some(preimage) = preimage {
            writeln!(out, "made of {}", shown(&serde_json::to_string_pretty(&preimage)?))?;
        }
        table.write(out)
    })
}

fn show_blob(ui: &Ui, store: &Store, digest: &Digest) -> Result<()> {
    let bytes = locate::blob(store, digest)?;
    if let Ok(result) = RunResult::decode(&bytes) {
        return if ui.json() { ui.json_line(&result) } else { ui.data(|out| write_result(&result, out)) };
    }
    if let Ok(tree) = Tree::decode(&bytes) {
        return show_tree(ui, &tree);
    }
    if ui.json() {
        return ui.json_line(&json!({ "blob": digest.to_string(), "bytes": bytes.len() }));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => ui.data(|out| writeln!(out, "{}", shown(text.trim_end()))),
        Err(_) => ui.data(|out| {
            writeln!(
                out,
                "blob {digest}, {}; `astra-store cat` prints its bytes",
                format_bytes(bytes.len() as u64)
            )
        }),
    }
}

fn write_result(result: &RunResult, out: &mut dyn Write) -> io::Result<()> {
    let columns = [
        ("finish", &result.rank_finish_ns),
        ("exposed communication", &result.rank_exposed_ns),
        ("compute", &result.rank_compute_ns),
        ("communication", &result.rank_communication_ns),
        ("overlap", &result.rank_overlap_ns),
    ];
    // Few workloads use the CPU or remote memory.
    let rare = [("CPU", &result.rank_cpu_ns), ("remote memory", &result.rank_memory_ns)];
    let used = rare.into_iter().filter(|(_, times)| times.iter().any(|time| *time > 0));
    let columns: Vec<_> = columns.into_iter().chain(used).collect();
    let names = std::iter::once("rank").chain(columns.iter().map(|(name, _)| *name));
    let mut table = Table::new(names.map(|name| (name, Align::Right)));
    for rank in 0..result.rank_finish_ns.len() {
        let times =
            columns.iter().map(|(_, times)| times.get(rank).copied().map_or_else(String::new, format_nanos));
        table.row(std::iter::once(rank.to_string()).chain(times));
    }
    table.write(out)
}

fn show_tree(ui: &Ui, tree: &Tree) -> Result<()> {
    if ui.json() {
        let entries: Vec<Value> = tree
            .entries()
            .iter()
            .map(|e| json!({ "name": e.name, "digest": e.digest.to_string(), "bytes": e.len }))
            .collect();
        return ui.json_line(&json!({ "tree": entries }));
    }
    let mut table = Table::new([("name", Align::Left), ("digest", Align::Left), ("size", Align::Right)]);
    for entry in tree.entries() {
        table.row([entry.name.clone(), entry.digest.to_string(), format_bytes(entry.len)]);
    }
    ui.data(|out| table.write(out))
}

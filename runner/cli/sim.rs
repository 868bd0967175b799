//! `astra-store sim`: the command line of ASTRA-sim's analytical binary, answered by the built-in engine, through a store
//! where one is named.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use artifact_store::Store;
use astra_engine::{Dialect, NetworkModel, Options, RankReport, Report};

use crate::astrasim::SystemOptions;
use crate::error::{Error, ErrorKind, Result};
use crate::exec::{Lone, LoneOptions};
use crate::files;
use crate::report::{LinkReport, nodes_csv, stall_json};
use crate::sim::{NO_GROUPS, SimFiles, SimPaths, SimSettings, comm_groups_named};

use super::cache::CacheArgs;
use super::follow::{Followed, TraceArgs, Wanted, follow};
use super::rank_lines::RankLines;
use super::ui::Ui;
use super::{Global, dialect, locate};

/// Simulate existing files with the options of the ASTRA-sim analytical binary.
///
/// A repeated call is answered from the store where --store, $ASTRA_STORE or $ASTRA_CACHE_DIR names one; without, no store is
/// used or made. What --nodes, --links and --trace show is always simulated. Unknown options are ignored, with a warning.
#[derive(Debug, Args)]
#[command(
    args_override_self = true,
    after_help = "\
Examples:
  astra-store sim --workload-configuration=workload/all_reduce --system-configuration=system.json \\
    --network-configuration=network.yml --remote-memory-configuration=no_memory_expansion.json
  ln -s $(command -v astra-store) AstraSim_Analytical_Congestion_Aware  # stands in for the original's binary"
)]
pub(super) struct SimArgs {
    /// Prefix P of the traces: rank r reads P.<r>.et.
    #[arg(long, value_name = "PREFIX")]
    workload_configuration: PathBuf,
    /// System JSON.
    #[arg(long, value_name = "FILE")]
    system_configuration: PathBuf,
    /// Network YAML.
    #[arg(long, value_name = "FILE")]
    network_configuration: PathBuf,
    /// Remote memory JSON.
    #[arg(long, value_name = "FILE")]
    remote_memory_configuration: Option<PathBuf>,
    /// Communicator groups JSON; a name that contains `empty` stands for none.
    #[arg(long, value_name = "FILE", default_value = NO_GROUPS)]
    comm_group_configuration: String,
    /// Queues per network dimension.
    #[arg(long, value_name = "N", default_value_t = 1)]
    num_queues_per_dim: u32,
    /// Factor on the endpoint delay of the system file.
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    injection_scale: f64,
    /// Precede every message by a handshake.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_value = "false", default_missing_value = "true",
        value_parser = boolean, action = clap::ArgAction::Set)]
    rendezvous_protocol: bool,
    /// Whether messages compete for links: congestion_aware or congestion_unaware.
    #[arg(long, value_name = "MODEL", default_value = "congestion_aware")]
    network_model: String,
    /// Whose rules: astra-sim or deepflow. Default: $ASTRA_STORE_DIALECT, else astra-sim.
    #[arg(long, value_name = "DIALECT")]
    dialect: Option<String>,
    /// Write to this file when each node of each rank ran, as CSV.
    #[arg(long, value_name = "FILE")]
    nodes: Option<PathBuf>,
    /// Write to this file what each link carried, as CSV; needs congestion_aware.
    #[arg(long, value_name = "FILE")]
    links: Option<PathBuf>,
    /// Simulate every rank even where one can stand for all; slower, with the same results.
    #[arg(long)]
    no_shortcuts: bool,
    /// Simulate without checking the files against each other first.
    #[arg(long)]
    no_lint: bool,
    /// Accepted for compatibility; the original gives it no effect.
    #[arg(long, value_name = "X")]
    compute_scale: Option<f64>,
    /// Accepted for compatibility; the original gives it no effect on times.
    #[arg(long, value_name = "X")]
    comm_scale: Option<f64>,
    /// Accepted for compatibility; nothing is logged to files.
    #[arg(long, value_name = "FILE")]
    logging_configuration: Option<PathBuf>,
    /// Accepted for compatibility; nothing is logged to files.
    #[arg(long, value_name = "DIR")]
    logging_folder: Option<PathBuf>,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    trace: TraceArgs,
}

/// The words that the original takes for yes and no.
fn boolean(text: &str) -> std::result::Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

pub(super) fn run(ui: &Ui, global: &Global, args: &SimArgs, stands_in: bool) -> Result<()> {
    let mode = args.cache.mode()?;
    let files = SimFiles::read(&args.paths(), args.settings()?, &mut |notice| ui.warn(notice.to_string()))?;
    let wanted = Wanted { trace: &args.trace, nodes: args.nodes.is_some(), links: args.links.is_some() };
    let lines = RankLines::new(stands_in);
    let only_times = !(wanted.trace.is_wanted() || wanted.nodes || wanted.links);
    let store = if only_times && locate::is_named(global) { mode.open(ui, global)? } else { None };
    if let Some(store) = store {
        let report = answer(ui, &store, &files, &args.lone_options()).map_err(|e| tell_stall(ui, e))?;
        return print(ui, &report, figures(&report), &lines);
    }
    let simulation = files.simulation(!args.no_lint, &mut |notice| ui.warn(notice.to_string()))?;
    let followed = follow(ui, &simulation, &args.lone_options().engine, &wanted);
    let Followed { report, nodes, links } = followed.map_err(|e| tell_stall(ui, e))?;
    if let (Some(path), Some(record)) = (&args.nodes, &nodes) {
        files::write(path, nodes_csv(&simulation.workload, record).as_bytes())?;
    }
    let links = links.map(|links| LinkReport::new(&simulation.network, report.finish(), links));
    if let (Some(path), Some(links)) = (&args.links, &links) {
        files::write(path, links.csv().as_bytes())?;
        ui.say(links.bottleneck());
    }
    let mut figures = figures(&report);
    if let Some(links) = links {
        figures["links"] = links.json();
        figures["bottleneck"] = links.bottleneck().into();
    }
    print(ui, &report, figures, &lines)
}

impl SimArgs {
    fn paths(&self) -> SimPaths {
        SimPaths {
            workload_prefix: self.workload_configuration.clone(),
            system: self.system_configuration.clone(),
            network: self.network_configuration.clone(),
            remote_memory: self.remote_memory_configuration.clone(),
            comm_groups: comm_groups_named(&self.comm_group_configuration),
        }
    }

    fn settings(&self) -> Result<SimSettings> {
        Ok(SimSettings {
            options: SystemOptions {
                queues_per_dimension: self.num_queues_per_dim,
                injection_scale: self.injection_scale,
                rendezvous: self.rendezvous_protocol,
            },
            network_model: self
                .network_model
                .parse::<NetworkModel>()
                .map_err(|e| Error::new(ErrorKind::Usage, format!("--network-model: {e}")))?,
            dialect: dialect::asked(self.dialect.as_deref())?.unwrap_or(Dialect::AstraSim),
        })
    }

    fn lone_options(&self) -> LoneOptions {
        LoneOptions { lint: !self.no_lint, engine: Options { shortcuts: !self.no_shortcuts } }
    }
}

fn answer(ui: &Ui, store: &Store, files: &SimFiles, options: &LoneOptions) -> Result<Report> {
    let _session = store.session()?;
    let run = Lone::new(store, files, None)?;
    Ok(run.answer(files, options, &mut |notice| ui.warn(notice.to_string()))?.report)
}

/// Prints with `--json` why a simulation stalled.
fn tell_stall(ui: &Ui, error: Error) -> Error {
    if let Some(stall) = error.stall().filter(|_| ui.json()) {
        let line = json!({ "error": error.to_string(), "stall": stall_json(stall) });
        if let Err(unwritable) = ui.json_line(&line) {
            return unwritable;
        }
    }
    error
}

fn print(ui: &Ui, report: &Report, figures: Value, lines: &RankLines) -> Result<()> {
    if ui.json() {
        return ui.json_line(&figures);
    }
    ui.data(|out| lines.write(out, report))
}

/// The figures of all ranks by name; a kind of work that a rank does not have takes 0.
fn figures(report: &Report) -> Value {
    let of = |f: fn(&RankReport) -> u64| report.ranks.iter().map(f).collect::<Vec<u64>>();
    json!({
        "finish_ns": of(|r| r.finish.0),
        "exposed_ns": of(|r| r.exposed.0),
        "compute_ns": of(|r| r.gpu.unwrap_or_default().0),
        "communication_ns": of(|r| r.comm.unwrap_or_default().0),
        "overlap_ns": of(|r| r.overlap.unwrap_or_default().0),
        "cpu_ns": of(|r| r.cpu.unwrap_or_default().0),
        "memory_ns": of(|r| r.memory.unwrap_or_default().0),
        "finish_order": report.finish_order.iter().map(|r| r.0).collect::<Vec<u32>>(),
    })
}

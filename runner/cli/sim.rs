//! `astra-store sim`: the command line of ASTRA-sim's analytical binary, answered by the built-in engine.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use astra_engine::{Dialect, NetworkModel, Options, Rank, RankReport, Report};

use crate::astrasim::SystemOptions;
use crate::error::{Error, ErrorKind, Result};
use crate::files;
use crate::report::{LinkReport, nodes_csv, stall_json};
use crate::sim::{SimInputs, read};

use super::follow::{Followed, TraceArgs, Wanted, follow};
use super::ui::Ui;

/// Simulate existing files with the options of the ASTRA-sim analytical binary.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  astra-store sim --workload-configuration=workload/all_reduce --system-configuration=system.json \\
    --network-configuration=network.yml --remote-memory-configuration=no_memory_expansion.json")]
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
    #[arg(long, value_name = "FILE", default_value = "empty")]
    comm_group_configuration: String,
    /// Queues per network dimension.
    #[arg(long, value_name = "N", default_value_t = 1)]
    num_queues_per_dim: u32,
    /// Factor on the endpoint delay of the system file.
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    injection_scale: f64,
    /// Precede every message by a handshake.
    #[arg(long, value_name = "BOOL", default_value_t = false, action = clap::ArgAction::Set)]
    rendezvous_protocol: bool,
    /// Whether messages compete for links: congestion_aware or congestion_unaware.
    #[arg(long, value_name = "MODEL", default_value = "congestion_aware")]
    network_model: String,
    /// Whose rules: astra-sim or deepflow.
    #[arg(long, value_name = "DIALECT", default_value = "astra-sim")]
    dialect: String,
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
    trace: TraceArgs,
}

pub(super) fn run(ui: &Ui, args: &SimArgs) -> Result<()> {
    let usage = |option: &str, e: String| Error::new(ErrorKind::Usage, format!("--{option}: {e}"));
    let network_model: NetworkModel = args
        .network_model
        .parse()
        .map_err(|e: astra_engine::UnknownName| usage("network-model", e.to_string()))?;
    let dialect: Dialect =
        args.dialect.parse().map_err(|e: astra_engine::UnknownName| usage("dialect", e.to_string()))?;
    let groups = (!args.comm_group_configuration.contains("empty"))
        .then(|| PathBuf::from(&args.comm_group_configuration));
    let inputs = SimInputs {
        workload_prefix: &args.workload_configuration,
        system: &args.system_configuration,
        network: &args.network_configuration,
        remote_memory: args.remote_memory_configuration.as_deref(),
        comm_groups: groups.as_deref(),
        options: SystemOptions {
            queues_per_dimension: args.num_queues_per_dim,
            injection_scale: args.injection_scale,
            rendezvous: args.rendezvous_protocol,
        },
        network_model,
        dialect,
        lint: !args.no_lint,
    };
    let simulation = read(&inputs, &mut |notice| ui.warn(notice.to_string()))?;
    let options = Options { shortcuts: !args.no_shortcuts };
    let wanted = Wanted { trace: &args.trace, nodes: args.nodes.is_some(), links: args.links.is_some() };
    let Followed { report, nodes, links } = match follow(ui, &simulation, &options, &wanted) {
        Ok(followed) => followed,
        Err(e) => {
            if let Some(stall) = e.stall().filter(|_| ui.json()) {
                ui.json_line(&json!({ "error": e.to_string(), "stall": stall_json(stall) }))?;
            }
            return Err(e);
        }
    };
    if let (Some(path), Some(record)) = (&args.nodes, &nodes) {
        files::write(path, nodes_csv(&simulation.workload, record).as_bytes())?;
    }
    let links = links.map(|links| LinkReport::new(&simulation.network, report.finish(), links));
    if let (Some(path), Some(links)) = (&args.links, &links) {
        files::write(path, links.csv().as_bytes())?;
        ui.say(links.bottleneck());
    }
    if ui.json() {
        let mut figures = figures(&report);
        if let Some(links) = links {
            figures["links"] = links.json();
            figures["bottleneck"] = links.bottleneck().into();
        }
        return ui.json_line(&figures);
    }
    ui.data(|out| {
        report.finish_order.iter().try_for_each(|rank| write_rank(out, *rank, &report.ranks[rank.0 as usize]))
    })
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

/// What the original prints when a rank finishes, in its order, without the time of day and the logger in front.
fn write_rank(out: &mut dyn Write, rank: Rank, r: &RankReport) -> std::io::Result<()> {
    let (finish, exposed) = (r.finish.0, r.exposed.0);
    writeln!(out, "sys[{rank}] finished, {finish} cycles, exposed communication {exposed} cycles.")?;
    writeln!(out, "sys[{rank}]. Post statistics processing start.")?;
    writeln!(out, "sys[{rank}]. Post statistics processing end.")?;
    writeln!(out, "sys[{rank}], Wall time: {finish}")?;
    for (kind, time) in [("GPU", r.gpu), ("CPU", r.cpu), ("Comm", r.comm), ("Remote mem", r.memory)] {
        if let Some(time) = time {
            writeln!(out, "sys[{rank}], {kind} time: {}", time.0)?;
        }
    }
    match r.overlap {
        Some(overlap) if overlap.0 > 0 => {
            writeln!(out, "sys[{rank}], Total compute-communication overlap: {}", overlap.0)
        }
        _ => Ok(()),
    }
}

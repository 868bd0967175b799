//! `astra-store sim`: the command line of ASTRA-sim's analytical binary, answered by the built-in engine.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use astra_engine::{Dialect, NetworkModel};

use crate::astrasim::SystemOptions;
use crate::error::{Error, ErrorKind, Result};
use crate::sim::{SimInputs, simulate};

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
    /// Whose rules: astra-sim.
    #[arg(long, value_name = "DIALECT", default_value = "astra-sim")]
    dialect: String,
    /// Simulate every rank even where one can stand for all; slower, with the same results.
    #[arg(long)]
    no_shortcuts: bool,
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
        no_shortcuts: args.no_shortcuts,
    };
    let (report, notices) = simulate(&inputs)?;
    for notice in notices {
        ui.warn(notice.to_string());
    }
    if ui.json() {
        let of = |f: fn(&astra_engine::RankReport) -> u64| report.ranks.iter().map(f).collect::<Vec<u64>>();
        return ui.json_line(&json!({
            "finish_ns": of(|r| r.finish.0),
            "exposed_ns": of(|r| r.exposed.0),
            "compute_ns": of(|r| r.gpu.unwrap_or_default().0),
            "communication_ns": of(|r| r.comm.unwrap_or_default().0),
            "finish_order": report.finish_order.iter().map(|r| r.0).collect::<Vec<u32>>(),
        }));
    }
    ui.data(|out| {
        for rank in &report.finish_order {
            let r = &report.ranks[rank.0 as usize];
            let (finish, exposed) = (r.finish.0, r.exposed.0);
            writeln!(
                out,
                "sys[{}] finished, {finish} cycles, exposed communication {exposed} cycles.",
                rank.0
            )?;
            writeln!(out, "sys[{}], Wall time: {finish}", rank.0)?;
        }
        Ok(())
    })
}

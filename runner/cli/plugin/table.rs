//! `astra-store plugin table`.

use std::path::PathBuf;

use astra_engine::{Dialect, NetworkModel, UnknownName};
use astra_policy::Collective;
use clap::Args;
use serde_json::{Value, json};

use crate::astrasim::{self, ConfigRequest, PolicyChoices, SystemOverrides};
use crate::decision::{Question, Situation};
use crate::error::{Error, ErrorKind, Result};
use crate::files;
use crate::hw::Document;
use crate::policy::{self, Isolation, Limits, Session};

use super::super::Global;
use super::super::ui::Ui;
use super::configured::Configured;

/// Write what a policy decides about a network as a table, which the policy `csv` and NCCL's example tuner read.
///
/// Every collective of all ranks, up to 1 TiB. A decision that differs between dimensions is written `ring+direct`, which
/// only `csv` reads.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  astra-store plugin table alpha-beta --hw hw/h100_8gpu.yaml --ranks 8 > tuner.csv
  astra-store plugin table ./tuner.so --hw cluster.yaml --ranks 16 --dialect deepflow")]
pub(super) struct TableArgs {
    #[command(flatten)]
    policy: Configured,
    /// Hardware YAML.
    #[arg(long, value_name = "FILE")]
    hw: PathBuf,
    /// Number of ranks.
    #[arg(long, value_name = "N")]
    ranks: u32,
    /// The simulator asked about: astra-sim or deepflow.
    #[arg(long, value_name = "DIALECT", default_value = "astra-sim")]
    dialect: String,
    /// Whether messages compete for links: congestion_aware or congestion_unaware.
    #[arg(long, value_name = "MODEL", default_value = "congestion_aware")]
    network: String,
}

pub(super) fn run(ui: &Ui, global: &Global, args: &TableArgs) -> Result<()> {
    let usage =
        |key: &'static str| move |error: UnknownName| Error::new(ErrorKind::Usage, format!("{key}: {error}"));
    let dialect: Dialect = args.dialect.parse().map_err(usage("--dialect"))?;
    let model: NetworkModel = args.network.parse().map_err(usage("--network"))?;
    let file = args.hw.display().to_string();
    let (spec, notices) = Document::parse(&files::read(&args.hw)?, &file)?.network_spec(&[])?;
    for notice in notices {
        ui.warn(format!("{file}: {notice}"));
    }
    let request = ConfigRequest { ranks: args.ranks, ..ConfigRequest::default() };
    let layout = astrasim::layout(&spec, &request).map_err(|e| e.in_file(&file))?;
    if layout.dimensions.is_empty() {
        return Err(Error::input("one rank has no network, so there is nothing to decide").in_file(&file));
    }
    let situation = Situation {
        spec: &spec,
        layout: &layout,
        dialect,
        model,
        queues_per_dimension: 1,
        chosen: &PolicyChoices::new(),
        system: &SystemOverrides::default(),
    };
    let system = situation.engine_system()?;
    let source = args.policy.source(ui, global)?;
    let mut session =
        Session::open(source, args.policy.config()?, Isolation::this_program()?, Limits::default())?;
    let mut table = astra_policy_csv::Table::default();
    let mut failed = None;
    for collective in Collective::ALL {
        let network = situation.request(&system, &Question::whatever(collective));
        match policy::tabulate(&mut session, &network) {
            Ok(of_collective) => table.rows.extend(of_collective.rows),
            Err(error) => {
                ui.warn(format!("no rows for {collective}: {error}"));
                failed = Some(error);
            }
        }
    }
    if let (true, Some(error)) = (table.rows.is_empty(), failed) {
        return Err(error);
    }
    if ui.json() {
        return ui.json_line(&json!({ "rows": table.rows.iter().map(described).collect::<Vec<Value>>() }));
    }
    ui.data(|out| write!(out, "{table}"))
}

fn described(row: &astra_policy_csv::Row) -> Value {
    json!({
        "collective": row.collective.name(),
        "min_bytes": row.min_bytes,
        "max_bytes": row.max_bytes,
        "algorithms": row.algorithms.iter().map(|algorithm| algorithm.name()).collect::<Vec<_>>(),
        "ranks": row.ranks,
    })
}

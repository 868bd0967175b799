//! `astra-store configs`.

use std::path::PathBuf;

use astra_engine::Dialect;
use clap::Args;
use serde_json::json;

use crate::astrasim::{self, ConfigRequest};
use crate::error::{Error, ErrorKind, Result};
use crate::files;
use crate::hw::{Axis, Document};

use super::ui::Ui;

/// Write ASTRA-sim's network and system files for a hardware YAML.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  astra-store configs hw/h100_8gpu.yaml --ranks 8 --out configs
  astra-store configs cluster.yaml --ranks 16 --axes tp,dp --out configs")]
pub(super) struct ConfigsArgs {
    /// Hardware YAML.
    hw: PathBuf,
    /// Number of ranks.
    #[arg(long, value_name = "N")]
    ranks: u32,
    /// Only these parallelism axes count: tp, cp, lp, dp. Default: all.
    #[arg(long, value_delimiter = ',', value_name = "AXES")]
    axes: Option<Vec<String>>,
    /// Write a two-dimensional topology as one dimension of the same size.
    #[arg(long)]
    flatten_2d: bool,
    /// Take one dimension of two ranks, whatever the axes say: for simulating a single rank.
    #[arg(long, conflicts_with = "axes")]
    synthetic_pair: bool,
    /// With --synthetic-pair: take the first dimension that carries one of these axes.
    #[arg(long, value_delimiter = ',', value_name = "AXES", requires = "synthetic_pair")]
    preferred_axes: Vec<String>,
    /// The simulator that the files are for, where no algorithm is fixed: deepflow or astra-sim.
    #[arg(long, value_name = "DIALECT", default_value = "deepflow")]
    dialect: String,
    /// Directory to write to.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(super) fn run(ui: &Ui, args: &ConfigsArgs) -> Result<()> {
    let dialect: Dialect = args.dialect.parse().map_err(|error: astra_engine::UnknownName| {
        Error::new(ErrorKind::Usage, format!("--dialect: {error}"))
    })?;
    let file = args.hw.display().to_string();
    let bytes = files::read(&args.hw)?;
    let (spec, notices) = Document::parse(&bytes, &file)?.network_spec(&[])?;
    for notice in notices {
        ui.warn(format!("{file}: {notice}"));
    }
    let axes = |names: &[String]| names.iter().map(|name| Axis::parse(name)).collect::<Result<Vec<Axis>>>();
    let request = ConfigRequest {
        ranks: args.ranks,
        axes: args.axes.as_deref().map(axes).transpose().map_err(|e| e.key("--axes"))?,
        flatten_2d: args.flatten_2d,
        synthetic_pair: args
            .synthetic_pair
            .then(|| axes(&args.preferred_axes))
            .transpose()
            .map_err(|e| e.key("--preferred-axes"))?,
        faulty_links: None,
    };
    let (_, _, written) = astrasim::usual_files(&spec, &request, dialect).map_err(|e| e.in_file(&file))?;
    let named = [
        ("network", &written.network_name, &written.network_yml),
        ("system", &written.system_name, &written.system_json),
        ("remote_memory", &"remote_memory.json".to_owned(), &written.remote_memory_json),
    ];
    let mut paths = serde_json::Map::new();
    for (what, name, text) in named {
        let path = args.out.join(name);
        files::write(&path, text.as_bytes())?;
        paths.insert(what.to_owned(), path.display().to_string().into());
    }
    if ui.json() {
        return ui.json_line(&json!(paths));
    }
    ui.data(|out| paths.values().filter_map(|p| p.as_str()).try_for_each(|path| writeln!(out, "{path}")))
}

//! `astra-store et`: one file per command below it.

mod convert;
mod diff;
mod digest;
mod draw;
mod dump;
mod lint;
mod stat;

use std::collections::BTreeMap;
use std::path::PathBuf;

use astra_engine::{GroupId, Rank};
use clap::{Args, Subcommand};

use crate::astrasim;
use crate::error::Result;
use crate::files;

use super::ui::Ui;

/// Make execution traces from graphs, check traces and look at them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  astra-store et convert graph.json --out traces
  astra-store et lint traces --groups traces/comm_groups.json
  astra-store et diff before/llm after/llm")]
pub(super) struct EtArgs {
    #[command(subcommand)]
    command: EtCommand,
}

#[derive(Debug, Subcommand)]
enum EtCommand {
    Convert(convert::ConvertArgs),
    Lint(lint::LintArgs),
    Dump(dump::DumpArgs),
    Stat(stat::StatArgs),
    Diff(diff::DiffArgs),
    Digest(digest::DigestArgs),
    Dot(draw::DotArgs),
    Svg(draw::SvgArgs),
}

pub(super) fn run(ui: &Ui, args: &EtArgs) -> Result<()> {
    match &args.command {
        EtCommand::Convert(args) => convert::run(ui, args),
        EtCommand::Lint(args) => lint::run(ui, args),
        EtCommand::Dump(args) => dump::run(ui, args),
        EtCommand::Stat(args) => stat::run(ui, args),
        EtCommand::Diff(args) => diff::run(ui, args),
        EtCommand::Digest(args) => digest::run(ui, args),
        EtCommand::Dot(args) => draw::dot(ui, args),
        EtCommand::Svg(args) => draw::svg(ui, args),
    }
}

/// A bundle on disk.
#[derive(Debug, Args)]
struct BundleArgs {
    /// Prefix of the traces (rank r has PREFIX.r.et), or a directory that holds those of one bundle.
    #[arg(value_name = "PREFIX|DIR")]
    traces: PathBuf,
    /// Communicator groups JSON.
    #[arg(long, value_name = "FILE")]
    groups: Option<PathBuf>,
}

impl BundleArgs {
    fn groups(&self) -> Result<BTreeMap<GroupId, Vec<Rank>>> {
        self.groups.as_ref().map_or(Ok(BTreeMap::new()), |path| {
            astrasim::read_groups(&files::read(path)?, &path.display().to_string())
        })
    }
}

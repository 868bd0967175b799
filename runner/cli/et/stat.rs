//! `astra-store et stat`.

use std::io::Write;

use astra_engine::Workload;
use clap::Args;

use crate::cli::ui::{Ui, counted};
use crate::error::Result;
use crate::et::{Stat, lower_bundle, stat};
use crate::report::{Align, Table};
use crate::traces::TraceFiles;

use super::BundleArgs;

/// Add up traces: nodes, bytes and time by type, rank and group, critical paths, who sends how much to whom.
///
/// Sizes of collectives are ASTRA-sim's comm_size of every member; times are recorded durations. The critical path of a rank
/// is its longest chain of computations: what it takes at least, whatever the network. That through all ranks also follows
/// messages and collectives.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  astra-store et stat traces/llm --groups traces/comm_groups.json
  astra-store et stat traces --json | jq .critical.duration_us")]
pub(super) struct StatArgs {
    #[command(flatten)]
    bundle: BundleArgs,
    /// How many rows of ranks and of pairs of ranks to print; --json prints all.
    #[arg(long, value_name = "N", default_value_t = 32)]
    limit: usize,
}

pub(super) fn run(ui: &Ui, args: &StatArgs) -> Result<()> {
    let TraceFiles { names, files, file_of_rank } = TraceFiles::find(&args.bundle.traces)?;
    let workload = lower_bundle(&names, &files, &file_of_rank, &std::collections::BTreeMap::new())?;
    let stat = stat(&Workload { groups: args.bundle.groups()?, ..workload });
    if ui.json() {
        return ui.json_line(&stat);
    }
    ui.data(|out| print(out, &stat, args.limit))
}

fn print(out: &mut dyn Write, stat: &Stat, limit: usize) -> std::io::Result<()> {
    writeln!(out, "{} ranks, {} different traces\n", stat.ranks.len(), stat.traces)?;
    let mut types = table("type", &["nodes", "bytes", "duration us"]);
    for (name, sum) in &stat.types {
        types.row(vec![
            name.clone(),
            sum.nodes.to_string(),
            sum.bytes.to_string(),
            sum.duration_us.to_string(),
        ]);
    }
    types.write(out)?;
    if !stat.groups.is_empty() {
        writeln!(out)?;
        let mut groups = table("group", &["members", "collectives", "bytes"]);
        for group in &stat.groups {
            groups.row(vec![
                group.group.map_or_else(|| "all ranks".to_owned(), |number| number.to_string()),
                group.members.map_or_else(|| "undefined".to_owned(), |members| members.to_string()),
                group.collectives.nodes.to_string(),
                group.collectives.bytes.to_string(),
            ]);
        }
        groups.write(out)?;
    }
    writeln!(out)?;
    let columns = ["nodes", "compute us", "critical us", "collective bytes", "sent bytes", "received bytes"];
    let mut ranks = table("rank", &columns);
    for (rank, of_rank) in stat.ranks.iter().enumerate().take(limit) {
        let figures = [
            of_rank.all.nodes,
            of_rank.compute.duration_us,
            of_rank.critical.duration_us,
            of_rank.collectives.bytes,
            of_rank.sent.bytes,
            of_rank.received.bytes,
        ];
        ranks.row(std::iter::once(rank.to_string()).chain(figures.map(|figure| figure.to_string())));
    }
    ranks.write(out)?;
    more(out, stat.ranks.len(), limit, "ranks")?;
    critical(out, stat, limit)?;
    if stat.flows.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let mut flows = table("from", &["to", "messages", "bytes"]);
    for flow in stat.flows.iter().take(limit) {
        flows.row(
            [u64::from(flow.from), u64::from(flow.to), flow.messages, flow.bytes].map(|n| n.to_string()),
        );
    }
    flows.write(out)?;
    more(out, stat.flows.len(), limit, "pairs of ranks")
}

/// How long the ranks take at least, and what decides that.
fn critical(out: &mut dyn Write, stat: &Stat, limit: usize) -> std::io::Result<()> {
    let Some(path) = &stat.critical else {
        return writeln!(
            out,
            "\nno critical path: some nodes wait for ever even when nothing takes time between ranks, see `et lint`"
        );
    };
    let ranks = path.ranks();
    let shown: Vec<String> = ranks.iter().take(limit).map(ToString::to_string).collect();
    let more = if ranks.len() > limit { ", …" } else { "" };
    writeln!(
        out,
        "\ncritical path through all ranks: {} us, {}, on {}: {}{more}",
        path.duration_us,
        counted(path.nodes.len(), "node"),
        counted(ranks.len(), "rank"),
        shown.join(", "),
    )
}

fn table(first: &str, others: &[&str]) -> Table {
    let right = others.iter().map(|name| ((*name).to_owned(), Align::Right));
    Table::new(std::iter::once((first.to_owned(), Align::Left)).chain(right))
}

fn more(out: &mut dyn Write, count: usize, limit: usize, what: &str) -> std::io::Result<()> {
    match count.checked_sub(limit) {
        Some(more @ 1..) => writeln!(out, "and {more} more {what}; --limit {count} prints them all"),
        _ => Ok(()),
    }
}

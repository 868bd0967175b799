//! `astra-store et diff`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::ui::{Ui, counted};
use crate::error::{Error, Result};
use crate::et::{Difference, HashedTrace, Names, Node, Reader, TraceNames, diff_by_id, diff_by_structure};
use crate::traces::TraceFiles;

/// Compare two bundles by what their nodes say.
///
/// Nodes are matched by id; with --canonical by structure, whatever their ids. Ends with exit code 1 when they differ.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  astra-store et diff before/llm after/llm
  astra-store et diff before after --canonical --json")]
pub(super) struct DiffArgs {
    /// Prefix or directory of the first bundle.
    #[arg(value_name = "PREFIX|DIR")]
    before: PathBuf,
    /// Prefix or directory of the second bundle.
    #[arg(value_name = "PREFIX|DIR")]
    after: PathBuf,
    /// Match nodes by structure instead of by id.
    #[arg(long)]
    canonical: bool,
    /// How many differences to print; the rest is counted.
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
}

/// The differences between two files, and the ranks that have the first for the one and the second for the other.
struct Compared {
    ranks: Vec<u32>,
    differences: Vec<Difference>,
}

pub(super) fn run(ui: &Ui, args: &DiffArgs) -> Result<()> {
    let (before, after) = (TraceFiles::find(&args.before)?, TraceFiles::find(&args.after)?);
    let (of_before, of_after) = (before.file_of_rank.len(), after.file_of_rank.len());
    let mut pairs: BTreeMap<(u32, u32), Vec<u32>> = BTreeMap::new();
    for ((rank, &a), &b) in (0..).zip(&before.file_of_rank).zip(&after.file_of_rank) {
        pairs.entry((a, b)).or_default().push(rank);
    }
    let mut compared = Vec::new();
    for ((a, b), ranks) in pairs {
        let [a, b] = [(&before, a), (&after, b)]
            .map(|(traces, file)| (traces.names.of_rank(ranks[0]), &traces.files[file as usize]));
        let differences = if a.1 == b.1 { Vec::new() } else { compare(args, (&a.0, a.1), (&b.0, b.1))? };
        if !differences.is_empty() {
            compared.push(Compared { ranks, differences });
        }
    }
    compared.sort_by_key(|compared| compared.ranks[0]);
    let all: usize = compared.iter().map(|compared| compared.differences.len()).sum();
    print(ui, args.limit, &compared, all)?;
    if of_before != of_after {
        return Err(Error::failed(format!("the first bundle has {of_before} ranks, the second {of_after}")));
    }
    match all {
        0 => Ok(()),
        _ => Err(Error::failed(format!("the bundles differ: {}", counted(all, "difference")))),
    }
}

fn compare(args: &DiffArgs, before: (&str, &[u8]), after: (&str, &[u8])) -> Result<Vec<Difference>> {
    if args.canonical {
        let hashed = |(name, bytes)| HashedTrace::read(name, bytes, Names::Count);
        return Ok(diff_by_structure(&hashed(before)?, &hashed(after)?));
    }
    let nodes = |(name, bytes)| Reader::from_bytes(name, bytes)?.collect::<Result<Vec<Node>>>();
    Ok(diff_by_id(&nodes(before)?, &nodes(after)?))
}

fn print(ui: &Ui, limit: usize, compared: &[Compared], all: usize) -> Result<()> {
    let lines = compared.iter().flat_map(|of| of.differences.iter().map(move |difference| (of, difference)));
    ui.data(|out| {
        for (of, difference) in lines.take(limit) {
            if ui.json() {
                let mut line = json!(difference);
                line["ranks"] = Value::from(of.ranks.clone());
                writeln!(out, "{line}")?;
            } else {
                writeln!(out, "{}: {}", ranks(&of.ranks), text(difference))?;
            }
        }
        match all.checked_sub(limit) {
            Some(more @ 1..) if ui.json() => writeln!(out, "{}", json!({ "more": more })),
            Some(more @ 1..) => writeln!(out, "and {more} more; --limit {all} prints them all"),
            _ => Ok(()),
        }
    })
}

fn ranks(ranks: &[u32]) -> String {
    match ranks {
        [only] => format!("rank {only}"),
        [first, others @ ..] => format!("rank {first} and {} more", others.len()),
        [] => String::new(),
    }
}

fn text(difference: &Difference) -> String {
    let (sign, node, what) = match difference {
        Difference::Removed(node) => ("-", node, String::new()),
        Difference::Added(node) => ("+", node, String::new()),
        Difference::Changed { node, field, before, after } => {
            let side = |said: &Option<String>| said.clone().unwrap_or_else(|| "nothing".to_owned());
            ("~", node, format!(": {}: {} → {}", field.escape_debug(), side(before), side(after)))
        }
    };
    format!("{sign} {} {} `{}`{what}", node.kind, node.node, node.name.escape_debug())
}

//! `astra-store et digest`.

use artifact_store::Digest;
use clap::Args;
use serde_json::json;

use crate::astrasim::{group_numbers, write_groups};
use crate::cli::ui::Ui;
use crate::error::Result;
use crate::et::{HashedTrace, Names, TraceNames, plain};
use crate::traces::TraceFiles;

use super::BundleArgs;

/// Print a digest for each rank and one for the bundle.
///
/// By default digests of the uncompressed bytes. With --canonical those of what the nodes say: equal for bundles that differ
/// only in ids and in the order of nodes, dependencies and attributes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  astra-store et digest traces/llm
  astra-store et digest traces/llm --canonical --no-names --groups traces/comm_groups.json")]
pub(super) struct DigestArgs {
    #[command(flatten)]
    bundle: BundleArgs,
    /// Leave out ids and order.
    #[arg(long)]
    canonical: bool,
    /// Leave out the names of nodes too.
    #[arg(long, requires = "canonical")]
    no_names: bool,
}

pub(super) fn run(ui: &Ui, args: &DigestArgs) -> Result<()> {
    let TraceFiles { names: on_disk, files, file_of_rank } = TraceFiles::find(&args.bundle.traces)?;
    let names = if args.no_names { Names::Ignored } else { Names::Count };
    let mut of_file: Vec<Option<Digest>> = vec![None; files.len()];
    let mut of_rank = Vec::with_capacity(file_of_rank.len());
    for (rank, &file) in (0..).zip(&file_of_rank) {
        let bytes = &files[file as usize];
        let digest = match of_file[file as usize] {
            Some(digest) => digest,
            None => {
                let name = on_disk.of_rank(rank);
                let read = |name: &str| HashedTrace::read(name, bytes, names).map(|trace| trace.digest());
                if args.canonical { read(&name)? } else { Digest::of(&plain(&name, bytes)?) }
            }
        };
        of_file[file as usize] = Some(digest);
        of_rank.push(digest);
    }
    let groups = args.bundle.groups()?;
    let mut all: Vec<u8> = of_rank.iter().flat_map(|digest| *digest.as_bytes()).collect();
    if let Some(text) = write_groups(&group_numbers(&groups)) {
        all.extend_from_slice(Digest::of(&text).as_bytes());
    }
    let bundle = Digest::of(&all);
    if ui.json() {
        let ranks: Vec<String> = of_rank.iter().map(Digest::to_string).collect();
        return ui.json_line(&json!({ "bundle": bundle.to_string(), "ranks": ranks }));
    }
    ui.data(|out| {
        for (rank, digest) in (0..).zip(&of_rank) {
            writeln!(out, "{digest}  {}", on_disk.of_rank(rank))?;
        }
        writeln!(out, "{bundle}  {}", on_disk.prefix())
    })
}

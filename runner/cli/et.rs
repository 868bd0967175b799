//! `astra-store et`.

use std::io::{self, BufWriter};
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::error::Result;
use crate::et::{DumpFormat, Reader, dump};
use crate::files;

use super::ui::Ui;

/// Look at execution traces.
#[derive(Debug, Args)]
pub(super) struct EtArgs {
    #[command(subcommand)]
    command: EtCommand,
}

#[derive(Debug, Subcommand)]
enum EtCommand {
    Dump(DumpArgs),
}

/// Print a Chakra execution trace as text, or with --json as one JSON object.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  astra-store et dump all_reduce.0.et\n  astra-store et dump all_reduce.0.et --json | jq .nodes[0]"
)]
struct DumpArgs {
    /// The trace of one rank; gzip is recognised.
    file: PathBuf,
}

pub(super) fn run(ui: &Ui, args: &EtArgs) -> Result<()> {
    let EtCommand::Dump(DumpArgs { file }) = &args.command;
    let name = file.display().to_string();
    let stream = files::open(file)?;
    let format = if ui.json() { DumpFormat::Json } else { DumpFormat::Text };
    dump(Reader::new(&name, stream)?, format, &mut BufWriter::new(io::stdout().lock()))
}

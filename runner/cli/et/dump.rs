//! `astra-store et dump`.

use std::io::{self, BufWriter};
use std::path::PathBuf;

use clap::Args;

use crate::cli::ui::Ui;
use crate::error::Result;
use crate::et::{DumpFormat, Reader, dump};
use crate::files;

/// Print a Chakra execution trace as text, or as JSON.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  astra-store et dump all_reduce.0.et
  astra-store et dump all_reduce.0.et --json | jq .nodes[0]
  astra-store et dump all_reduce.0.et --json-lines | grep '\"type\":\"send\"'")]
pub(super) struct DumpArgs {
    /// The trace of one rank; gzip is recognised.
    file: PathBuf,
    /// Print one JSON object per line: first the metadata, then the nodes.
    #[arg(long)]
    json_lines: bool,
}

pub(super) fn run(ui: &Ui, args: &DumpArgs) -> Result<()> {
    let name = args.file.display().to_string();
    let stream = files::open(&args.file)?;
    let format = match (args.json_lines, ui.json()) {
        (true, _) => DumpFormat::JsonLines,
        (false, true) => DumpFormat::Json,
        (false, false) => DumpFormat::Text,
    };
    dump(Reader::new(&name, stream)?, format, &mut BufWriter::with_capacity(1 << 16, io::stdout().lock()))
}

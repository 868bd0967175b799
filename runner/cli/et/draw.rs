//! `astra-store et dot` and `astra-store et svg`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::ui::{Ui, counted};
use crate::error::{Error, Result};
use crate::et::draw::{Drawing, Focus, RankTrace, select, write_dot, write_svg};
use crate::et::{Reader, TraceNames};
use crate::traces::TraceFiles;

/// Draw ranks as a Graphviz graph.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  astra-store et dot traces/llm --rank 0 | dot -Tpdf > rank0.pdf
  astra-store et dot traces/llm --rank 0 --rank 4 --focus 17 --radius 2")]
pub(super) struct DotArgs {
    #[command(flatten)]
    picture: PictureArgs,
}

/// Draw ranks as an SVG picture, without Graphviz.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  astra-store et svg traces/llm --rank 0 > rank0.svg
  astra-store et svg traces/llm --rank 0 --rank 4 --focus 17 --radius 2 > around17.svg")]
pub(super) struct SvgArgs {
    #[command(flatten)]
    picture: PictureArgs,
}

#[derive(Debug, Args)]
struct PictureArgs {
    /// Prefix of the traces (rank r has PREFIX.r.et), or a directory that holds those of one bundle.
    #[arg(value_name = "PREFIX|DIR")]
    traces: PathBuf,
    /// A rank to draw; may be given several times.
    #[arg(long = "rank", value_name = "RANK", default_value = "0")]
    ranks: Vec<u32>,
    /// Draw only what is near this node of the first rank.
    #[arg(long, value_name = "ID")]
    focus: Option<u64>,
    /// How many edges from the focus.
    #[arg(long, value_name = "N", default_value_t = 3, requires = "focus")]
    radius: u32,
    /// How many nodes to draw at most.
    #[arg(long, value_name = "N", default_value_t = 200)]
    limit: usize,
}

pub(super) fn dot(ui: &Ui, args: &DotArgs) -> Result<()> {
    let drawing = drawing(ui, &args.picture)?;
    ui.data(|out| write_dot(&drawing, out))
}

pub(super) fn svg(ui: &Ui, args: &SvgArgs) -> Result<()> {
    let drawing = drawing(ui, &args.picture)?;
    ui.data(|out| write_svg(&drawing, out))
}

fn drawing(ui: &Ui, args: &PictureArgs) -> Result<Drawing> {
    let bundle = TraceFiles::find(&args.traces)?;
    let mut traces: Vec<RankTrace> = Vec::new();
    for &rank in &args.ranks {
        let file = bundle.file_of_rank.get(rank as usize).ok_or_else(|| {
            let last = bundle.file_of_rank.len().saturating_sub(1);
            Error::input(format!("there is no rank {rank}, the last is {last}"))
                .in_file(bundle.names.prefix())
                .key("--rank")
        })?;
        if traces.iter().all(|trace| trace.rank != rank) {
            let name = bundle.names.of_rank(rank);
            let nodes = Reader::from_bytes(&name, &bundle.files[*file as usize])?.collect::<Result<_>>()?;
            traces.push(RankTrace { rank, nodes });
        }
    }
    let focus = args.focus.map(|node| Focus { node, radius: args.radius });
    let drawing = select(&traces, focus, args.limit)?;
    if drawing.left_out > 0 && focus.is_none() {
        ui.say(format!("{} left out; --limit draws more, --focus others", counted(drawing.left_out, "node")));
    }
    Ok(drawing)
}

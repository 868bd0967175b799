//! `astra-store et convert`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use artifact_store::Digest;
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::astrasim;
use crate::cli::ui::{Ui, counted};
use crate::error::{Error, ErrorKind, Result};
use crate::et::graph::{ConvertOptions, Converted, GRAPH_PREFIX, Graph, Mends, convert, deepflow_manifest};
use crate::et::{Bundle, manifest};
use crate::files;

/// Turn a graph of computation and communication into one trace per rank, groups and a manifest.
///
/// DeepFlow's converter drops, doubles or stumbles over some things; each is mended unless told otherwise.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  astra-store et convert graph.json --out traces
  astra-store et convert graph.json.gz --faithful --manifest df --out traces
  astra-store et convert graph.json --off control_tags,unknown_kinds --out traces")]
pub(super) struct ConvertArgs {
    /// The graph (astra-graph JSON); gzip is recognised.
    graph: PathBuf,
    /// Directory to write to.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Mend nothing: the traces that DeepFlow makes.
    #[arg(long)]
    faithful: bool,
    /// Do not mend these: names of switches, separated by commas.
    #[arg(long, value_name = "SWITCHES", value_delimiter = ',', conflicts_with = "faithful")]
    off: Vec<String>,
    /// The form of manifest.json.
    #[arg(long, value_name = "FORM", default_value = "native")]
    manifest: Form,
    /// Leave a single rank alone: ASTRA-sim's networks have at least two, so by default it becomes two.
    #[arg(long)]
    keep_single_rank: bool,
    /// How many threads write traces. Default: one per processor.
    #[arg(long, short, value_name = "N")]
    jobs: Option<NonZeroUsize>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    /// What is in each distinct file, with its digest.
    Native,
    /// DeepFlow's.
    Df,
}

pub(super) fn run(ui: &Ui, args: &ConvertArgs) -> Result<()> {
    let options = options(args)?;
    let name = args.graph.display().to_string();
    let graph = Graph::read(files::open(&args.graph)?, &name)?;
    let processors = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let jobs = args.jobs.unwrap_or_else(processors);
    let converted = convert(&graph, &options, jobs).map_err(|error| error.in_file(&name))?;
    for notice in &converted.notices {
        ui.warn(format!("{name}: {notice}"));
    }
    let written = write(args, &converted, jobs)?;
    if ui.json() {
        return ui.json_line(&json!({
            "ranks": converted.bundle.ranks(),
            "axes": converted.axes,
            "traces": written.traces,
            "manifest": written.manifest,
            "comm_groups": written.groups,
        }));
    }
    ui.say(counted(converted.bundle.ranks() as usize, "rank"));
    ui.data(|out| {
        let paths = [Some(&written.traces), Some(&written.manifest), written.groups.as_ref()];
        paths.into_iter().flatten().try_for_each(|path| writeln!(out, "{path}"))
    })
}

fn options(args: &ConvertArgs) -> Result<ConvertOptions> {
    let mut options = if args.faithful { ConvertOptions::FAITHFUL } else { ConvertOptions::MENDED };
    options.duplicate_single_rank = !args.keep_single_rank;
    for switch in &args.off {
        if !options.mends.set(switch, false) {
            let message =
                format!("--off: unknown switch `{switch}`, expected one of {}", Mends::SWITCHES.join(", "));
            return Err(Error::new(ErrorKind::Usage, message).suggest(switch, Mends::SWITCHES));
        }
    }
    Ok(options)
}

/// Where everything is.
struct Written {
    /// The prefix of the traces.
    traces: String,
    manifest: String,
    groups: Option<String>,
}

fn write(args: &ConvertArgs, converted: &Converted, jobs: NonZeroUsize) -> Result<Written> {
    let Converted { bundle, groups, graph_ranks, .. } = converted;
    let manifest = match args.manifest {
        Form::Native => manifest(bundle, groups, |bytes| Digest::of(bytes).to_string(), jobs)?,
        Form::Df => deepflow_manifest(bundle, *graph_ranks)?,
    };
    let prefix = args.out.join(GRAPH_PREFIX).display().to_string();
    let manifest_path = args.out.join("manifest.json");
    let groups_path = args.out.join("comm_groups.json");
    let groups = astrasim::write_groups(groups);
    let too_many = PathBuf::from(Bundle::file_name(&prefix, bundle.ranks()));
    let left_over = groups.is_none().then_some(&groups_path).into_iter().chain([&too_many]);
    left_over.into_iter().try_for_each(|path| not_there(path))?;
    for (rank, &file) in (0..).zip(&bundle.file_of_rank) {
        files::write(Path::new(&Bundle::file_name(&prefix, rank)), &bundle.files[file as usize])?;
    }
    files::write(&manifest_path, &manifest)?;
    if let Some(groups) = &groups {
        files::write(&groups_path, groups)?;
    }
    Ok(Written {
        traces: prefix,
        manifest: manifest_path.display().to_string(),
        groups: groups.map(|_| groups_path.display().to_string()),
    })
}

/// Files of another conversion, which this one would not replace, would be taken for its own.
fn not_there(path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let message = "is of another conversion, and this one has no such file";
    Err(Error::new(ErrorKind::Usage, message)
        .in_file(path.display())
        .hint("give a directory without traces, or remove them first"))
}

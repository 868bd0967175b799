//! `astra-store et convert`.

use std::fmt;
use std::io::ErrorKind::{NotADirectory, NotFound};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use artifact_store::Digest;
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::astrasim;
use crate::cli::ui::{Ui, counted};
use crate::error::{Error, ErrorKind, Result};
use crate::et::graph::{
    ConvertOptions, Converted, Extent, GRAPH_PREFIX, Graph, Mends, Plan, deepflow_manifest,
};
use crate::et::{Bundle, manifest};
use crate::files;
use crate::report::format_bytes;
use crate::traces;

/// Turn a graph of computation and communication into one trace per rank, groups and a manifest.
///
/// DeepFlow's converter drops, doubles or stumbles over some things; each is mended unless told otherwise.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  astra-store et convert graph.json --out traces
  astra-store et convert graph.json --out traces --dry-run    # how much that would be
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
    /// Print how much would be written, and write nothing.
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Write it also when that is very much: more than 65,536 traces, or more than 4 GiB.
    #[arg(long)]
    force: bool,
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
    let plan = Plan::of(&graph, &options).map_err(|error| error.in_file(&name))?;
    for notice in plan.notices() {
        ui.warn(format!("{name}: {notice}"));
    }
    let planned = Planned::of(&plan, args, jobs).map_err(|error| error.in_file(&name))?;
    if args.dry_run {
        return planned.print(ui);
    }
    planned.check(args)?;
    let converted = plan.write(jobs).map_err(|error| error.in_file(&name))?;
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

/// More traces than that, or bytes, are written when told twice: a mistyped number of replicas fills disks.
const MANY_TRACES: u32 = 65_536;
const MANY_BYTES: u64 = 4 << 30;

/// As many nodes are known to be less than that without writing one of them.
const FEW_NODES: u64 = 10_000_000;

/// What would be written.
struct Planned {
    extent: Extent,
    /// When it may be much, or somebody wants to know.
    bytes: Option<u64>,
}

impl Planned {
    fn of(plan: &Plan<'_>, args: &ConvertArgs, jobs: NonZeroUsize) -> Result<Self> {
        let extent = plan.extent();
        let may_be_much = extent.nodes > FEW_NODES || extent.ranks > MANY_TRACES;
        let of_interest = args.dry_run || may_be_much && !args.force;
        let bytes = of_interest.then(|| plan.estimate_bytes(jobs)).transpose()?;
        Ok(Self { extent, bytes })
    }

    fn print(&self, ui: &Ui) -> Result<()> {
        let Extent { ranks, nodes } = self.extent;
        if ui.json() {
            return ui.json_line(&json!({ "ranks": ranks, "nodes": nodes, "bytes": self.bytes }));
        }
        ui.data(|out| writeln!(out, "would write {self}"))
    }

    fn check(&self, args: &ConvertArgs) -> Result<()> {
        let much = self.extent.ranks > MANY_TRACES || self.bytes.is_some_and(|bytes| bytes > MANY_BYTES);
        if !much || args.force {
            return Ok(());
        }
        let error = Error::new(ErrorKind::Usage, format!("this would write {self}"));
        Err(error
            .in_file(args.graph.display())
            .hint("--force writes them; is `replicas` of the graph what was meant?"))
    }
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Extent { ranks, nodes } = self.extent;
        write!(f, "{} with {nodes} nodes", counted(ranks as usize, "trace"))?;
        self.bytes.map_or(Ok(()), |bytes| write!(f, ", about {}", format_bytes(bytes)))
    }
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
    let stale_groups = Some(groups_path.clone()).filter(|path| groups.is_none() && path.exists());
    let stale_trace = traces::left_over(&args.out, GRAPH_PREFIX, bundle.ranks())?;
    stale_groups.or(stale_trace).map_or(Ok(()), |path| Err(other_conversion(&path)))?;
    // Last of all it is written again: a conversion that did not get so far has none, and an old one fits no longer.
    match std::fs::remove_file(&manifest_path) {
        Err(e) if !matches!(e.kind(), NotFound | NotADirectory) => {
            return Err(files::unwritable(&manifest_path, &e));
        }
        _ => {}
    }
    for (rank, &file) in (0..).zip(&bundle.file_of_rank) {
        files::write(Path::new(&Bundle::file_name(&prefix, rank)), &bundle.files[file as usize])?;
    }
    if let Some(groups) = &groups {
        files::write(&groups_path, groups)?;
    }
    files::write(&manifest_path, &manifest)?;
    Ok(Written {
        traces: prefix,
        manifest: manifest_path.display().to_string(),
        groups: groups.map(|_| groups_path.display().to_string()),
    })
}

/// Files of another conversion, which this one would not replace, would be taken for its own.
fn other_conversion(path: &Path) -> Error {
    let message = "is of another conversion, and this one has no such file";
    Error::new(ErrorKind::System, message)
        .in_file(path.display())
        .hint("give a directory without traces, or remove them first")
}

//! What `sim` and `show` can say of a simulation beyond its results: a timeline, when nodes ran, what links
//! carried.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use astra_engine::{LinkFigures, LinkRecord, Nanos, NetworkModel, NodeRecord, Observer, Options, Report};
use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::error::{Error, ErrorKind, Result};
use crate::files::{NewFile, unwritable};
use crate::report::{RankSet, Selection, Timeline};
use crate::sim::Simulation;
use crate::units::{NotAQuantity, parse_time};

use super::interrupt::stop_on_signal;
use super::ui::Ui;

/// What of a timeline is written, and where to.
#[derive(Debug, Args)]
#[command(next_help_heading = "Timeline")]
pub(super) struct TraceArgs {
    /// Write what happened when to this file, for ui.perfetto.dev or chrome://tracing; compressed if its name ends in
    /// .gz.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Write these ranks only, such as 0-3,8.
    #[arg(long, value_name = "RANKS", requires = "trace")]
    ranks: Option<String>,
    /// Write what is under way at this time or later, such as 1.5 ms.
    #[arg(long, value_name = "TIME", requires = "trace")]
    from: Option<String>,
    /// Write what is under way at this time or earlier.
    #[arg(long, value_name = "TIME", requires = "trace")]
    to: Option<String>,
    /// Write the chunks of collectives too, by dimension.
    #[arg(long, requires = "trace")]
    trace_chunks: bool,
    /// Write what each link carries too; needs congestion_aware.
    #[arg(long, requires = "trace")]
    trace_links: bool,
}

impl TraceArgs {
    /// Whether a timeline is asked for.
    pub(super) fn is_wanted(&self) -> bool {
        self.trace.is_some()
    }

    fn selection(&self, simulation: &Simulation) -> Result<Selection> {
        if self.trace_links {
            require_links("--trace-links", simulation)?;
        }
        let all = Selection::ALL_NODES;
        let ranks = |text| {
            let ranks = RankSet::parse(text)?;
            ranks.check(simulation.workload.trace_of_rank.len() as u32)?;
            Ok(ranks)
        };
        let ranks = self.ranks.as_deref().map(ranks).transpose().map_err(|e: Error| e.key("--ranks"))?;
        let selection = Selection {
            ranks,
            from: time("--from", self.from.as_deref(), all.from)?,
            to: time("--to", self.to.as_deref(), all.to)?,
            chunks: self.trace_chunks,
            links: self.trace_links,
        };
        selection.check_times()?;
        Ok(selection)
    }
}

/// The error of an option about links in a simulation that has none.
fn require_links(option: &str, simulation: &Simulation) -> Result<()> {
    if simulation.network.model == NetworkModel::CongestionAware {
        return Ok(());
    }
    let message = "links exist only in congestion_aware, and this simulation is congestion_unaware";
    Err(Error::new(ErrorKind::Usage, message)
        .key(option)
        .hint("in a recipe the network model is engine.network, of `sim` it is --network-model"))
}

fn time(option: &str, text: Option<&str>, default: Nanos) -> Result<Nanos> {
    let wrong = |NotAQuantity { message, hint }| {
        let error = Error::new(ErrorKind::Usage, message).key(option);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    };
    text.map_or(Ok(default), |text| parse_time(text).map_err(wrong))
}

/// What is wanted of a simulation beside its report.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) trace: &'a TraceArgs,
    /// Whether to keep when nodes ran.
    pub(super) nodes: bool,
    /// Whether to keep what links carried.
    pub(super) links: bool,
}

/// What a simulation gave.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) report: Report,
    pub(super) nodes: Option<NodeRecord>,
    pub(super) links: Option<Vec<LinkFigures>>,
}

/// Simulates, and writes the timeline if one is asked for; also that of a simulation that stalls.
pub(super) fn follow(
    ui: &Ui,
    simulation: &Simulation,
    options: &Options,
    wanted: &Wanted<'_>,
) -> Result<Followed> {
    if !wanted.trace.is_wanted() && !wanted.nodes && !wanted.links {
        return Ok(Followed { report: simulation.run(options)?, nodes: None, links: None });
    }
    if wanted.links {
        require_links("--links", simulation)?;
    }
    let stop = stop_on_signal(*ui, "stopping; press Ctrl-C again to leave at once")?;
    let mut nodes = wanted.nodes.then(|| NodeRecord::new(&simulation.workload));
    let mut links = wanted.links.then(LinkRecord::new);
    let path = wanted.trace.trace.as_deref();
    let timeline = path.map(|path| TraceFile::create(path, wanted.trace, simulation, &stop));
    let mut timeline = timeline.transpose()?;
    let mut observers: Vec<&mut dyn Observer> = Vec::new();
    observers.extend(nodes.as_mut().map(|nodes| nodes as &mut dyn Observer));
    observers.extend(links.as_mut().map(|links| links as &mut dyn Observer));
    observers.extend(timeline.as_mut().map(|file| &mut file.timeline as &mut dyn Observer));
    let result = simulation.observe(&stop, &mut observers);
    if let Some(file) = timeline {
        file.end(result.as_ref().err())?;
    }
    Ok(Followed { report: result?, nodes, links: links.map(LinkRecord::figures) })
}

/// A timeline on its way to a file.
struct TraceFile<'a> {
    path: &'a Path,
    timeline: Timeline<'a, Out>,
}

impl<'a> TraceFile<'a> {
    fn create(
        path: &'a Path,
        args: &TraceArgs,
        simulation: &'a Simulation,
        stop: &'a AtomicBool,
    ) -> Result<Self> {
        let selection = args.selection(simulation)?;
        let file = NewFile::create(path)?;
        let out = match path.extension() {
            Some(extension) if extension == "gz" => Out::Gzip(GzEncoder::new(file, Compression::fast())),
            _ => Out::Plain(file),
        };
        Ok(Self { path, timeline: Timeline::new(out, selection, &simulation.workload, stop) })
    }

    /// Gives the file its name, unless the simulation failed in a way that leaves nothing to look at.
    fn end(self, failed: Option<&Error>) -> Result<()> {
        let at = failed.and_then(Error::stall).map(|stall| stall.at);
        let failed_otherwise = failed.is_some() && at.is_none();
        let out = self.timeline.end(at).and_then(Out::into_file).map_err(|e| unwritable(self.path, &e))?;
        if failed_otherwise { Ok(()) } else { out.persist() }
    }
}

/// Where a timeline goes.
enum Out {
    Plain(NewFile),
    Gzip(GzEncoder<NewFile>),
}

impl Out {
    fn into_file(self) -> io::Result<NewFile> {
        match self {
            Self::Plain(file) => Ok(file),
            Self::Gzip(encoder) => encoder.finish(),
        }
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            Self::Gzip(encoder) => encoder.flush(),
        }
    }
}

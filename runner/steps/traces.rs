//! The traces of a point's workload: built, read or converted, then edited as the recipe says. In memory; step `et` keeps
//! them, and a check without a store uses them as they are.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use astra_engine::{GroupId, Rank};

use crate::algorithm::engine_type;
use crate::astrasim;
use crate::decision::Demand;
use crate::error::{Error, Result};
use crate::et::build::{NodeIds, Pipeline, Sequence, SequenceItem, SingleCollective};
use crate::et::graph::{self, GRAPH_PREFIX, Graph};
use crate::et::{self, Bundle, Edit, TraceNames, lower_bundle, tally_collectives};
use crate::notice::Notice;
use crate::recipe::{ExistingTraces, GraphFile, Item, Point, TraceKey, Workload};

use super::ingest::{Sources, TraceSource};
use super::lone::GIVEN;
use super::placement::Placement;

/// The traces of a workload, the prefix of their names, and the groups they use.
#[derive(Debug)]
pub(super) struct Traces {
    pub(super) prefix: &'static str,
    pub(super) bundle: Bundle,
    pub(super) groups: BTreeMap<GroupId, Vec<Rank>>,
    /// Of a graph: what its conversion found out.
    pub(super) graph: Option<FromGraph>,
}

/// What the conversion of a graph found out besides the traces.
#[derive(Debug)]
pub(super) struct FromGraph {
    /// How its ranks lie on hardware.
    pub(super) placement: Placement,
    /// How many ranks the graph has; one less than the traces where a single one has been duplicated.
    pub(super) ranks: u32,
    /// What is worth saying about it.
    pub(super) notices: Vec<String>,
}

/// The traces of a point, edited.
pub(super) fn traces(sources: &Sources, point: &Point) -> Result<Traces> {
    traces_of(sources, &point.workload, &point.edits, &|error| point.blame(error))
}

/// The traces of a workload, edited; `blame` says where in a recipe something wrong comes from.
pub(super) fn traces_of(
    sources: &Sources,
    workload: &Workload,
    edits: &[Edit],
    blame: &dyn Fn(Error) -> Error,
) -> Result<Traces> {
    let traces = unedited(sources, workload, blame)?;
    if edits.is_empty() {
        return Ok(traces);
    }
    let bundle = et::edit(&traces.bundle, edits).map_err(blame)?;
    Ok(Traces { bundle, ..traces })
}

fn unedited(sources: &Sources, workload: &Workload, blame: &dyn Fn(Error) -> Error) -> Result<Traces> {
    let made = |prefix, bundle| Traces { prefix, bundle, groups: BTreeMap::new(), graph: None };
    Ok(match workload {
        Workload::Et(existing) => existing_traces(sources, existing).map_err(blame)?,
        Workload::Graph(file) => of_graph(sources, file)?,
        Workload::Collective { collective, ranks, size } => {
            let name = collective.name();
            let single = SingleCollective {
                name: name.to_owned(),
                kind: engine_type(*collective),
                size_bytes: size.0,
                ranks: *ranks,
                ids: NodeIds::Zero,
            };
            made(name, single.build()?)
        }
        Workload::Sequence { ranks, items } => {
            let item = |item: &Item| SequenceItem {
                name: item.name.clone(),
                kind: engine_type(item.collective),
                size_bytes: item.size.0,
                delay_ns: item.delay.0,
                after: item.after.clone(),
            };
            made("sequence", Sequence { ranks: *ranks, items: items.iter().map(item).collect() }.build()?)
        }
        Workload::Pipeline { ranks, microbatches, compute, size } => {
            let pipeline = Pipeline {
                compute_ns: vec![compute.0; *ranks as usize],
                microbatches: *microbatches,
                message_bytes: size.0,
            };
            made("pipeline", pipeline.build()?)
        }
    })
}

/// Traces that are there already, uncompressed, with as many ranks as the recipe says.
fn existing_traces(sources: &Sources, existing: &ExistingTraces) -> Result<Traces> {
    let TraceSource { names, files, file_of_rank, .. } = sources.bundle(&existing.traces)?;
    if file_of_rank.len() != existing.ranks as usize {
        let message = format!(
            "{} ranks, but there are traces of {}: {}",
            existing.ranks,
            file_of_rank.len(),
            names.prefix()
        );
        return Err(Error::input(message)
            .key("workload.ranks")
            .hint(format!("write {}", file_of_rank.len())));
    }
    // Files are in the order in which ranks first have them.
    let mut first_rank = vec![0; files.len()];
    for (rank, &file) in file_of_rank.iter().enumerate().rev() {
        first_rank[file as usize] = rank as u32;
    }
    let plain = first_rank.into_iter().zip(files).map(|(rank, blob)| {
        let name = names.of_rank(rank);
        let bytes = et::plain(&name, blob.bytes())?;
        match existing.key {
            TraceKey::Content => Ok((name, bytes)),
            TraceKey::Canonical => et::normal_form(&name, &bytes).map(|normal| (name, normal)),
        }
    });
    let plain = plain.collect::<Result<Vec<_>>>()?;
    let bundle = Bundle::from_files(file_of_rank.iter().map(|&file| plain[file as usize].clone()))?;
    let groups = match &existing.groups {
        Some(name) => {
            let source = sources.file(name)?;
            astrasim::read_groups(source.blob.bytes(), &source.path)?
        }
        None => BTreeMap::new(),
    };
    Ok(Traces { prefix: GIVEN, bundle, groups, graph: None })
}

/// What a graph becomes, written on as many threads as there are processors.
fn of_graph(sources: &Sources, file: &GraphFile) -> Result<Traces> {
    let source = sources.file(&file.graph)?;
    let jobs = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let graph = Graph::parse(&et::plain(&source.path, source.blob.bytes())?, &source.path)?;
    let converted =
        graph::convert(&graph, &file.convert, jobs).map_err(|error| error.in_file(&source.path))?;
    let found = FromGraph {
        placement: Placement::of(&graph, &converted),
        ranks: converted.graph_ranks,
        notices: converted.notices.iter().map(Notice::to_string).collect(),
    };
    let groups = et::lower_groups(&converted.groups).map_err(|error| error.in_file(&source.path))?;
    Ok(Traces { prefix: GRAPH_PREFIX, bundle: converted.bundle, groups, graph: Some(found) })
}

impl Traces {
    /// What the ranks ask of the network.
    pub(super) fn demand(&self) -> Result<Demand> {
        let jobs = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let tally = tally_collectives(&self.bundle, jobs)?;
        Ok(Demand::of_traces(&tally, &self.groups, self.bundle.ranks()))
    }

    /// The traces as the engine takes them.
    pub(super) fn lowered(self) -> Result<astra_engine::Workload> {
        let Self { prefix, bundle, groups, .. } = self;
        let workload = lower_bundle(prefix, &bundle.files, &bundle.file_of_rank, &BTreeMap::new())?;
        Ok(astra_engine::Workload { groups, ..workload })
    }
}

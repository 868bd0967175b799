//! Step `et`: workload → execution traces.
//!
//! Reads: nothing but its parameters, or existing traces with their groups, or a graph. Writes: the tree `et` (one
//! uncompressed file per rank; equal ranks are one blob), `manifest.json`, `collectives.json`, `comm_groups.json` where there are
//! groups, and of a graph `placement.json` and what is worth saying about it. In its key: the workload with its rank count or its way
//! of conversion, the edits, and of files the content, never the path.

use std::num::NonZeroUsize;

use artifact_store::{ActionRecord, Digest, OutputKind, Store};
use serde::Deserialize;
use serde_json::json;

use crate::astrasim;
use crate::derivation::{Preimage, StepKind};
use crate::error::Result;
use crate::et::graph::deepflow_manifest;
use crate::et::{Bundle, Edit, TraceNames, manifest};
use crate::lint;
use crate::recipe::{ExistingTraces, GraphFile, ManifestForm, Point, Workload};

use super::traces::{FromGraph, Traces, traces, traces_of};
use super::{Context, Produced, Sources};

pub(super) const VERSION: u32 = 3;
pub(super) const TREE: &str = "et";
pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const GROUPS: &str = "comm_groups.json";
/// Which collectives the ranks carry out, and how often.
pub(super) const COLLECTIVES: &str = "collectives.json";
/// How the ranks of a graph lie on hardware.
pub(super) const PLACEMENT: &str = "placement.json";
/// The name of the input that is the tree of existing traces, wherever they lie.
const TRACES: &str = "traces";
/// The name of the input that is the graph, whatever the file is called.
const GRAPH: &str = "graph";
/// What is worth telling the user about a graph: a JSON list of sentences. Nothing reads it but people.
const NOTICES: &str = "notices.json";

pub(super) fn preimage(sources: &Sources, point: &Point) -> Result<Preimage> {
    let workload = match &*point.workload {
        Workload::Et(ExistingTraces { ranks, key, .. }) => {
            json!({ "kind": "et", "ranks": ranks, "key": key })
        }
        Workload::Graph(GraphFile { convert, manifest, .. }) => {
            let mut workload = json!({ "kind": "graph", "convert": convert });
            if *manifest != ManifestForm::default() {
                workload["manifest"] = json!(manifest);
            }
            workload
        }
        generated => json!(generated),
    };
    let mut params = json!({ "workload": workload });
    if !point.edits.is_empty() {
        params["edits"] = json!(*point.edits);
    }
    let mut preimage = Preimage::new(StepKind::Et.as_str(), VERSION, params);
    match &*point.workload {
        Workload::Et(existing) => {
            preimage = preimage.input(TRACES, sources.bundle(&existing.traces)?.tree.digest());
            if let Some(groups) = &existing.groups {
                preimage = preimage.input(GROUPS, sources.file(groups)?.blob.digest());
            }
        }
        Workload::Graph(file) => {
            preimage = preimage.input(GRAPH, sources.file(&file.graph)?.blob.digest());
        }
        _ => {}
    }
    Ok(preimage)
}

pub(super) fn execute(context: &Context, point: &Point) -> Result<Produced> {
    let traces = traces(&context.sources, point)?;
    if context.lints()
        && let Some((source, warnings)) = linted(&context.sources, point, &traces)?
    {
        context.notify(&source, warnings);
    }
    if let Some(graph) = &traces.graph {
        context.notify(source_of_notices(point), graph.notices.iter().cloned());
    }
    produced(&point.workload, traces)
}

/// Of existing traces what they are called, and the warnings about their files; all others are sound.
///
/// # Errors
/// A file that cannot be simulated.
pub(super) fn linted(
    sources: &Sources,
    point: &Point,
    traces: &Traces,
) -> Result<Option<(String, Vec<String>)>> {
    let Workload::Et(existing) = &*point.workload else { return Ok(None) };
    let source = &sources.bundle(&existing.traces)?.names;
    let bundle = &traces.bundle;
    let linted = lint::lint_files(source, &bundle.files, &bundle.file_of_rank, &traces.groups);
    let warnings = lint::refuse(&linted.findings)?;
    Ok(Some((source.prefix().to_owned(), warnings.iter().map(ToString::to_string).collect())))
}

/// What the step writes.
fn produced(workload: &Workload, traces: Traces) -> Result<Produced> {
    let demand = traces.demand()?;
    let Traces { prefix, bundle, groups, graph } = traces;
    let mut produced = Produced::default();
    let names = (0..).map(|rank| Bundle::file_name(prefix, rank));
    produced.tree(TREE, &bundle.files, names.zip(bundle.file_of_rank.iter().map(|f| *f as usize)))?;
    produced.output(OutputKind::Blob, COLLECTIVES, demand.encode());
    let groups = astrasim::group_numbers(&groups);
    let manifest = match (workload, &graph) {
        (Workload::Graph(GraphFile { manifest: ManifestForm::Df, .. }), Some(graph)) => {
            deepflow_manifest(&bundle, graph.ranks)?
        }
        _ => manifest(&bundle, &groups, |bytes| Digest::of(bytes).to_string(), NonZeroUsize::MIN)?,
    };
    produced.output(OutputKind::Blob, MANIFEST, manifest);
    if let Some(groups) = astrasim::write_groups(&groups) {
        produced.output(OutputKind::Blob, GROUPS, groups);
    }
    if let Some(FromGraph { placement, notices, .. }) = graph {
        produced.output(OutputKind::Blob, PLACEMENT, placement.encode());
        produced.output(OutputKind::Blob, NOTICES, json!(notices).to_string().into_bytes());
    }
    Ok(produced)
}

/// Makes the traces again from the description in their key; `None` when this version cannot tell from it what they were,
/// or when the store does not have what they are made of.
pub(super) fn again(store: &Store, preimage: &Preimage) -> Result<Option<Produced>> {
    if preimage.version != VERSION {
        return Ok(None);
    }
    let Some(described) = Described::of(preimage) else { return Ok(None) };
    let Some(sources) = described.sources(store, preimage)? else { return Ok(None) };
    let Described { workload, edits } = described;
    produced(&workload, traces_of(&sources, &workload, &edits, &|error| error)?).map(Some)
}

/// What the parameters in a key say. Files are named as the inputs are.
struct Described {
    workload: Workload,
    edits: Vec<Edit>,
}

impl Described {
    fn of(preimage: &Preimage) -> Option<Self> {
        let params = &preimage.params;
        let edits = params.get("edits").map(Vec::deserialize).transpose().ok()?.unwrap_or_default();
        let described = &params["workload"];
        let workload = match described["kind"].as_str()? {
            "et" => Workload::Et(ExistingTraces {
                ranks: u32::deserialize(&described["ranks"]).ok()?,
                traces: TRACES.to_owned(),
                groups: preimage.inputs.contains_key(GROUPS).then(|| GROUPS.to_owned()),
                key: Deserialize::deserialize(&described["key"]).ok()?,
            }),
            "graph" => Workload::Graph(GraphFile {
                graph: GRAPH.to_owned(),
                convert: Deserialize::deserialize(&described["convert"]).ok()?,
                manifest: described
                    .get("manifest")
                    .map(Deserialize::deserialize)
                    .transpose()
                    .ok()?
                    .unwrap_or_default(),
            }),
            _ => Workload::of_key(described)?,
        };
        Some(Self { workload, edits })
    }

    /// What the traces are made of, from the store; `None` when it is not there.
    fn sources(&self, store: &Store, preimage: &Preimage) -> Result<Option<Sources>> {
        let mut sources = Sources::of_no_recipe();
        for (name, digest) in &preimage.inputs {
            let found = match name.as_str() {
                TRACES => sources.add_stored_traces(store, name, digest.0)?,
                _ => sources.add_stored_file(store, name, digest.0)?,
            };
            if !found {
                return Ok(None);
            }
        }
        Ok(Some(sources))
    }
}

/// Says again what was worth saying when a graph was converted.
pub(super) fn recall(context: &Context, point: &Point, record: &ActionRecord) -> Result<()> {
    match record.outputs.get(NOTICES) {
        Some(notices) => {
            context.notify(source_of_notices(point), context.notices(notices.digest)?.iter().cloned());
            Ok(())
        }
        None => Ok(()),
    }
}

/// The graph file, as written in the recipe.
pub(super) fn source_of_notices(point: &Point) -> &str {
    match &*point.workload {
        Workload::Graph(file) => &file.graph,
        _ => "traces",
    }
}

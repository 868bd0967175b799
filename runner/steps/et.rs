//! Step `et`: workload → execution traces.
//!
//! Reads: nothing but its parameters, or existing traces with their groups. Writes: the tree `et` (one uncompressed file per
//! rank; equal ranks are one blob), `manifest.json` and, where there are groups, `comm_groups.json`. In its key: the
//! workload with its rank count, the edits, and of existing traces the content, never the path.

use std::collections::BTreeMap;

use artifact_store::OutputKind;
use astra_engine::{GroupId, Rank};
use serde_json::json;

use crate::algorithm::engine_type;
use crate::astrasim;
use crate::derivation::{Preimage, StepKind};
use crate::error::{Error, Result};
use crate::et::build::{NodeIds, Pipeline, Sequence, SequenceItem, SingleCollective};
use crate::et::{self, Bundle, lower_bundle};
use crate::lint;
use crate::recipe::{ExistingTraces, Item, Point, TraceKey, Workload};

use super::ingest::{Sources, TraceSource};
use super::{Context, Produced};

pub(super) const VERSION: u32 = 1;
pub(super) const TREE: &str = "et";
pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const GROUPS: &str = "comm_groups.json";

pub(super) fn preimage(sources: &Sources, point: &Point) -> Result<Preimage> {
    let workload = match &*point.workload {
        Workload::Et(ExistingTraces { ranks, key, .. }) => {
            json!({ "kind": "et", "ranks": ranks, "key": key })
        }
        generated => json!(generated),
    };
    let mut params = json!({ "workload": workload });
    if !point.edits.is_empty() {
        params["edits"] = json!(*point.edits);
    }
    let mut preimage = Preimage::new(StepKind::Et.as_str(), VERSION, params);
    if let Workload::Et(existing) = &*point.workload {
        preimage = preimage.input("traces", sources.bundle(&existing.traces)?.tree.digest());
        if let Some(groups) = &existing.groups {
            preimage = preimage.input(GROUPS, sources.file(groups)?.blob.digest());
        }
    }
    Ok(preimage)
}

pub(super) fn execute(context: &Context, point: &Point) -> Result<Produced> {
    let Traces { prefix, bundle, groups } = traces(&context.sources, point)?;
    if let (Workload::Et(existing), true) = (&*point.workload, context.lints()) {
        let source = &context.sources.bundle(&existing.traces)?.prefix;
        let linted = lint::lint_files(source, &bundle.files, &bundle.file_of_rank, &groups);
        let warnings = lint::refuse(&linted.findings)?;
        context.notify(source, warnings.iter().map(ToString::to_string));
    }
    let mut produced = Produced::default();
    let names = (0..).map(|rank| Bundle::file_name(prefix, rank));
    produced.tree(TREE, &bundle.files, names.zip(bundle.file_of_rank.iter().map(|f| *f as usize)))?;
    produced.output(OutputKind::Blob, MANIFEST, bundle.manifest());
    if let Some(groups) = astrasim::write_groups(&groups) {
        produced.output(OutputKind::Blob, GROUPS, groups);
    }
    Ok(produced)
}

/// The traces of a workload, the prefix of their names, and the groups they use.
struct Traces {
    prefix: &'static str,
    bundle: Bundle,
    groups: BTreeMap<GroupId, Vec<Rank>>,
}

/// The traces of a point, edited.
fn traces(sources: &Sources, point: &Point) -> Result<Traces> {
    let traces = unedited(sources, point)?;
    if point.edits.is_empty() {
        return Ok(traces);
    }
    let bundle = et::edit(&traces.bundle, &point.edits).map_err(|e| point.blame(e))?;
    Ok(Traces { bundle, ..traces })
}

fn unedited(sources: &Sources, point: &Point) -> Result<Traces> {
    let made = |prefix, bundle| Traces { prefix, bundle, groups: BTreeMap::new() };
    Ok(match &*point.workload {
        Workload::Et(existing) => existing_traces(sources, existing).map_err(|e| point.blame(e))?,
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
    let TraceSource { prefix, files, file_of_rank, .. } = sources.bundle(&existing.traces)?;
    if file_of_rank.len() != existing.ranks as usize {
        let message =
            format!("{} ranks, but there are traces of {}: {prefix}", existing.ranks, file_of_rank.len());
        return Err(Error::input(message)
            .key("workload.ranks")
            .hint(format!("write {}", file_of_rank.len())));
    }
    let plain = (0..).zip(files).map(|(file, blob)| {
        let rank = file_of_rank.iter().position(|of_rank| *of_rank == file).unwrap_or_default();
        let name = Bundle::file_name(prefix, rank as u32);
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
    Ok(Traces { prefix: "trace", bundle, groups })
}

/// The traces of a point as the engine takes them.
pub(super) fn lowered(sources: &Sources, point: &Point) -> Result<astra_engine::Workload> {
    let Traces { prefix, bundle, groups } = traces(sources, point)?;
    let workload = lower_bundle(prefix, &bundle.files, &bundle.file_of_rank, &BTreeMap::new())?;
    Ok(astra_engine::Workload { groups, ..workload })
}

//! Step `et`: workload → execution traces.
//!
//! Reads: nothing but its parameters. Writes: the tree `et` (one file per rank; equal ranks are one blob) and
//! `manifest.json`. In its key: the workload with its rank count.

use std::collections::BTreeMap;

use artifact_store::OutputKind;
use serde_json::json;

use crate::algorithm::engine_type;
use crate::derivation::{Preimage, StepKind};
use crate::error::Result;
use crate::et::build::{NodeIds, Pipeline, Sequence, SequenceItem, SingleCollective};
use crate::et::{Bundle, lower_bundle};
use crate::recipe::{Item, Point, Workload};

use super::Produced;

pub(super) const VERSION: u32 = 1;
pub(super) const TREE: &str = "et";
pub(super) const MANIFEST: &str = "manifest.json";

pub(super) fn preimage(point: &Point) -> Result<Preimage> {
    Ok(Preimage::new(StepKind::Et.as_str(), VERSION, json!({ "workload": *point.workload })))
}

pub(super) fn execute(point: &Point) -> Result<Produced> {
    let (prefix, bundle) = bundle(&point.workload)?;
    let mut produced = Produced::default();
    let names = (0..).map(|rank| Bundle::file_name(prefix, rank));
    produced.tree(TREE, &bundle.files, names.zip(bundle.file_of_rank.iter().map(|f| *f as usize)))?;
    produced.output(OutputKind::Blob, MANIFEST, bundle.manifest());
    Ok(produced)
}

/// The traces of a workload, and the prefix of their names.
fn bundle(workload: &Workload) -> Result<(&'static str, Bundle)> {
    Ok(match workload {
        Workload::Collective { collective, ranks, size } => {
            let name = collective.name();
            let single = SingleCollective {
                name: name.to_owned(),
                kind: engine_type(*collective),
                size_bytes: size.0,
                ranks: *ranks,
                ids: NodeIds::Zero,
            };
            (name, single.build()?)
        }
        Workload::Sequence { ranks, items } => {
            let item = |item: &Item| SequenceItem {
                name: item.name.clone(),
                kind: engine_type(item.collective),
                size_bytes: item.size.0,
                delay_ns: item.delay.0,
                after: item.after.clone(),
            };
            ("sequence", Sequence { ranks: *ranks, items: items.iter().map(item).collect() }.build()?)
        }
        Workload::Pipeline { ranks, microbatches, compute, size } => {
            let pipeline = Pipeline {
                compute_ns: vec![compute.0; *ranks as usize],
                microbatches: *microbatches,
                message_bytes: size.0,
            };
            ("pipeline", pipeline.build()?)
        }
    })
}

/// The traces of a workload as the engine takes them.
pub(super) fn lowered(workload: &Workload) -> Result<astra_engine::Workload> {
    let (prefix, bundle) = bundle(workload)?;
    lower_bundle(prefix, &bundle.files, &bundle.file_of_rank, &BTreeMap::new())
}

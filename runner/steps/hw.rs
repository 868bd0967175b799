//! Step `hw`: hardware YAML → canonical network specification.
//!
//! Reads: the ingested hardware file. Writes: `network-spec.json`, `notices.json`. In its key: the file's digest and the
//! patches of the point. Comments and sections that simulation does not read change the key of this step and
//! not its output, so nothing after it runs.

use artifact_store::{ActionRecord, OutputKind};
use serde_json::{Value, json};

use crate::derivation::{Preimage, StepKind};
use crate::error::Result;
use crate::hw::{NetworkSpec, SPEC_VERSION};
use crate::notice::Notice;
use crate::recipe::Point;

use super::{Context, Produced, Sources, output_of};

pub(super) const VERSION: u32 = SPEC_VERSION;
pub(super) const OUTPUT: &str = "network-spec.json";
/// The name of the input that is the hardware file, whatever the file is called.
pub const HARDWARE: &str = "hardware";
/// What is worth telling the user about the file: a JSON list of sentences. Nothing reads it but people.
const NOTICES: &str = "notices.json";

pub(super) fn preimage(context: &Context, point: &Point) -> Result<Preimage> {
    let source = context.sources.file(&point.hw)?;
    let patches: serde_json::Map<String, Value> = point.hw_patches.iter().cloned().collect();
    Ok(Preimage::new(StepKind::Hw.as_str(), VERSION, json!({ "patches": patches }))
        .input(HARDWARE, source.blob.digest()))
}

pub(super) fn execute(context: &Context, point: &Point) -> Result<Produced> {
    let (spec, notices) = network_spec(&context.sources, point)?;
    context.notify(&point.hw, notices.iter().map(Notice::to_string));
    Ok(produced(&spec, &notices))
}

/// What the step writes.
pub(super) fn produced(spec: &NetworkSpec, notices: &[Notice]) -> Produced {
    let notices: Vec<String> = notices.iter().map(Notice::to_string).collect();
    let mut produced = Produced::default();
    produced.output(OutputKind::Blob, OUTPUT, spec.to_bytes());
    produced.output(OutputKind::Blob, NOTICES, Value::from(notices).to_string().into_bytes());
    produced
}

/// Says again what was worth saying when the step was executed.
pub(super) fn recall(context: &Context, point: &Point, record: &ActionRecord) -> Result<()> {
    let digest = output_of(StepKind::Hw, record, NOTICES)?;
    context.notify(&point.hw, context.notices(digest)?.iter().cloned());
    Ok(())
}

/// The network that a point's patches make of its hardware file.
pub(super) fn network_spec(sources: &Sources, point: &Point) -> Result<(NetworkSpec, Vec<Notice>)> {
    sources.document(&point.hw)?.network_spec(&point.hw_patches).map_err(|error| point.blame(error))
}

//! One file per kind of derivation; each says what it reads, what it writes and what is in its key.
//!
//! Depends on the formats (`hw`, `astrasim`, `et`), the engine and the store. A step reads only ingested
//! content, never the source files.

mod added;
mod again;
mod check;
mod configs;
mod context;
mod decided;
mod demand;
mod et;
mod external;
mod files;
mod hw;
mod ingest;
mod lone;
mod placement;
mod plugin_path;
mod policies;
mod policy;
mod recorded;
mod run;
mod traces;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use artifact_store::{
    ActionKey, ActionRecord, Blob, Claim, Digest, NewAction, Output, OutputKind, Provenance, Publication,
    SharedBytes, Tree, TreeEntry,
};

use crate::derivation::{Preimage, StepKind};
use crate::error::{Error, ErrorKind, Result};
use crate::recipe::Point;

pub use added::{AddedPlugin, Origin, add_plugin, added_plugins, is_plugin_pin, plugin_pin_when_received};
pub use again::make_again;
pub use check::check;
pub use context::{Context, Finish, provenance};
pub use decided::{DecisionReader, PointDecision};
pub use demand::demand_from;
pub(crate) use files::content;
pub use files::{PointConfiguration, PointFile, PointFiles, PointTraces, point_files};
pub use hw::HARDWARE;
pub use ingest::{Source, Sources, TraceSource};
pub use lone::{LoneRun, lone_run};
pub use plugin_path::{PluginPath, is_part_of_program};
pub use policies::{FoundPolicy, Sessions};
pub use policy::DECISIONS;
pub use recorded::{RecordedRun, engine_of_run, recorded_run, runs_of_result};
pub use run::simulation_error;
pub(crate) use run::{OUTPUT as RESULT, produced as produced_run};

/// The semantic version of a kind of step: bumped when equal inputs would give other outputs.
pub fn version(kind: StepKind) -> u32 {
    match kind {
        StepKind::Hw => hw::VERSION,
        StepKind::Et => et::VERSION,
        StepKind::Policy => policy::VERSION,
        StepKind::Configs => configs::VERSION,
        StepKind::Run => run::VERSION,
    }
}

/// A step with its key made.
#[derive(Debug)]
pub struct Derivation {
    /// The key.
    pub key: ActionKey,
    /// The canonical bytes of the preimage.
    pub encoded: Vec<u8>,
}

impl Derivation {
    /// Encodes the preimage and makes the key.
    pub fn of(preimage: &Preimage) -> Self {
        let encoded = preimage.encode();
        Self { key: ActionKey::of_preimage(&encoded), encoded }
    }
}

/// The records of the steps that a step reads.
#[derive(Clone, Debug, Default)]
pub struct Inputs(BTreeMap<StepKind, Arc<ActionRecord>>);

impl Inputs {
    /// Adds the record of a step.
    pub fn insert(&mut self, kind: StepKind, record: Arc<ActionRecord>) {
        self.0.insert(kind, record);
    }

    /// Those of these records that a step of this point reads, if all are there.
    pub fn of_step(&self, point: &Point, kind: StepKind) -> Option<Self> {
        let needs = kind.needs(demand_from(point)).iter();
        needs.map(|need| Some((*need, Arc::clone(self.0.get(need)?)))).collect::<Option<_>>().map(Self)
    }

    /// The digest of an output of a step that this one reads.
    fn output(&self, kind: StepKind, name: &str) -> Result<Digest> {
        self.optional(kind, name).ok_or_else(|| no_output(kind, name))
    }

    fn optional(&self, kind: StepKind, name: &str) -> Option<Digest> {
        self.0.get(&kind)?.outputs.get(name).map(|o| o.digest)
    }
}

/// The digest of an output.
fn output_of(kind: StepKind, record: &ActionRecord, name: &str) -> Result<Digest> {
    record.outputs.get(name).map(|o| o.digest).ok_or_else(|| no_output(kind, name))
}

fn no_output(kind: StepKind, name: &str) -> Error {
    Error::new(ErrorKind::Store, format!("the record of a step `{kind}` has no output `{name}`"))
        .hint("it was written by another version of astra-store; build in a new store")
}

/// What an executed step wrote: the content and the record that names it.
#[derive(Debug, Default)]
pub struct Produced {
    /// The content of all outputs and of what trees refer to.
    pub blobs: Vec<Blob>,
    /// Names of the outputs.
    pub record: ActionRecord,
    /// What a program printed that did the work, compressed: kept beside the record, no output.
    pub log: Vec<u8>,
}

impl Produced {
    /// Adds an output.
    pub fn output(&mut self, kind: OutputKind, name: &str, bytes: impl Into<SharedBytes>) -> Digest {
        let blob = Blob::new(bytes);
        let digest = blob.digest();
        self.record.outputs.insert(name.to_owned(), Output { digest, len: blob.len(), kind });
        self.blobs.push(blob);
        digest
    }

    /// Adds an output that is a tree of files, given as names with positions in the distinct contents.
    ///
    /// # Errors
    /// When the names do not make a tree.
    pub fn tree(
        &mut self,
        name: &str,
        distinct: &[SharedBytes],
        files: impl IntoIterator<Item = (String, usize)>,
    ) -> Result<()> {
        let blobs: Vec<Blob> = distinct.iter().map(|bytes| Blob::new(bytes.clone())).collect();
        let entry = |(name, i): (String, usize)| {
            let blob: &Blob = &blobs[i];
            TreeEntry { name, digest: blob.digest(), len: blob.len() }
        };
        let tree = Tree::new(files.into_iter().map(entry).collect())?;
        self.output(OutputKind::Tree, name, tree.encode());
        self.blobs.extend(blobs);
        Ok(())
    }

    /// Everything the store is to keep of this execution, in one transaction.
    pub fn into_publication(self, derivation: &Derivation, took: Duration, claim: Claim) -> Publication {
        let provenance = Provenance { log: self.log, ..provenance(took) };
        Publication {
            blobs: self.blobs,
            action: Some(NewAction::new(derivation.encoded.clone(), self.record, provenance)),
            roots: Vec::new(),
            claim: Some(claim),
        }
    }
}

/// Makes the key of a step of a point.
///
/// # Errors
/// When what the key is made of is wrong: ranks that no layout holds, an unknown algorithm.
pub fn derive(context: &Context, point: &Point, kind: StepKind, inputs: &Inputs) -> Result<Arc<Derivation>> {
    let preimage = match kind {
        StepKind::Hw => hw::preimage(context, point),
        StepKind::Et => et::preimage(&context.sources, point),
        StepKind::Policy => return policy::derive(context, point, inputs),
        StepKind::Configs => configs::preimage(context, point, inputs),
        StepKind::Run => run::preimage(&context.sources, point, inputs),
    }?;
    Ok(Arc::new(Derivation::of(&preimage.salted(context.sources.salt.as_deref()))))
}

/// How many ranks of a simulation that goes on have finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RanksFinished {
    /// So many have.
    pub finished: u32,
    /// Of so many.
    pub ranks: u32,
}

/// Executes a step of a point. `progress` is told how far a simulation by another program has come.
///
/// # Errors
/// Whatever is wrong with the input, or with the simulation; `Interrupted` when `cancel` was set.
pub fn execute(
    context: &Context,
    point: &Point,
    kind: StepKind,
    inputs: &Inputs,
    cancel: &AtomicBool,
    progress: &dyn Fn(RanksFinished),
) -> Result<Produced> {
    match kind {
        StepKind::Hw => hw::execute(context, point),
        StepKind::Et => et::execute(context, point),
        StepKind::Policy => policy::execute(context, point, inputs, cancel),
        StepKind::Configs => configs::execute(context, point, inputs),
        StepKind::Run => run::execute(context, point, inputs, cancel, progress),
    }
}

/// After a step `policy` failed that several points share: sets apart what fails in it. Gives whether the others have another
/// step now, and the points whose questions failed a failure of their own.
///
/// # Errors
/// `Interrupted` when `cancel` was set; whatever is no failure of a question.
pub fn ask_apart(context: &Context, point: &Point, inputs: &Inputs, cancel: &AtomicBool) -> Result<bool> {
    policy::ask_apart(context, point, inputs, cancel)
}

/// Takes from a known step what a build says of it: the notices of a hardware file or a graph, the finish time of a run.
///
/// # Errors
/// [`ErrorKind::Missing`] when that is damaged or gone: then the step is not known after all.
pub fn recall(context: &Context, point: &Point, kind: StepKind, record: &ActionRecord) -> Result<()> {
    match kind {
        StepKind::Hw => hw::recall(context, point, record),
        StepKind::Et => et::recall(context, point, record),
        StepKind::Run => run::recall(context, record),
        StepKind::Policy | StepKind::Configs => Ok(()),
    }
}

//! A run of given files, without the steps that make files: what is in its key, and what is kept of it.
//!
//! Reads: the bytes of network and system file, traces and groups, and where there are any remote memory and custom
//! collectives. In its key: these, the engine and the options that act on the system layer. A run of files that a recipe's
//! steps would write has the key of that recipe's run, whatever the files are called.

use artifact_store::{Blob, Tree, TreeEntry};
use serde_json::{Map, Value, json};

use crate::astrasim::SystemOptions;
use crate::derivation::{Preimage, StepKind};
use crate::error::Result;
use crate::et::{self as traces, Bundle, TraceNames};
use crate::recipe::{Engine, EngineKind, External};
use crate::sim::SimFiles;
use crate::traces::TraceFiles;

use super::{Derivation, configs, et, run};

/// What traces are called in a tree of traces that are given: their names say nothing about what is simulated.
pub(super) const GIVEN: &str = "trace";

/// The parameter with the options of the system layer that no recipe has.
pub(super) const OPTIONS: &str = "options";

/// What the inputs that are custom collectives begin with.
pub(super) const CUSTOM: &str = "custom ";

/// The derivation of a run, and the content of everything that it reads.
#[derive(Debug)]
pub struct LoneRun {
    /// What it is made of.
    pub derivation: Derivation,
    /// The content, to be kept beside the result.
    pub inputs: Vec<Blob>,
}

/// What a run of these files is made of. `prefix` is what the traces are called in their tree: the same name that a recipe
/// gives to traces that it makes, or `None` of traces that are given.
///
/// # Errors
/// A compressed trace that is damaged.
pub fn lone_run(files: &SimFiles, prefix: Option<&str>) -> Result<LoneRun> {
    let settings = &files.settings;
    let engine = Engine {
        kind: EngineKind::Builtin,
        network: settings.network_model,
        dialect: settings.dialect,
        queues_per_dimension: settings.options.queues_per_dimension,
        external: External::default(),
    };
    let mut params = json!({ "engine": run::engine_identity(&engine) });
    if let Some(options) = options_in_key(&settings.options) {
        params[OPTIONS] = options;
    }
    let mut preimage = Preimage::new(StepKind::Run.as_str(), run::VERSION, params);
    let mut inputs = tree(&files.traces, prefix.unwrap_or(GIVEN))?;
    if let Some(tree) = inputs.last() {
        preimage = preimage.input(et::TREE, tree.digest());
    }
    let configuration = &files.configuration;
    let memory = configuration.remote_memory.as_ref().filter(|_| files.has_remote_memory());
    let named = [
        Some((configs::NETWORK.to_owned(), &configuration.network.bytes)),
        Some((configs::SYSTEM.to_owned(), &configuration.system.bytes)),
        memory.map(|file| (configs::REMOTE_MEMORY.to_owned(), &file.bytes)),
        files.comm_groups.as_ref().map(|file| (et::GROUPS.to_owned(), &file.bytes)),
    ];
    let custom = files.custom.contents().map(|(name, bytes)| (format!("{CUSTOM}{name}"), bytes));
    for (name, bytes) in named.into_iter().flatten().chain(custom) {
        let blob = Blob::new(bytes.clone());
        preimage = preimage.input(name, blob.digest());
        inputs.push(blob);
    }
    Ok(LoneRun { derivation: Derivation::of(&preimage), inputs })
}

/// The distinct traces, uncompressed, and last the tree that names them.
fn tree(files: &TraceFiles, prefix: &str) -> Result<Vec<Blob>> {
    let TraceFiles { names, files, file_of_rank } = files;
    let mut blobs = Vec::with_capacity(files.len());
    // Files are in the order in which ranks first have them.
    for (rank, &file) in (0..).zip(file_of_rank) {
        if file as usize == blobs.len() {
            blobs.push(Blob::new(traces::plain(&names.of_rank(rank), &files[file as usize])?));
        }
    }
    let entry = |(rank, &file): (u32, &u32)| {
        let blob = &blobs[file as usize];
        TreeEntry { name: Bundle::file_name(prefix, rank), digest: blob.digest(), len: blob.len() }
    };
    let tree = Tree::new((0..).zip(file_of_rank).map(entry).collect())?;
    blobs.push(Blob::new(tree.encode()));
    Ok(blobs)
}

/// The options that no recipe has, as far as they are not what a recipe's run has.
fn options_in_key(options: &SystemOptions) -> Option<Value> {
    let usual = SystemOptions::default();
    let mut named = Map::new();
    if options.injection_scale != usual.injection_scale {
        named.insert("injection_scale".to_owned(), options.injection_scale.into());
    }
    if options.rendezvous != usual.rendezvous {
        named.insert("rendezvous".to_owned(), options.rendezvous.into());
    }
    (!named.is_empty()).then_some(Value::Object(named))
}

/// The options of a run with these parameters; `None` when this version does not understand them.
pub(super) fn options_of(params: &Value, queues_per_dimension: u32) -> Option<SystemOptions> {
    let mut options = SystemOptions { queues_per_dimension, ..SystemOptions::default() };
    let Some(named) = params.get(OPTIONS) else { return Some(options) };
    for (name, value) in named.as_object()? {
        match name.as_str() {
            "injection_scale" => options.injection_scale = value.as_f64()?,
            "rendezvous" => options.rendezvous = value.as_bool()?,
            _ => return None,
        }
    }
    Some(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_can_be_read_back_from_a_key_and_usual_ones_are_not_in_it() {
        assert_eq!(
            options_in_key(&SystemOptions { queues_per_dimension: 7, ..SystemOptions::default() }),
            None
        );
        let options = SystemOptions { queues_per_dimension: 2, injection_scale: 0.5, rendezvous: true };
        let params = json!({ OPTIONS: options_in_key(&options) });
        assert_eq!(options_of(&params, 2), Some(options));
        assert_eq!(options_of(&json!({}), 1), Some(SystemOptions::default()));
        assert_eq!(options_of(&json!({ OPTIONS: { "later": 1 } }), 1), None);
    }
}

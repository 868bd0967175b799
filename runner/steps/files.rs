//! Which files a point consists of, under the names that ASTRA-sim's users know.

use std::sync::Arc;

use artifact_store::{ActionKey, Digest, SharedBytes, Store, Tree};

use crate::derivation::{PerStep, StepKind};
use crate::error::{Error, ErrorKind, Result};
use crate::hw::NetworkSpec;
use crate::recipe::Point;

use super::placement::Placement;
use super::{Inputs, configs, et, hw, run};

/// Names and contents of a point's files, from the keys of its `hw`, `et`, `configs` and `run` steps. Files of steps
/// that did not succeed are left out.
///
/// # Errors
/// When the store does not hold what a record names.
pub fn point_files(
    store: &Store,
    point: &Point,
    keys: &PerStep<Option<ActionKey>>,
) -> Result<Vec<(String, Digest)>> {
    let mut records = Inputs::default();
    for kind in StepKind::ALL {
        if let Some(record) = keys[kind].map(|key| store.hit(&key)).transpose()?.flatten() {
            records.insert(kind, Arc::new(record));
        }
    }
    let mut files = Vec::new();
    if let (Some(spec), Some(network)) =
        (records.optional(StepKind::Hw, hw::OUTPUT), records.optional(StepKind::Configs, configs::NETWORK))
    {
        let spec = NetworkSpec::from_bytes(&content(store, &spec)?)?;
        let placement = records.optional(StepKind::Et, et::PLACEMENT);
        let placement = placement.map(|digest| Placement::decode(&content(store, &digest)?)).transpose()?;
        let names = configs::files(Arc::new(spec), point, placement.as_ref())?;
        files.push((names.network_name, network));
        files.push((names.system_name, records.output(StepKind::Configs, configs::SYSTEM)?));
        let remote_memory = records.output(StepKind::Configs, configs::REMOTE_MEMORY)?;
        files.push((configs::REMOTE_MEMORY.to_owned(), remote_memory));
    }
    if let Some(tree) = records.optional(StepKind::Et, et::TREE) {
        let tree = Tree::decode(&content(store, &tree)?)?;
        files.extend(tree.entries().iter().map(|entry| (entry.name.clone(), entry.digest)));
        files.push((et::MANIFEST.to_owned(), records.output(StepKind::Et, et::MANIFEST)?));
        files
            .extend(records.optional(StepKind::Et, et::GROUPS).map(|groups| (et::GROUPS.to_owned(), groups)));
    }
    if let Some(result) = records.optional(StepKind::Run, run::OUTPUT) {
        files.push((run::OUTPUT.to_owned(), result));
    }
    Ok(files)
}

/// The bytes of a blob that a record names.
pub(crate) fn content(store: &Store, digest: &Digest) -> Result<SharedBytes> {
    store.get(digest)?.ok_or_else(|| {
        Error::new(ErrorKind::Missing, format!("blob {digest} is damaged or gone"))
            .hint("build the recipe again: the step that wrote it will be executed again")
    })
}

//! Merging another store's directory: what both have built is here afterwards.

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::options::Options;
use crate::publish::Publication;
use crate::remote::{Progress, PullOptions, PullReport, Selection, StoreRemote, needs_of_outputs, pull};
use crate::root::{PIN_PREFIX, Root};
use crate::store::Store;
use std::path::Path;

/// What came of another store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MergeReport {
    /// Blobs, actions and where the two disagree.
    pub pulled: PullReport,
    /// Roots that were not here, by name.
    pub roots: Vec<String>,
    /// Roots that mean something else here, and still do, by name.
    pub roots_kept: Vec<String>,
}

/// Brings everything that another store has: blobs, records with their provenance, and roots. Where the two disagree,
/// this one stays as it is. A pin comes under the name that `pinned_as` gives it. In a dry run the roots are those whose names
/// are not here.
///
/// # Errors
/// The directory is not a store, is this one, or cannot be read; this one cannot be written.
pub fn import_dir(
    store: &Store,
    directory: &Path,
    options: &PullOptions,
    pinned_as: &dyn Fn(&str) -> String,
    progress: &mut dyn FnMut(&Progress),
) -> Result<MergeReport> {
    let same = |path: &Path| path.canonicalize().map_err(|e| Error::io("look at the directory", path, &e));
    if same(directory)? == same(store.directory())? {
        return Err(Error::invalid("this is the store itself").at(directory).hint("name another store"));
    }
    let _session = store.session()?;
    let other = Store::open(directory, &Options { read_only: true, ..store.core().options.clone() })?;
    let _other_session = other.session()?;
    let selection = Selection::everything(&other)?;
    let roots = other.roots()?;
    let options = PullOptions { compare_all: true, ..options.clone() };
    let pulled = pull(store, &selection, &StoreRemote::new(other), &options, progress)?;
    let mut report = MergeReport { pulled, ..MergeReport::default() };
    let mut new = Vec::new();
    for (name, root) in roots {
        let name = match name.strip_prefix(PIN_PREFIX) {
            Some(pin) => format!("{PIN_PREFIX}{}", pinned_as(pin)),
            None => name,
        };
        match store.root(&name)? {
            Some(ours) if ours.target == root.target => {}
            Some(_) => report.roots_kept.push(name),
            None if options.dry_run || is_whole(store, &root)? => {
                report.roots.push(name.clone());
                new.push((name, root));
            }
            // What it leads to did not come, which has been reported.
            None => {}
        }
    }
    if !new.is_empty() && !options.dry_run {
        store.publish(Publication { roots: new, ..Publication::default() }).wait()?;
    }
    Ok(report)
}

/// Whether everything that a root names and lists is here.
fn is_whole(store: &Store, root: &Root) -> Result<bool> {
    let (needs, unknown) = needs_of_outputs(&[(root.kind, root.target)], &|digest| store.get(digest))?;
    let blobs: Vec<Digest> = needs.blobs.into_keys().collect();
    if !unknown.is_empty() || !store.missing(&blobs)?.is_empty() {
        return Ok(false);
    }
    for key in &needs.actions {
        if store.hit(key)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

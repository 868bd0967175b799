//! The latest build of a recipe, as its roots in the store name it.
//!
//! A build that fails or is cut short keeps what it finished beside what the latest complete build needs, never in
//! its place: a typo must not hand good results to collection.

use artifact_store::{Digest, OutputKind, Root, Store};

use crate::error::{Error, ErrorKind, Result};
use crate::report::{Index, Report};

pub(super) const REPORT: &str = "report.json";
pub(super) const INDEX: &str = "index.json";
const COMPLETE: &str = "complete";
const INCOMPLETE: &str = "incomplete";
const PREFIX: &str = "recipe/";

/// The digests that a recipe's roots hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Targets {
    pub(super) report: Digest,
    pub(super) index: Digest,
    pub(super) closure: Digest,
}

/// How far a build came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// Every point has a result.
    Complete,
    /// Every point was attempted; some failed.
    Ended,
    /// Some points were not attempted.
    Cut,
}

/// The root of a part of a recipe's latest build.
fn root_name(recipe: &str, part: &str) -> String {
    format!("{PREFIX}{recipe}/{part}")
}

/// The roots to set for a build.
pub(super) fn roots(recipe: &str, targets: Targets, extent: Extent) -> Vec<(String, Root)> {
    let closure = |part| (root_name(recipe, part), Root::now(targets.closure, OutputKind::Closure));
    let blob = |part, digest| (root_name(recipe, part), Root::now(digest, OutputKind::Blob));
    // What an incomplete build left is of no more use once a complete one is there.
    let mut roots = vec![closure(INCOMPLETE)];
    if extent != Extent::Cut {
        roots.extend([blob(INDEX, targets.index), blob(REPORT, targets.report)]);
    }
    if extent == Extent::Complete {
        roots.push(closure(COMPLETE));
    }
    roots
}

/// Whether the roots name this complete build as the recipe's latest, and none of them is damaged or gone. What a
/// later build that was cut short left may stay beside it.
pub(super) fn is_latest(store: &Store, recipe: &str, targets: Targets) -> Result<bool> {
    let incomplete = root_name(recipe, INCOMPLETE);
    for (name, expected) in roots(recipe, targets, Extent::Complete) {
        let root = store.root(&name)?;
        if root.is_none_or(|root| name != incomplete && root.target != expected.target) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The index of a recipe's latest build. `None` when there is none, or none that this version can read.
pub(super) fn index(store: &Store, recipe: &str) -> Result<Option<Index>> {
    let root = store.root(&root_name(recipe, INDEX))?;
    let bytes = root.map(|r| store.get(&r.target)).transpose()?.flatten();
    Ok(bytes.and_then(|b| Index::decode(&b).ok()))
}

/// The report of a recipe's latest build.
#[derive(Debug)]
pub struct LatestBuild {
    /// What the build found out.
    pub report: Report,
    /// Digest of the report.
    pub digest: Digest,
    /// When it was built, in milliseconds since 1970-01-01 UTC.
    pub built_unix_ms: u64,
}

impl LatestBuild {
    /// The latest build of a recipe, if the store holds one.
    ///
    /// # Errors
    /// When the store cannot be read, or the report is damaged.
    pub fn load(store: &Store, recipe: &str) -> Result<Option<Self>> {
        store.root(&root_name(recipe, REPORT))?.map(|root| Self::read(store, &root)).transpose()
    }

    /// The latest builds of all recipes, by name.
    ///
    /// # Errors
    /// As for [`LatestBuild::load`].
    pub fn all(store: &Store) -> Result<Vec<Self>> {
        let roots = store.roots()?;
        let is_report = |name: &str| name.starts_with(PREFIX) && name.ends_with(REPORT);
        roots.iter().filter(|(name, _)| is_report(name)).map(|(_, root)| Self::read(store, root)).collect()
    }

    fn read(store: &Store, root: &Root) -> Result<Self> {
        let bytes = store.get(&root.target)?.ok_or_else(|| {
            Error::new(ErrorKind::Store, format!("report {} is damaged or gone", root.target))
                .hint("build the recipe again")
        })?;
        let report = Report::decode(&bytes)?;
        Ok(Self { report, digest: root.target, built_unix_ms: root.updated_unix_ms })
    }
}

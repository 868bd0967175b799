//! The latest build of a recipe, as its roots in the store name it.
//!
//! A build that fails or is cut short keeps what it finished beside what the latest complete build needs, never in
//! its place: a typo must not hand good results to collection.

use std::collections::{BTreeMap, BTreeSet};

use artifact_store::{ActionKey, Closure, Digest, OutputKind, Root, Store};

use crate::derivation::StepKind;
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
    /// Every point was attempted; some have a result, some failed.
    Ended,
    /// Some points were not attempted, or none has a result.
    Cut,
}

/// The root of a part of a recipe's builds.
fn root_name(recipe: &str, part: &str) -> String {
    format!("{PREFIX}{recipe}/{part}")
}

/// The roots to set for a build in which every point has a result. What incomplete builds left is of no more use.
pub(super) fn roots_of_complete(recipe: &str, targets: Targets) -> Vec<(String, Root)> {
    let closure = |part| (root_name(recipe, part), Root::now(targets.closure, OutputKind::Closure));
    let mut roots = shown(recipe, targets);
    roots.extend([closure(COMPLETE), closure(INCOMPLETE)]);
    roots
}

/// The roots to set for any other build: its closure, which holds what earlier incomplete builds finished too, and
/// what is shown of it when there is something to show.
pub(super) fn roots_of_incomplete(recipe: &str, targets: Targets, extent: Extent) -> Vec<(String, Root)> {
    let mut roots = if extent == Extent::Cut { Vec::new() } else { shown(recipe, targets) };
    roots.push((root_name(recipe, INCOMPLETE), Root::now(targets.closure, OutputKind::Closure)));
    roots
}

fn shown(recipe: &str, targets: Targets) -> Vec<(String, Root)> {
    let blob = |part, digest| (root_name(recipe, part), Root::now(digest, OutputKind::Blob));
    vec![blob(INDEX, targets.index), blob(REPORT, targets.report)]
}

/// Whether the store's roots are these already.
pub(super) fn hold(store: &Store, roots: &[(String, Root)]) -> Result<bool> {
    for (name, root) in roots {
        if store.root(name)?.is_none_or(|held| held.target != root.target) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What incomplete builds since the latest complete one have finished.
pub(super) fn finished_before(store: &Store, recipe: &str) -> Result<Option<Closure>> {
    let Some(root) = store.root(&root_name(recipe, INCOMPLETE))? else { return Ok(None) };
    // A damaged list is no reason to refuse a build; what it listed is found again by key.
    Ok(store.get(&root.target)?.and_then(|bytes| Closure::decode(&bytes).ok()))
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

    /// The latest builds of all recipes, by name: `None` where no build had a result to show, an error where the
    /// report is damaged.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn all(store: &Store) -> Result<BTreeMap<String, Result<Option<Self>>>> {
        let roots = store.roots()?;
        let recipe_of = |name: &str| Some(name.strip_prefix(PREFIX)?.rsplit_once('/')?.0.to_owned());
        let recipes: BTreeSet<String> = roots.iter().filter_map(|(name, _)| recipe_of(name)).collect();
        Ok(recipes
            .into_iter()
            .map(|recipe| {
                let build = Self::load(store, &recipe);
                (recipe, build)
            })
            .collect())
    }

    /// The runs that the results of a recipe's latest build came from, in the order of its points, each once.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn runs(store: &Store, recipe: &str) -> Result<Vec<ActionKey>> {
        let index = index(store, recipe)?.unwrap_or_default();
        let mut seen = BTreeSet::new();
        Ok(index.keys().filter_map(|keys| keys[StepKind::Run]).filter(|run| seen.insert(*run)).collect())
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

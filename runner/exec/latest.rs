//! The latest build of a recipe, as its roots in the store name it.
//!
//! A build that fails or is cut short keeps what it finished beside what the latest complete build needs, never in
//! its place: a typo must not hand good results to collection.

use std::collections::BTreeSet;

use artifact_store::{ActionKey, ActionRecord, Closure, Digest, OutputKind, Root, Store};

use crate::derivation::{PerStep, StepKind};
use crate::error::{Error, ErrorKind, Result};
use crate::report::{Index, Report};

use super::build::CLOSURE;
use super::known::KnownRecipe;

pub(super) const REPORT: &str = "report.json";
pub(super) const INDEX: &str = "index.json";
pub(super) const COMPLETE: &str = "complete";
pub(super) const INCOMPLETE: &str = "incomplete";

/// The digests that a recipe's roots hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Targets {
    pub(super) report: Digest,
    pub(super) index: Digest,
    pub(super) closure: Digest,
}

impl Targets {
    /// Those of a record, if it is that of a whole build. Names alone do not make one: it may come from elsewhere.
    pub(super) fn of(record: &ActionRecord) -> Option<Self> {
        let target = |name, kind| {
            let output = record.outputs.get(name)?;
            (output.kind == kind).then_some(output.digest)
        };
        Some(Self {
            report: target(REPORT, OutputKind::Blob)?,
            index: target(INDEX, OutputKind::Blob)?,
            closure: target(CLOSURE, OutputKind::Closure)?,
        })
    }
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

/// The roots to set for a build in which every point has a result. What incomplete builds left is of no more use.
pub(super) fn roots_of_complete(recipe: &KnownRecipe, targets: Targets) -> Vec<(String, Root)> {
    let closure = |part| recipe.root_to_set(part, targets.closure, OutputKind::Closure);
    let mut roots = shown(recipe, targets);
    roots.extend([closure(COMPLETE), closure(INCOMPLETE)]);
    roots
}

/// The roots to set for any other build: its closure, which holds what earlier incomplete builds finished too, and
/// what is shown of it when there is something to show.
pub(super) fn roots_of_incomplete(
    recipe: &KnownRecipe,
    targets: Targets,
    extent: Extent,
) -> Vec<(String, Root)> {
    let mut roots = if extent == Extent::Cut { Vec::new() } else { shown(recipe, targets) };
    roots.push(recipe.root_to_set(INCOMPLETE, targets.closure, OutputKind::Closure));
    roots
}

fn shown(recipe: &KnownRecipe, targets: Targets) -> Vec<(String, Root)> {
    let blob = |part, digest| recipe.root_to_set(part, digest, OutputKind::Blob);
    vec![blob(INDEX, targets.index), blob(REPORT, targets.report)]
}

/// Removes the roots that versions without places have set for recipes of this name: what they named is what the build
/// that has just come to its end replaces.
pub(super) fn forget_placeless(store: &Store, recipe: &KnownRecipe) -> Result<()> {
    let placeless = KnownRecipe { place: String::new(), file: String::new(), ..recipe.clone() };
    forget(store, &placeless)
}

/// Removes the roots of a recipe of which a complete build is known.
pub(super) fn forget(store: &Store, recipe: &KnownRecipe) -> Result<()> {
    if store.root(&recipe.root_name(COMPLETE))?.is_some() {
        for part in [COMPLETE, INCOMPLETE, REPORT, INDEX] {
            store.remove_root(&recipe.root_name(part))?;
        }
    }
    Ok(())
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
pub(super) fn finished_before(store: &Store, recipe: &KnownRecipe) -> Result<Option<Closure>> {
    let Some(root) = store.root(&recipe.root_name(INCOMPLETE))? else { return Ok(None) };
    // A damaged list is no reason to refuse a build; what it listed is found again by key.
    Ok(store.get(&root.target)?.and_then(|bytes| Closure::decode(&bytes).ok()))
}

/// The index of a recipe's latest build. `None` when there is none, or none that this version can read.
pub(super) fn index(store: &Store, recipe: &KnownRecipe) -> Result<Option<Index>> {
    let root = store.root(&recipe.root_name(INDEX))?;
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
    /// The latest build of a recipe. `None` where no build had a result to show.
    ///
    /// # Errors
    /// When the store cannot be read, or the report is damaged.
    pub fn load(store: &Store, recipe: &KnownRecipe) -> Result<Option<Self>> {
        store.root(&recipe.root_name(REPORT))?.map(|root| Self::read(store, &root)).transpose()
    }

    /// The runs that the results of a recipe's latest build came from, in the order of its points, each once.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn runs(store: &Store, recipe: &KnownRecipe) -> Result<Vec<ActionKey>> {
        let index = index(store, recipe)?.unwrap_or_default();
        let mut seen = BTreeSet::new();
        Ok(index.keys().filter_map(|keys| keys[StepKind::Run]).filter(|run| seen.insert(*run)).collect())
    }

    /// The names and keys of the points of a recipe's latest build, in their order.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn points(store: &Store, recipe: &KnownRecipe) -> Result<Vec<(String, PerStep<Option<ActionKey>>)>> {
        let index = index(store, recipe)?.unwrap_or_default();
        let names = index.points.iter().map(|(name, _)| name.clone());
        Ok(names.zip(index.keys()).collect())
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

#[cfg(test)]
mod tests {
    use artifact_store::{Blob, Options, Publication};

    use super::*;

    #[test]
    fn roots_without_a_place_are_found_until_a_complete_build_of_that_name_replaces_them() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("store"), &Options::default()).unwrap();
        let blob = Blob::new(b"{}".to_vec());
        let targets = Targets { report: blob.digest(), index: blob.digest(), closure: blob.digest() };
        let recipe = |place: &str| KnownRecipe {
            name: "study".to_owned(),
            place: place.to_owned(),
            file: String::new(),
        };
        let build = |place: &str| {
            let roots = roots_of_complete(&recipe(place), targets);
            let blobs = vec![blob.clone()];
            store.publish(Publication { blobs, roots, ..Publication::default() }).wait().unwrap();
        };
        let found = || KnownRecipe::find(&store, "study").unwrap().map(|recipe| recipe.place);

        build("");
        assert_eq!(found().as_deref(), Some(""));
        build("0123456789ab");
        assert_eq!(found().as_deref(), Some("0123456789ab"), "a place comes before none");
        forget_placeless(&store, &recipe("0123456789ab")).unwrap();
        let names: Vec<String> = store.roots().unwrap().into_iter().map(|(name, _)| name).collect();
        assert!(names.iter().all(|name| name.starts_with("recipe/study/0123456789ab/")), "{names:?}");
        assert_eq!(names.len(), 4);

        build("ba9876543210");
        let error = KnownRecipe::find(&store, "study").unwrap_err();
        assert!(error.message().contains("2 recipes in different places"), "{error}");
        let one = KnownRecipe::find(&store, "study@ba9").unwrap().unwrap();
        assert_eq!(one.to_string(), "study@ba9876543210");
        assert_eq!(KnownRecipe::find(&store, "stud").unwrap(), None);
    }
}

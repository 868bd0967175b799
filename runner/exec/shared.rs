//! Builds on their way between stores: what a recipe stands for when it is sent, and which roots keep what came.
//!
//! Depends on the store's roots and records. Must never know how anything travels.

use std::collections::HashSet;

use artifact_store::remote::Selection;
use artifact_store::{ActionKey, Blob, Closure, Digest, OutputKind, Publication, Root, Store};

use crate::error::{Error, ErrorKind, Result};
use crate::recipe::Recipe;
use crate::report::Report;
use crate::steps::{PluginPath, Sources};

use super::build::derivation;
use super::known::KnownRecipe;
use super::latest::{self, COMPLETE, INCOMPLETE, Targets};

/// What the roots of what came and is no build are called before the digest.
const RECEIVED: &str = "received/";

/// How many digits of a key or digest stand for it in the name of a root.
const NAME_DIGITS: usize = 12;

/// The action that is the whole build of a recipe as its files are now; the store is where policies are looked for last.
///
/// # Errors
/// When the recipe's files cannot be read.
pub fn build_key(store: Option<&Store>, recipe: &Recipe, plugins: &PluginPath) -> Result<ActionKey> {
    Ok(derivation(&Sources::read(recipe, plugins, store)?).key)
}

/// What the builds of a recipe need: the latest complete one, and what incomplete ones have finished since.
///
/// # Errors
/// When the store cannot be read, or no build of the recipe has finished anything.
pub fn selection_of(store: &Store, recipe: &KnownRecipe) -> Result<Selection> {
    let mut outputs = Vec::new();
    for part in [COMPLETE, INCOMPLETE] {
        outputs.extend(store.root(&recipe.root_name(part))?.map(|root| (root.kind, root.target)));
    }
    outputs.dedup();
    if outputs.is_empty() {
        return Err(Error::new(ErrorKind::Usage, format!("the store has no build of `{recipe}`"))
            .hint("build it first, or `astra-store ls` lists the recipes"));
    }
    Ok(Selection { outputs, ..Selection::default() })
}

/// The actions behind what a recipe's builds need.
///
/// # Errors
/// As for [`selection_of`], or a list among it is damaged.
pub fn actions_of(store: &Store, recipe: &KnownRecipe) -> Result<Vec<ActionKey>> {
    let mut actions = Vec::new();
    for (_, digest) in selection_of(store, recipe)?.outputs {
        actions.extend(closure(store, &digest)?.actions());
    }
    actions.sort_unstable();
    actions.dedup();
    Ok(actions)
}

fn closure(store: &Store, digest: &Digest) -> Result<Closure> {
    let bytes = store.get(digest)?.ok_or_else(|| {
        Error::new(ErrorKind::Store, format!("list {digest} is damaged or gone"))
            .hint("build the recipe again")
    })?;
    Ok(Closure::decode(&bytes)?)
}

/// What became of what came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Recipes of which a complete build came, by name and place.
    pub recipes: Vec<KnownRecipe>,
    /// Roots that were set for them and for the rest.
    pub roots: u64,
}

/// Sets roots for a selection that came from `origin`, as far as it is here, so that collection keeps it: for each complete
/// build those of its recipe, in a place of its own; for the rest one named after what it is. Hold a session from
/// before it came.
///
/// # Errors
/// When the store cannot be read or written.
pub fn adopt(store: &Store, selection: &Selection, origin: &str) -> Result<Adopted> {
    let mut loose = Loose::find(store, selection)?;
    let mut adopted = Adopted::default();
    let mut publication = Publication::default();
    let known = KnownRecipe::all(store)?;
    for key in loose.actions.clone() {
        let Some((name, targets)) = complete_build(store, &key)? else { continue };
        loose.is_kept_by(store, &targets)?;
        let mut is_here = false;
        for recipe in known.iter().filter(|recipe| recipe.name == name) {
            is_here |= recipe.complete_build(store)?.is_some_and(|root| root.target == targets.closure);
        }
        if !is_here {
            let recipe = stand_in(name, &key, origin);
            publication.roots.extend(latest::roots_of_complete(&recipe, targets));
            adopted.recipes.push(recipe);
        }
    }
    loose.root(store, origin, &mut publication)?;
    adopted.roots = publication.roots.len() as u64;
    if adopted.roots > 0 {
        store.publish(publication).wait()?;
    }
    Ok(adopted)
}

/// The recipe as which a build is known here that came from elsewhere.
fn stand_in(name: String, key: &ActionKey, origin: &str) -> KnownRecipe {
    let mut place = key.to_string();
    place.truncate(NAME_DIGITS);
    KnownRecipe { name, place, file: super::known::note(origin) }
}

/// Removes the roots that [`adopt`] has set for this build: it has just been built here, and has roots of its own.
pub(super) fn forget_stand_in(store: &Store, recipe: &KnownRecipe, key: &ActionKey) -> Result<()> {
    let stand_in = stand_in(recipe.name.clone(), key, "");
    if stand_in.place != recipe.place {
        latest::forget(store, &stand_in)?;
    }
    Ok(())
}

/// The recipe's name and what to root, if this action is a whole build that is here.
fn complete_build(store: &Store, key: &ActionKey) -> Result<Option<(String, Targets)>> {
    // A record is read without what belongs to it: most actions are no builds.
    let Some(record) = store.record(key)? else { return Ok(None) };
    let Some(targets) = Targets::of(&record) else { return Ok(None) };
    if store.hit(key)?.is_none() {
        return Ok(None);
    }
    let report = store.get(&targets.report)?.and_then(|bytes| Report::decode(&bytes).ok());
    // Whoever sent it may call a recipe what no recipe can be called.
    let name = report.map(|report| report.recipe).filter(|name| Recipe::is_name(name));
    Ok(name.map(|name| (name, targets)))
}

/// What came and has no root yet.
struct Loose {
    actions: Vec<ActionKey>,
    outputs: Vec<(OutputKind, Digest)>,
}

impl Loose {
    /// As far as it is here. What lists here list counts as coming with them.
    fn find(store: &Store, selection: &Selection) -> Result<Self> {
        let mut actions = Vec::new();
        let mut outputs = Vec::new();
        for (kind, digest) in &selection.outputs {
            match kind {
                _ if !store.missing(&[*digest])?.is_empty() => {}
                OutputKind::Closure => {
                    let listed = closure(store, digest)?;
                    actions.extend(listed.actions());
                    outputs.extend(listed.blobs().iter().map(|blob| (OutputKind::Blob, *blob)));
                }
                OutputKind::Blob | OutputKind::Tree => outputs.push((*kind, *digest)),
            }
        }
        actions.extend(&selection.actions);
        actions.sort_unstable();
        actions.dedup();
        outputs.sort_unstable();
        outputs.dedup();
        Ok(Self { actions, outputs })
    }

    /// Takes out what the roots of a build keep.
    fn is_kept_by(&mut self, store: &Store, targets: &Targets) -> Result<()> {
        let closure = closure(store, &targets.closure)?;
        let actions: HashSet<&ActionKey> = closure.actions().iter().collect();
        let mut blobs: HashSet<&Digest> = closure.blobs().iter().collect();
        blobs.extend([&targets.report, &targets.index, &targets.closure]);
        self.actions.retain(|key| !actions.contains(key));
        self.outputs.retain(|(kind, digest)| *kind == OutputKind::Tree || !blobs.contains(digest));
        Ok(())
    }

    /// Adds roots for what is left.
    fn root(self, store: &Store, origin: &str, publication: &mut Publication) -> Result<()> {
        let mut set = |kind, digest: Digest| -> Result<()> {
            let name = format!("{RECEIVED}{}/content", &digest.to_string()[..NAME_DIGITS]);
            if store.root(&name)?.is_none_or(|root| root.target != digest) {
                let root = Root::now(digest, kind).with_note(super::known::note(origin));
                publication.roots.push((name, root));
            }
            Ok(())
        };
        let mut actions = Vec::new();
        for key in self.actions {
            if store.hit(&key)?.is_some() {
                actions.push(key);
            }
        }
        let (trees, blobs): (Vec<_>, Vec<_>) =
            self.outputs.into_iter().partition(|(kind, _)| *kind == OutputKind::Tree);
        trees.into_iter().try_for_each(|(kind, digest)| set(kind, digest))?;
        let blobs: Vec<Digest> = blobs.into_iter().map(|(_, digest)| digest).collect();
        let missing: HashSet<Digest> = store.missing(&blobs)?.into_iter().collect();
        let blobs: Vec<Digest> = blobs.into_iter().filter(|digest| !missing.contains(digest)).collect();
        if !(actions.is_empty() && blobs.is_empty()) {
            let list = Blob::new(Closure::new(actions, blobs).encode());
            set(OutputKind::Closure, list.digest())?;
            publication.blobs.push(list);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use artifact_store::{ActionRecord, NewAction, Options, Output};

    use super::super::build::CLOSURE;
    use super::super::latest::{INDEX, REPORT};
    use super::*;

    #[test]
    fn an_action_that_only_calls_its_outputs_like_those_of_a_build_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("store"), &Options::default()).unwrap();
        let blob = Blob::new(*b"words");
        let output = Output { digest: blob.digest(), len: blob.len(), kind: OutputKind::Blob };
        let outputs = [REPORT, INDEX, CLOSURE].map(|name| (name.to_owned(), output.clone())).into();
        let action = NewAction::received(b"step".to_vec(), ActionRecord { outputs });
        let key = *action.key();
        store.publish(Publication { blobs: vec![blob], action: Some(action), ..Publication::default() });
        let adopted = adopt(&store, &Selection::actions([key]), "elsewhere").unwrap();
        assert_eq!((adopted.recipes.len(), adopted.roots), (0, 1));
    }
}

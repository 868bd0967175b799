//! What `push` and `export` are told to send.

use std::path::Path;

use artifact_store::remote::Selection;
use artifact_store::{Found, Store};

use crate::error::Result;
use crate::exec::{KnownRecipe, selection_of};
use crate::recipe::Recipe;

use super::{locate, pin};

/// What these names stand for: recipes by name or file, anything else by the beginning of its digest. Without names,
/// everything.
pub(super) fn selected(store: &Store, names: &[String]) -> Result<Selection> {
    if names.is_empty() {
        return Ok(Selection::everything(store)?);
    }
    let mut selection = Selection::default();
    for name in names {
        let part = one(store, name)?;
        selection.actions.extend(part.actions);
        selection.outputs.extend(part.outputs);
    }
    Ok(selection)
}

fn one(store: &Store, name: &str) -> Result<Selection> {
    if let Some(recipe) = KnownRecipe::find(store, name)? {
        return selection_of(store, &recipe);
    }
    if Path::new(name).is_file() {
        return selection_of(store, &KnownRecipe::of(&Recipe::load(Path::new(name))?));
    }
    if !locate::is_digest(name) {
        return Err(locate::unknown_recipe(store, name)?);
    }
    Ok(match locate::find(store, name)? {
        Found::Action(key) => Selection::actions([key]),
        Found::Blob(digest) => {
            let outputs = vec![(pin::kind_of(store, &digest)?, digest)];
            Selection { outputs, ..Selection::default() }
        }
    })
}

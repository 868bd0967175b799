//! Which recipes a store knows, and how it tells them apart: by name, and by where the recipe's file lies.
//!
//! The place is part of a root's name and nothing else: no key and no artifact holds it, so equal recipes in two
//! directories share all that they compute and still keep a root each.

use std::collections::BTreeMap;
use std::fmt;

use artifact_store::{Digest, OutputKind, Root, Store};

use crate::error::{Error, ErrorKind, Result};
use crate::recipe::Recipe;

const PREFIX: &str = "recipe/";

/// How many hex digits of the digest of a path stand for it.
const PLACE_DIGITS: usize = 12;

/// The note of a root has to stay below the store's limit.
const MAX_FILE_BYTES: usize = 1000;

/// A recipe as a store knows it. `Display` gives a form that [`KnownRecipe::find`] finds: `NAME@PLACE`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KnownRecipe {
    /// The name that the recipe gives itself.
    pub name: String,
    /// Stands for where the file lies, in hex; empty for what a version without places has built.
    pub place: String,
    /// The path of the file, for people; empty where it is not known.
    pub file: String,
}

impl KnownRecipe {
    /// A recipe that was read from a file.
    pub fn of(recipe: &Recipe) -> Self {
        // A recipe that was read from memory has the name of a file that need not be there.
        let path = std::fs::canonicalize(recipe.file()).unwrap_or_else(|_| recipe.file().into());
        let mut place = Digest::of(path.as_os_str().as_encoded_bytes()).to_string();
        place.truncate(PLACE_DIGITS);
        let mut file = path.display().to_string().replace(char::is_control, "?");
        while file.len() > MAX_FILE_BYTES {
            file.pop();
        }
        Self { name: recipe.name().to_owned(), place, file }
    }

    /// Every recipe that a root names, by name and place.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn all(store: &Store) -> Result<Vec<Self>> {
        let mut found: BTreeMap<(String, String), String> = BTreeMap::new();
        for (root_name, root) in store.roots()? {
            if let Some((name, place)) = parse(&root_name) {
                found.insert((name.to_owned(), place.to_owned()), root.note);
            }
        }
        Ok(found.into_iter().map(|((name, place), file)| Self { name, place, file }).collect())
    }

    /// The recipe of this name, or `NAME@PLACE` with a beginning of the place. `None` when the store knows none. Of
    /// those that a version without places has built the name stands only where there is no other.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] when several are meant; when the store cannot be read.
    pub fn find(store: &Store, wanted: &str) -> Result<Option<Self>> {
        let (name, place) = wanted.split_once('@').unwrap_or((wanted, ""));
        let known = Self::all(store)?;
        let mut found: Vec<Self> =
            known.into_iter().filter(|r| r.name == name && r.place.starts_with(place)).collect();
        if found.len() > 1 {
            found.retain(|recipe| !recipe.place.is_empty());
        }
        if found.len() > 1 {
            let places: Vec<String> = found.iter().map(|r| format!("{r} ({})", r.file)).collect();
            return Err(Error::new(
                ErrorKind::Usage,
                format!("`{wanted}` stands for {} recipes in different places", found.len()),
            )
            .hint(format!("name one of them: {}", places.join(", "))));
        }
        Ok(found.pop())
    }

    /// The name of the root of a part of this recipe's builds.
    pub(super) fn root_name(&self, part: &str) -> String {
        let Self { name, place, .. } = self;
        if place.is_empty() {
            format!("{PREFIX}{name}/{part}")
        } else {
            format!("{PREFIX}{name}/{place}/{part}")
        }
    }

    /// Whether the root of this name belongs to this recipe.
    pub fn owns(&self, root_name: &str) -> bool {
        parse(root_name) == Some((&self.name, &self.place))
    }

    pub(super) fn root_to_set(&self, part: &str, target: Digest, kind: OutputKind) -> (String, Root) {
        (self.root_name(part), Root::now(target, kind).with_note(self.file.as_str()))
    }

    /// What the latest complete build needs, as a root says it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn complete_build(&self, store: &Store) -> Result<Option<Root>> {
        Ok(store.root(&self.root_name(super::latest::COMPLETE))?)
    }
}

impl fmt::Display for KnownRecipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if self.place.is_empty() { Ok(()) } else { write!(f, "@{}", self.place) }
    }
}

/// Name and place of the recipe that a root belongs to. Names of recipes have no `/`.
fn parse(root_name: &str) -> Option<(&str, &str)> {
    let (group, _part) = root_name.strip_prefix(PREFIX)?.rsplit_once('/')?;
    Some(group.split_once('/').unwrap_or((group, "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_of_a_recipe_says_whose_it_is_with_and_without_a_place() {
        for place in ["", "0123456789ab"] {
            let recipe = KnownRecipe { name: "a.b".into(), place: place.into(), file: String::new() };
            assert_eq!(parse(&recipe.root_name("report.json")), Some(("a.b", place)));
        }
        assert_eq!(parse("pin/x"), None);
    }
}

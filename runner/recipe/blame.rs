//! Where an error about a point belongs that shows only once its hardware file is read: in the recipe, or in that file.
//!
//! Knows points and places; what is wrong is said elsewhere, with the key of the hardware file or of the recipe.

use super::patched::below;
use super::place::{Fault, Step, reworded};
use super::points::Point;
use super::sweep::Part;
use crate::Error;

impl Point {
    /// Gives an error about this point its file. What a value of the sweep put into the hardware document is at fault
    /// where it stands in the recipe; what stands in a hardware file has its line already.
    #[must_use]
    pub fn blame(&self, error: Error) -> Error {
        let path = error.key_path().map(steps).unwrap_or_default();
        let first = |key: &str| path.first().is_some_and(|step| step.matches(key));
        if Part::ALL.iter().any(|(key, part)| *part != Part::Hw && first(key)) {
            return error.in_file(&self.source.file);
        }
        let swept = || {
            let patches = self.hw_patches.iter().zip(&*self.hw_origins);
            // Inner paths are applied last, so the last one that holds the key has set the value.
            patches.rev().find_map(|((patch, _), origin)| Some((origin, inside(&path, patch)?)))
        };
        match error.position().is_none().then(swept).flatten() {
            None => error.in_file(&self.hw),
            Some((origin, rest)) => {
                let path = [origin.steps().as_slice(), rest].concat();
                let message = format!("in {}: {}", self.hw, error.message());
                Fault { path, error: reworded(&error, message) }.into_error(&self.source)
            }
        }
    }
}

/// The steps of a path below a dotted path that it goes through.
fn inside<'a>(path: &'a [Step], dotted: &str) -> Option<&'a [Step]> {
    (dotted.split('.').count() <= path.len()).then(|| below(path, dotted))?
}

/// The steps of a key path such as `network.dimensions[1].size`.
fn steps(key: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for segment in key.split('.') {
        let (name, indices) = segment.split_at(segment.find('[').unwrap_or(segment.len()));
        if !name.is_empty() {
            steps.push(Step::Key(name.to_owned()));
        }
        let indices = indices.split(['[', ']']).filter_map(|index| index.parse().ok());
        steps.extend(indices.map(Step::Index));
    }
    steps
}

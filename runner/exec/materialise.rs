//! Writing the files of a build where people and other programs can read them.

use std::path::Path;

use artifact_store::Store;

use crate::error::{Error, ErrorKind, Result};
use crate::files;
use crate::recipe::Recipe;
use crate::steps;

use super::Outcome;

/// Writes every point's files below `dir`: to `dir/<point>/`, or to `dir` itself when the recipe has one point.
/// Returns the number of files.
///
/// # Errors
/// When a file cannot be written, or the store no longer holds what the build named.
pub fn materialise(store: &Store, recipe: &Recipe, outcome: &Outcome, dir: &Path) -> Result<u64> {
    let points = recipe.points()?;
    let mut written = 0;
    for (point, keys) in points.iter().zip(outcome.index.keys()) {
        let dir = if points.len() == 1 { dir.to_owned() } else { dir.join(directory_name(&point.name)) };
        for (name, digest) in steps::point_files(store, point, &keys)? {
            let bytes = store.get(&digest)?.ok_or_else(|| {
                Error::new(ErrorKind::Store, format!("blob {digest} is no longer in the store"))
                    .hint("run the same command again")
            })?;
            files::write(&dir.join(name), &bytes)?;
            written += 1;
        }
    }
    Ok(written)
}

/// A point's name as the name of a directory: what separates paths becomes `_`.
fn directory_name(point: &str) -> String {
    point.replace(['/', '\\', ':'], "_")
}

//! Writing the files of a build where people and other programs can read them.

use std::path::Path;

use artifact_store::{Digest, Store};

use crate::error::Result;
use crate::files;
use crate::recipe::Recipe;
use crate::steps;

use super::Outcome;

/// In characters; file systems take 255 bytes.
const LONGEST_DIRECTORY_NAME: usize = 60;

/// Writes every point's files below `dir`: to `dir/<point>/`, or to `dir` itself when the recipe has one point.
/// Returns the number of files.
///
/// # Errors
/// When a file cannot be written, or the store no longer holds what the build named.
pub fn materialise(store: &Store, recipe: &Recipe, outcome: &Outcome, dir: &Path) -> Result<usize> {
    // Collection waits until the files are written.
    let _session = store.session()?;
    let points = recipe.points()?;
    let mut written = 0;
    for (point, keys) in points.iter().zip(outcome.index.keys()) {
        let dir = if points.len() == 1 { dir.to_owned() } else { dir.join(directory_name(&point.name)) };
        for (name, digest) in steps::point_files(store, point, &keys)?.into_all() {
            files::write(&dir.join(name), &steps::content(store, &digest)?)?;
            written += 1;
        }
    }
    Ok(written)
}

/// A point's name as the name of a directory. What file systems refuse becomes `_`, long names are cut; such a name
/// ends with the beginning of the digest of the point's own, so that two points never share a directory.
pub(super) fn directory_name(point: &str) -> String {
    let allowed =
        |c: char| if matches!(c, '/' | '\\' | ':' | '"' | '*' | '?' | '<' | '>' | '|') { '_' } else { c };
    let name: String = point.chars().map(allowed).take(LONGEST_DIRECTORY_NAME).collect();
    if name == point {
        return name;
    }
    format!("{name}-{}", &Digest::of(point.as_bytes()).to_string()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_never_share_a_directory() {
        assert_eq!(directory_name("size=1 MiB,ranks=8"), "size=1 MiB,ranks=8");
        assert_ne!(directory_name("case=a/b"), directory_name("case=a_b"));
        let [long, longer] = [300, 301].map(|n| directory_name(&"x".repeat(n)));
        assert_ne!(long, longer);
        assert!(long.len() < 128);
    }
}

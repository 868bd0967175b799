//! The file `FORMAT`: which version of the layout a directory has. Written last when a store is made, so a
//! directory that has it has everything.

use crate::db;
use crate::error::{Error, ErrorKind, Result};
use crate::sharing;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// The version that this program writes; it reads those before, too. Format 1 had no history of roots, no notes, and
/// did not know when something was written or used; format 2 had no signatures, and its rows of records no check.
pub(crate) const VERSION: u32 = 3;

const FILE: &str = "FORMAT";

/// Where the file is written before it gets its name.
const TEMPORARY: &str = "FORMAT.new";

/// Refuses what is there and no directory.
pub(crate) fn expect_directory(directory: &Path) -> Result<()> {
    if fs::metadata(directory).is_ok_and(|found| !found.is_dir()) {
        return Err(Error::new(ErrorKind::NotAStore, "this is a file, expected the directory of a store")
            .at(directory)
            .hint("name a store, an empty directory, or one that does not exist yet"));
    }
    Ok(())
}

/// The version that the file says, if it is there.
///
/// # Errors
/// A newer version, or a file that does not say one.
pub(crate) fn check(directory: &Path) -> Result<Option<u32>> {
    let path = directory.join(FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) if e.kind() == io::ErrorKind::InvalidData => {
            return Err(unreadable(&path, "bytes that are not text"));
        }
        Err(e) => return Err(Error::io("read the file", &path, &e)),
    };
    let first = text.lines().next().unwrap_or_default();
    match first.strip_prefix("format ").and_then(|version| version.parse::<u32>().ok()) {
        Some(version @ 1..=VERSION) => Ok(Some(version)),
        Some(newer) if newer > VERSION => Err(Error::new(
            ErrorKind::NewerFormat,
            format!("this store has format {newer}; this program knows formats up to {VERSION}"),
        )
        .at(directory)
        .hint("use a newer version of this program, or name another store")),
        _ if first.starts_with("remote ") => {
            Err(Error::new(ErrorKind::NotAStore, "this is a remote and not a store")
                .at(directory)
                .hint("a push and a pull take it; name the directory of a store here"))
        }
        _ => Err(unreadable(&path, &format!("{first:?}"))),
    }
}

fn unreadable(path: &Path, found: &str) -> Error {
    Error::corrupt(format!("found {found} where `format {VERSION}` was expected")).at(path).hint(
        "if this is a store, restore the file from where the store was copied; else name another directory",
    )
}

/// Writes the file in one step: another process sees all of it or none.
pub(crate) fn write(directory: &Path) -> Result<()> {
    let path = directory.join(FILE);
    let temporary = directory.join(TEMPORARY);
    let text =
        format!("format {VERSION}\n{}\ncreated by artifact-store {}\n", db::MODE, env!("CARGO_PKG_VERSION"));
    let written = fs::File::create(&temporary).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written
        .and_then(|()| fs::rename(&temporary, &path))
        .map_err(|e| Error::io("write the file", &path, &e))?;
    sharing::as_its_directory(&path);
    Ok(())
}

/// What the file says beside the version: how the database is shared, and what made it.
pub(crate) fn describe(directory: &Path) -> String {
    let text = fs::read_to_string(directory.join(FILE)).unwrap_or_default();
    text.lines().collect::<Vec<_>>().join(", ")
}

/// Refuses to make a store among somebody else's files; what an interrupted attempt left is fine, and so is what
/// another process makes at this moment.
pub(crate) fn check_vacant(directory: &Path, ours: &[&str]) -> Result<()> {
    let entries = fs::read_dir(directory).map_err(|e| Error::io("read the directory", directory, &e))?;
    for entry in entries {
        let name = entry.map_err(|e| Error::io("read the directory", directory, &e))?.file_name();
        if name != FILE && name != TEMPORARY && !ours.iter().any(|our| name == *our) {
            return Err(Error::new(
                ErrorKind::NotAStore,
                format!("this is not a store: it has no file {FILE}, but contains {name:?}"),
            )
            .at(directory)
            .hint("name a store, an empty directory, or one that does not exist yet"));
        }
    }
    Ok(())
}

//! Directories that are written whole or not at all, and written again only where nobody else has put or changed anything.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use artifact_store::Digest;
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use crate::derivation::Hex;
use crate::error::{Error, ErrorKind, Result};
use crate::files;

/// What was written into a directory: a file in it.
const RECORD: &str = ".written-by-astra-store.json";

#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    /// Paths below the directory, with `/` between names.
    files: BTreeMap<String, Hex<Digest>>,
}

/// A directory on its way: its files are written beside its place, and take it all at once.
#[derive(Debug)]
pub struct NewDirectory {
    place: PathBuf,
    made: tempfile::TempDir,
    record: Record,
}

impl NewDirectory {
    /// Begins the directory `place`, which may be missing, empty, or written by this before and unchanged since.
    ///
    /// # Errors
    /// The place holds something else, which is named, or the working directory; or the system refuses.
    pub fn begin(place: &Path) -> Result<Self> {
        let full = |path: &Path| path.canonicalize().ok();
        if full(place).is_some_and(|place| full(Path::new(".")).is_some_and(|here| here.starts_with(place))) {
            return Err(taken(place, "it is replaced as a whole, and the working directory is in it"));
        }
        check_ours(place)?;
        let parent = place.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent).map_err(|e| files::unwritable(parent, &e))?;
        let mut builder = tempfile::Builder::new();
        // Temporary directories are made for their owner's eyes only; the directory that stays is an ordinary one.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        let made = builder.prefix(".astra-store-").tempdir_in(parent);
        let made = made.map_err(|e| files::unwritable(parent, &e))?;
        Ok(Self { place: place.to_owned(), made, record: Record::default() })
    }

    /// Writes a file; `name` is its path below the directory, with `/` between names.
    ///
    /// # Errors
    /// The system refuses.
    pub fn write(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        files::write(&self.made.path().join(name), bytes)?;
        self.record.files.insert(name.to_owned(), Hex(Digest::of(bytes)));
        Ok(())
    }

    /// How many files have been written.
    pub fn files(&self) -> usize {
        self.record.files.len()
    }

    /// Gives the directory its place.
    ///
    /// # Errors
    /// Somebody has put something there meanwhile, or the system refuses: then it is as it was.
    pub fn persist(self) -> Result<()> {
        let Self { place, made, record } = self;
        let text = serde_json::to_vec_pretty(&record).expect("a map of strings always encodes");
        files::write(&made.path().join(RECORD), &text)?;
        check_ours(&place)?;
        let refused = |e: std::io::Error| files::unwritable(&place, &e);
        if !place.exists() {
            return std::fs::rename(made.path(), &place).map_err(refused);
        }
        // A directory replaces only an empty one, so the old one steps aside, and back if that fails.
        let aside = made.path().with_extension("old");
        std::fs::rename(&place, &aside).map_err(refused)?;
        if let Err(e) = std::fs::rename(made.path(), &place) {
            std::fs::rename(&aside, &place).map_err(refused)?;
            return Err(refused(e));
        }
        // What it was is gone already; what is left of it would be no more than litter.
        drop(std::fs::remove_dir_all(aside));
        Ok(())
    }
}

/// Whether everything in a directory was written by this, and is as it was written.
fn check_ours(place: &Path) -> Result<()> {
    match std::fs::symlink_metadata(place) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(unreadable(place, &e)),
        Ok(there) if !there.is_dir() => return Err(taken(place, "it is no directory")),
        Ok(_) => {}
    }
    let record = std::fs::read(place.join(RECORD)).ok();
    let record: Record = record.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    for entry in WalkDir::new(place).min_depth(1).sort_by_file_name() {
        let entry = entry.map_err(|e| unreadable(place, &e))?;
        let Ok(name) = entry.path().strip_prefix(place) else { continue };
        if entry.file_type().is_dir() || name == Path::new(RECORD) {
            continue;
        }
        let name = name.to_string_lossy();
        let Some(written) = record.files.get(&*name) else {
            return Err(taken(place, &format!("it holds `{name}`, which was not written by this")));
        };
        let is_same = entry.file_type().is_file()
            && std::fs::read(entry.path()).is_ok_and(|bytes| Digest::of(&bytes) == written.0);
        if !is_same {
            return Err(taken(place, &format!("`{name}` in it has been changed since it was written")));
        }
    }
    Ok(())
}

fn unreadable(place: &Path, error: &dyn std::error::Error) -> Error {
    Error::new(ErrorKind::System, format!("cannot be read: {error}")).in_file(place.display())
}

fn taken(place: &Path, why: &str) -> Error {
    Error::new(ErrorKind::System, format!("not written, because {why}"))
        .in_file(place.display())
        .hint("name another directory, or move that one away")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(place: &Path, files: &[(&str, &str)]) -> Result<()> {
        let mut directory = NewDirectory::begin(place)?;
        files.iter().try_for_each(|(name, text)| directory.write(name, text.as_bytes()))?;
        directory.persist()
    }

    fn names(parent: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(parent).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn what_was_written_is_replaced_as_a_whole() {
        let parent = tempfile::tempdir().unwrap();
        let place = parent.path().join("out");
        write(&place, &[("a", "1"), ("deep/b", "2")]).unwrap();
        write(&place, &[("a", "3")]).unwrap();
        assert_eq!(std::fs::read_to_string(place.join("a")).unwrap(), "3");
        assert!(!place.join("deep").exists());
        assert_eq!(names(parent.path()), ["out"]);
    }

    #[test]
    fn what_others_have_put_there_or_changed_stays() {
        let parent = tempfile::tempdir().unwrap();
        let place = parent.path().join("out");
        write(&place, &[("a", "1")]).unwrap();
        std::fs::write(place.join("mine"), "mine").unwrap();
        let error = write(&place, &[("a", "2")]).unwrap_err();
        assert!(error.message().contains("`mine`, which was not written by this"), "{error}");
        std::fs::remove_file(place.join("mine")).unwrap();
        std::fs::write(place.join("a"), "mine").unwrap();
        let error = write(&place, &[("a", "2")]).unwrap_err();
        assert!(error.message().contains("`a` in it has been changed"), "{error}");
        assert_eq!(std::fs::read_to_string(place.join("a")).unwrap(), "mine");
        assert_eq!(names(parent.path()), ["out"]);
    }

    #[test]
    fn the_working_directory_is_not_replaced() {
        for place in [".", ".."] {
            let error = write(Path::new(place), &[("a", "1")]).unwrap_err();
            assert!(error.message().contains("the working directory is in it"), "{error}");
        }
    }

    #[test]
    fn a_directory_that_cannot_take_its_place_leaves_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let place = parent.path().join("out");
        let mut directory = NewDirectory::begin(&place).unwrap();
        directory.write("a", b"1").unwrap();
        std::os::unix::fs::symlink("nowhere", &place).unwrap();
        directory.persist().unwrap_err();
        assert_eq!(names(parent.path()), ["out"]);
        assert!(place.is_symlink());
    }

    #[test]
    fn a_directory_that_is_given_up_leaves_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let mut directory = NewDirectory::begin(&parent.path().join("out")).unwrap();
        directory.write("a", b"1").unwrap();
        drop(directory);
        assert_eq!(names(parent.path()), Vec::<String>::new());
    }
}

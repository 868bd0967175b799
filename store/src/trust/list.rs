//! The file `trust` beside a store: the public keys whose claims are believed, one per line with a name.

use crate::error::{Error, ErrorKind, Result};
use crate::sharing;
use crate::trust::PublicKey;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const FILE: &str = "trust";

/// Longest name of a trusted key, in bytes.
const MOST_NAME_BYTES: usize = 200;

/// A key that is believed, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trusted {
    /// The key.
    pub key: PublicKey,
    /// What its owner is called here.
    pub name: String,
}

/// The trusted keys of a store, in the order in which they were added.
#[derive(Clone, Debug)]
pub struct TrustList {
    path: PathBuf,
    entries: Vec<Trusted>,
}

impl TrustList {
    /// Reads the list of the store in this directory; there need not be one.
    ///
    /// # Errors
    /// The file cannot be read, or a line is not a key and a name.
    pub fn read(store: &Path) -> Result<Self> {
        let path = store.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
            Err(e) => {
                return Err(Error::new(ErrorKind::Io, format!("cannot read the trusted keys: {e}")).at(&path));
            }
        };
        let mut entries: Vec<Trusted> = Vec::new();
        for (i, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, name) = line.split_once(' ').unwrap_or((line, ""));
            let wrong = |e: Error| {
                Error::invalid(format!("line {}: {}", i + 1, e.message()))
                    .at(&path)
                    .hint("a line is a public key, a space and a name; remove or correct this one")
            };
            let trusted = Trusted { key: key.parse().map_err(wrong)?, name: name.trim().to_owned() };
            check_name(&trusted.name).map_err(wrong)?;
            if entries.iter().all(|entry| entry.key != trusted.key) {
                entries.push(trusted);
            }
        }
        Ok(Self { path, entries })
    }

    /// The keys and names.
    pub fn entries(&self) -> &[Trusted] {
        &self.entries
    }

    /// The keys.
    pub fn keys(&self) -> Vec<PublicKey> {
        self.entries.iter().map(|entry| entry.key).collect()
    }

    /// Adds a key, or gives one that is there another name, and writes the file.
    ///
    /// # Errors
    /// The name is not one line of text; the file cannot be written.
    pub fn add(&mut self, key: PublicKey, name: &str) -> Result<()> {
        check_name(name)?;
        match self.entries.iter_mut().find(|entry| entry.key == key) {
            Some(entry) => name.clone_into(&mut entry.name),
            None => self.entries.push(Trusted { key, name: name.to_owned() }),
        }
        self.write()
    }

    /// Removes a key by its digits or its name and writes the file; says which key that was.
    ///
    /// # Errors
    /// Nothing, or more than one key, is called so; the file cannot be written.
    pub fn remove(&mut self, key_or_name: &str) -> Result<PublicKey> {
        let is_it = |entry: &Trusted| entry.name == key_or_name || entry.key.to_string() == key_or_name;
        let found: Vec<usize> = (0..self.entries.len()).filter(|&i| is_it(&self.entries[i])).collect();
        match found[..] {
            [i] => {
                let removed = self.entries.remove(i);
                self.write()?;
                Ok(removed.key)
            }
            [] => Err(Error::invalid(format!("no trusted key is called `{key_or_name}`")).at(&self.path)),
            _ => Err(Error::invalid(format!("{} trusted keys are called `{key_or_name}`", found.len()))
                .at(&self.path)
                .hint("give the key itself")),
        }
    }

    /// Replaces the file in one step.
    fn write(&self) -> Result<()> {
        let mut text = String::from("# public keys whose records are believed\n");
        for Trusted { key, name } in &self.entries {
            text.push_str(&format!("{key} {name}\n"));
        }
        let directory = self.path.parent().unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        // Temporary files are made for their owner's eyes only; whoever may read the store reads this one.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let written = builder.tempfile_in(directory).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&self.path).map_err(|e| e.error)
        });
        written.map_err(|e| {
            Error::new(ErrorKind::Io, format!("cannot write the trusted keys: {e}")).at(&self.path)
        })?;
        sharing::as_its_directory(&self.path);
        Ok(())
    }
}

fn check_name(name: &str) -> Result<()> {
    if name.trim() != name || name.len() > MOST_NAME_BYTES || name.contains(char::is_control) {
        return Err(Error::invalid(format!(
            "{name:?} cannot be the name of a key: expected one line of at most {MOST_NAME_BYTES} bytes"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::SecretKey;

    #[test]
    fn keys_are_added_renamed_and_removed_by_name_or_digits() {
        let directory = tempfile::tempdir().unwrap();
        let [anna, ben] = [(); 2].map(|()| SecretKey::generate().unwrap().public());
        let mut list = TrustList::read(directory.path()).unwrap();
        assert!(list.entries().is_empty());
        list.add(anna, "anna").unwrap();
        list.add(ben, "ben at the lab").unwrap();
        list.add(anna, "Anna").unwrap();
        let mut read = TrustList::read(directory.path()).unwrap();
        assert_eq!(read.entries(), list.entries());
        assert_eq!(read.keys(), [anna, ben]);
        assert_eq!(read.remove("Anna").unwrap(), anna);
        assert!(read.remove("anna").unwrap_err().to_string().contains("no trusted key"));
        assert_eq!(read.remove(&ben.to_string()).unwrap(), ben);
        assert!(TrustList::read(directory.path()).unwrap().entries().is_empty());
    }

    #[test]
    fn a_line_that_is_no_key_is_named() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("trust"), "# fine\n\nnonsense anna\n").unwrap();
        let error = TrustList::read(directory.path()).unwrap_err().to_string();
        assert!(error.contains("line 3: `nonsense` is not a public key"), "{error}");
        let mut list = TrustList::read(&directory.path().join("elsewhere")).unwrap();
        assert!(list.add(SecretKey::generate().unwrap().public(), "two\nlines").is_err());
    }
}

//! A tree: a canonical list of named blobs, itself stored as a blob.
//!
//! Names are relative paths that stay below the directory they are written to; this is checked whenever a tree
//! is made or read, so that no later code has to.

use crate::digest::Digest;
use crate::encoding::{Decoder, Encoder, Magic};
use crate::error::{Error, Result};

const MAGIC: Magic = Magic { letters: b"tree", version: 1, what: "a tree" };

/// Longest name in bytes: no system opens a longer path.
const MAX_NAME_BYTES: usize = 4096;

/// One named blob of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeEntry {
    /// A relative path with `/` between its components.
    pub name: String,
    /// The blob.
    pub digest: Digest,
    /// Its length in bytes.
    pub len: u64,
}

/// Named blobs, sorted by name; equal content has equal bytes, hence one digest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    entries: Vec<TreeEntry>,
}

impl Tree {
    /// Sorts the entries.
    ///
    /// # Errors
    /// A name that is not a plain relative path, occurs twice, or is both a file and a directory.
    pub fn new(mut entries: Vec<TreeEntry>) -> Result<Self> {
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let tree = Self { entries };
        tree.check()?;
        Ok(tree)
    }

    /// The entries, ascending by the bytes of their names.
    pub fn entries(&self) -> &[TreeEntry] {
        &self.entries
    }

    /// The entry of that name.
    pub fn get(&self, name: &str) -> Option<&TreeEntry> {
        let found = self.entries.binary_search_by(|entry| entry.name.as_str().cmp(name));
        found.ok().map(|i| &self.entries[i])
    }

    /// The one encoding of this tree.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new(MAGIC);
        out.u64(self.entries.len() as u64);
        for entry in &self.entries {
            out.text(&entry.name);
            out.id(entry.digest.as_bytes());
            out.u64(entry.len);
        }
        out.finish()
    }

    /// Reads what [`Self::encode`] wrote, and nothing else.
    ///
    /// # Errors
    /// Bytes that are not the canonical encoding of a tree.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut input = Decoder::new(bytes, MAGIC)?;
        let count = input.count(8 + 32 + 8)?;
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            let name = input.text()?.to_owned();
            entries.push(TreeEntry { name, digest: Digest::from_bytes(input.id()?), len: input.u64()? });
        }
        if !entries.is_sorted_by(|a, b| a.name < b.name) {
            return Err(input.wrong("its names are not in ascending order"));
        }
        input.finish()?;
        let tree = Self { entries };
        tree.check()?;
        Ok(tree)
    }

    /// Holds for every tree: plain names, each once, none below another.
    fn check(&self) -> Result<()> {
        for pair in self.entries.windows(2) {
            if pair[0].name == pair[1].name {
                return Err(Error::invalid(format!("the name `{}` occurs twice in a tree", pair[0].name)));
            }
        }
        // The names that this one begins with, each of which the next begins with. One that a name does not begin with is the
        // beginning of none that follow.
        let mut beginnings: Vec<&str> = Vec::new();
        for TreeEntry { name, .. } in &self.entries {
            check_name(name)?;
            while beginnings.pop_if(|beginning| !name.starts_with(*beginning)).is_some() {}
            // Of a shorter beginning the longest, which begins with it too, has told.
            if let Some(file) = beginnings.last().filter(|file| name.as_bytes()[file.len()] == b'/') {
                return Err(Error::invalid(format!(
                    "a tree cannot hold both a file `{file}` and `{name}` below it"
                )));
            }
            beginnings.push(name);
        }
        Ok(())
    }
}

/// Refuses whatever could leave the directory that a tree is written to, on any system.
fn check_name(name: &str) -> Result<()> {
    if name.len() > MAX_NAME_BYTES {
        let len = name.len();
        return Err(Error::invalid(format!(
            "a name in a tree has {len} bytes; expected at most {MAX_NAME_BYTES}"
        )));
    }
    let bad_component = name.split('/').any(|part| matches!(part, "" | "." | ".."));
    let bad_character = name.contains(|c: char| c == '\\' || c == ':' || c.is_control());
    if bad_component || bad_character {
        return Err(Error::invalid(format!(
            "{name:?} cannot be a name in a tree: expected a relative path like `a/b.txt` without `.`, `..`, \
             empty parts, backslashes, colons and control characters"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> TreeEntry {
        TreeEntry { name: name.to_owned(), digest: Digest::of(name.as_bytes()), len: name.len() as u64 }
    }

    #[test]
    fn the_order_in_which_entries_are_given_does_not_matter() {
        let one = Tree::new(vec![entry("b"), entry("a/c"), entry("a/b")]).unwrap();
        let other = Tree::new(vec![entry("a/b"), entry("b"), entry("a/c")]).unwrap();
        assert_eq!(one.encode(), other.encode());
        assert_eq!(Tree::decode(&one.encode()).unwrap(), one);
        assert_eq!(one.get("a/c"), Some(&entry("a/c")));
        assert_eq!(one.get("a"), None);
    }

    #[test]
    fn a_name_cannot_leave_its_directory() {
        for name in ["", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "./a", "a\\b", "C:", "a\nb", "\0"] {
            assert!(Tree::new(vec![entry(name)]).is_err(), "{name:?} was accepted");
        }
    }

    #[test]
    fn a_name_is_there_once_and_is_a_file_or_a_directory() {
        assert!(Tree::new(vec![entry("a"), entry("a")]).is_err());
        assert!(Tree::new(vec![entry("a"), entry("a-b"), entry("a/b")]).is_err());
        assert!(Tree::new(vec![entry("a"), entry("a-b"), entry("a.b")]).is_ok());
        // Between a directory's file and what is below it lie names that begin like both, and one another.
        let files = ["a", "a!", "a!!", "a!b", "a-", "a-b/c", "a.b", "a0", "b"].map(entry);
        assert!(Tree::new(files.to_vec()).is_ok());
        for below in ["a/b", "a!/b", "a!!/x", "a-/x/y", "a-b/c/d", "a.b/c", "b/b"] {
            let error = Tree::new([&files[..], &[entry(below)]].concat()).unwrap_err().to_string();
            assert!(error.contains(&format!("`{below}` below it")), "{error}");
        }
    }

    #[test]
    fn a_name_is_no_longer_than_a_path_and_many_of_them_are_checked_in_no_time() {
        let longest = format!("{}b", "a/".repeat(2047));
        assert!(Tree::new(vec![entry(&longest)]).is_ok());
        let error = Tree::new(vec![entry(&format!("{longest}bb"))]).unwrap_err().to_string();
        assert!(error.contains("has 4097 bytes; expected at most 4096"), "{error}");
        // Each as deep as can be; compared with all others at every level it would take minutes.
        let many = (0..10_000).map(|n| entry(&format!("{}{n:05}", "a/".repeat(2045))));
        assert!(Tree::new(many.collect()).is_ok());
    }

    #[test]
    fn bytes_that_are_not_canonical_are_refused() {
        let good = Tree::new(vec![entry("a"), entry("b")]).unwrap().encode();
        let (head, first, second) = (&good[..13], &good[13..62], &good[62..]);
        assert!(Tree::decode(&[head, second, first].concat()).is_err(), "disorder was accepted");
        assert!(Tree::decode(&[&good[..], b"x"].concat()).is_err(), "a rest was accepted");
        for len in 0..good.len() {
            assert!(Tree::decode(&good[..len]).is_err(), "{len} of {} bytes were accepted", good.len());
        }
        let mut lying = good.clone();
        lying[5..13].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(Tree::decode(&lying).unwrap_err().to_string().contains("at most 2 fit"));
    }
}

//! Finds and reads the trace files of a bundle, `<prefix>.<rank>.et`, by prefix or by directory.
//!
//! The one place that knows what trace files are called on disk. Contents are handed on unread.

use artifact_store::SharedBytes;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::et::{Bundle, MAX_RANKS, TraceNames};
use crate::files;

/// How many names a message lists.
const MOST_NAMED: usize = 5;

/// The trace files of all ranks, equal ones once.
#[derive(Clone, Debug)]
pub struct TraceFiles {
    /// What the files are called, for messages.
    pub names: NamesOnDisk,
    /// The distinct contents, in the order in which ranks first have them; gzip is left as it is.
    pub files: Vec<SharedBytes>,
    /// For each rank the index of its content.
    pub file_of_rank: Vec<u32>,
}

/// What the trace files of a bundle are called where they were found.
#[derive(Clone, Debug, Default)]
pub struct NamesOnDisk {
    prefix: String,
    /// The ranks whose files are called `<prefix>.<rank>.et.gz`.
    compressed: BTreeSet<u32>,
}

impl From<&str> for NamesOnDisk {
    fn from(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), compressed: BTreeSet::new() }
    }
}

impl TraceNames for NamesOnDisk {
    fn prefix(&self) -> &str {
        &self.prefix
    }

    fn of_rank(&self, rank: u32) -> String {
        let ending = if self.compressed.contains(&rank) { ".gz" } else { "" };
        Bundle::file_name(&self.prefix, rank) + ending
    }
}

impl TraceFiles {
    /// Reads the files of ranks 0 to `ranks` - 1 with a prefix.
    ///
    /// # Errors
    /// The first file that is missing or cannot be read.
    pub fn of_ranks(prefix: &Path, ranks: u32) -> Result<Self> {
        let prefix = prefix.display().to_string();
        let paths = (0..ranks).map(|rank| PathBuf::from(Bundle::file_name(&prefix, rank)));
        Self::read(&prefix, paths)
    }

    /// Finds the files of a bundle by their prefix, or by the directory that holds them and those of no other bundle. A
    /// file may be compressed and called `<prefix>.<rank>.et.gz`.
    ///
    /// # Errors
    /// No file or files of several bundles, ranks without a file, and what cannot be read.
    pub fn find(path: &Path) -> Result<Self> {
        let (prefix, ranks) = if path.is_dir() { in_directory(path)? } else { with_prefix(path)? };
        let missing = missing(&ranks);
        if !missing.is_empty() {
            let file = Bundle::file_name(&prefix, missing[0]);
            let message =
                format!("no trace of {}; the last there is is of rank {}", listed(&missing), last(&ranks));
            return Err(Error::input(message)
                .in_file(&prefix)
                .hint(format!("every rank needs a file, such as {file}")));
        }
        Self::read(&prefix, ranks.into_values())
    }

    fn read(prefix: &str, paths: impl IntoIterator<Item = PathBuf>) -> Result<Self> {
        let mut known: BTreeMap<SharedBytes, u32> = BTreeMap::new();
        let mut traces = Self { names: prefix.into(), files: Vec::new(), file_of_rank: Vec::new() };
        for (rank, path) in (0..).zip(paths) {
            if path.extension().is_some_and(|extension| extension == "gz") {
                traces.names.compressed.insert(rank);
            }
            let bytes: SharedBytes = files::read(&path)?.into();
            let next = traces.files.len() as u32;
            let file = *known.entry(bytes.clone()).or_insert(next);
            if file == next {
                traces.files.push(bytes);
            }
            traces.file_of_rank.push(file);
        }
        Ok(traces)
    }
}

/// Files by rank.
type Ranks = BTreeMap<u32, PathBuf>;

/// The only bundle in a directory.
fn in_directory(directory: &Path) -> Result<(String, Ranks)> {
    let mut bundles = bundles(directory)?;
    let names: Vec<String> = bundles.keys().map(|name| format!("`{name}`")).collect();
    match (bundles.pop_first(), names.len()) {
        (Some((name, ranks)), 1) => Ok((directory.join(name).display().to_string(), ranks)),
        (None, _) => {
            let error = Error::input("no file in it is called <prefix>.<rank>.et");
            Err(error.in_file(directory.display()))
        }
        (Some((name, _)), count) => {
            let more = if count > MOST_NAMED { ", …" } else { "" };
            let names = names[..count.min(MOST_NAMED)].join(", ");
            let message = format!("it holds traces of {count} bundles: {names}{more}");
            let prefix = directory.join(name);
            Err(Error::input(message)
                .in_file(directory.display())
                .hint(format!("give the prefix of one, such as {}", prefix.display())))
        }
    }
}

fn with_prefix(prefix: &Path) -> Result<(String, Ranks)> {
    let directory = prefix.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = prefix.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut bundles = bundles(directory)?;
    if let Some(ranks) = bundles.remove(name) {
        return Ok((prefix.display().to_string(), ranks));
    }
    let error = Error::input(format!("there is no trace called {}", Bundle::file_name(name, 0)))
        .in_file(prefix.display());
    Err(match rank_of(name) {
        Some((of, _)) => {
            let of = prefix.with_file_name(of);
            error.hint(format!("give what comes before the rank: {}", of.display()))
        }
        None => error.suggest(name, bundles.keys().map(String::as_str)),
    })
}

/// The bundles that a directory has files of.
fn bundles(directory: &Path) -> Result<BTreeMap<String, Ranks>> {
    let mut bundles: BTreeMap<String, Ranks> = BTreeMap::new();
    let unreadable = |e: io::Error| {
        Error::input(format!("the directory cannot be read: {e}")).in_file(directory.display())
    };
    for (prefix, rank, path) in trace_files(directory).map_err(unreadable)? {
        let ranks = bundles.entry(prefix).or_default();
        let file = ranks.entry(rank).or_insert_with(|| path.clone());
        // Of a file that is there twice the one that every simulator can read counts.
        if path.extension().is_some_and(|extension| extension == "et") {
            *file = path;
        }
    }
    Ok(bundles)
}

/// The files in a directory that are called like traces, with prefix and rank.
fn trace_files(directory: &Path) -> io::Result<Vec<(String, u32, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let named = path.file_name().and_then(|name| rank_of(name.to_str()?));
        if let Some((prefix, rank)) = named.map(|(prefix, rank)| (prefix.to_owned(), rank)) {
            found.push((prefix, rank, path));
        }
    }
    Ok(found)
}

/// A file in a directory that would be taken for a trace of the bundle `<name>.<rank>.et` with some ranks and is none of
/// its files: of a further rank, or compressed.
///
/// # Errors
/// The directory, which is to be written to, is there and cannot be read.
pub fn left_over(directory: &Path, name: &str, ranks: u32) -> Result<Option<PathBuf>> {
    let found = match trace_files(directory) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found.map_err(|e| files::unwritable(directory, &e))?,
    };
    let mut left_over: Option<(u32, PathBuf)> = None;
    for (prefix, rank, path) in found {
        let is_own = rank < ranks && path.extension().is_some_and(|extension| extension == "et");
        if prefix == name && !is_own && left_over.as_ref().is_none_or(|(first, _)| rank < *first) {
            left_over = Some((rank, path));
        }
    }
    Ok(left_over.map(|(_, path)| path))
}

/// Prefix and rank in a file's name.
fn rank_of(name: &str) -> Option<(&str, u32)> {
    let (prefix, rank) = name.strip_suffix(".gz").unwrap_or(name).strip_suffix(".et")?.rsplit_once('.')?;
    // `x.07.et` and `x.+7.et` are no ranks: nothing writes such names, and nothing finds them again.
    let rank = rank.parse::<u32>().ok().filter(|number| *number < MAX_RANKS && number.to_string() == rank)?;
    Some((prefix, rank))
}

fn last(ranks: &Ranks) -> u32 {
    ranks.last_key_value().map_or(0, |(rank, _)| *rank)
}

fn missing(ranks: &Ranks) -> Vec<u32> {
    (0..last(ranks)).filter(|rank| !ranks.contains_key(rank)).collect()
}

/// `rank 1`, `ranks 1, 2, 3, 4, 5 and 7 more`.
fn listed(ranks: &[u32]) -> String {
    let named: Vec<String> = ranks.iter().take(MOST_NAMED).map(u32::to_string).collect();
    let plural = if ranks.len() > 1 { "s" } else { "" };
    let more = match ranks.len().checked_sub(MOST_NAMED) {
        Some(more @ 1..) => format!(" and {more} more"),
        _ => String::new(),
    };
    format!("rank{plural} {}{more}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(files: &[&str]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for name in files {
            std::fs::write(directory.path().join(name), name.as_bytes()).unwrap();
        }
        directory
    }

    fn error(path: &Path) -> Error {
        TraceFiles::find(path).unwrap_err()
    }

    #[test]
    fn a_bundle_is_found_by_prefix_and_by_directory_in_order_of_rank() {
        let dir = directory(&["a.b.10.et", "x", "a.b.01.et"]);
        for rank in 0..10 {
            std::fs::write(dir.path().join(format!("a.b.{rank}.et")), "same").unwrap();
        }
        for path in [dir.path().to_owned(), dir.path().join("a.b")] {
            let found = TraceFiles::find(&path).unwrap();
            assert_eq!(found.names.prefix(), dir.path().join("a.b").display().to_string());
            assert_eq!(found.file_of_rank, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
            assert_eq!(found.files, [b"same"[..].into(), b"a.b.10.et"[..].into()]);
        }
        assert_eq!(TraceFiles::of_ranks(&dir.path().join("a.b"), 3).unwrap().file_of_rank, [0, 0, 0]);
        assert!(TraceFiles::of_ranks(&dir.path().join("a.b"), 12).is_err());
    }

    #[test]
    fn a_compressed_file_counts_where_there_is_no_other() {
        let dir = directory(&["w.0.et.gz", "w.0.et", "w.1.et.gz"]);
        let found = TraceFiles::find(dir.path()).unwrap();
        assert_eq!(found.files, [b"w.0.et"[..].into(), b"w.1.et.gz"[..].into()]);
    }

    #[test]
    fn ranks_without_a_file_are_named() {
        let dir = directory(&["w.1.et", "w.3.et", "w.9.et"]);
        let e = error(&dir.path().join("w"));
        assert!(
            e.to_string()
                .ends_with("w: no trace of ranks 0, 2, 4, 5, 6 and 2 more; the last there is is of rank 9")
        );
        assert!(e.hint_text().unwrap().ends_with("w.0.et"));
        let dir = directory(&["w.0.et", "w.2.et"]);
        assert!(error(dir.path()).to_string().contains("no trace of rank 1; the last"));
    }

    #[test]
    fn what_is_not_there_or_not_one_bundle_is_said_with_what_to_give_instead() {
        let dir = directory(&["one.0.et", "two.0.et"]);
        assert!(error(dir.path()).to_string().ends_with("it holds traces of 2 bundles: `one`, `two`"));
        assert!(error(dir.path()).hint_text().unwrap().ends_with("one"));
        assert_eq!(error(&dir.path().join("onn")).hint_text(), Some("did you mean `one`?"));
        let e = error(&dir.path().join("one.0.et"));
        assert_eq!(
            e.hint_text().unwrap(),
            format!("give what comes before the rank: {}", dir.path().join("one").display())
        );
        assert!(error(directory(&[]).path()).to_string().contains("no file in it"));
        assert!(error(Path::new("/nowhere/at/all")).to_string().contains("cannot be read"));
    }
}

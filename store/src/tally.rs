//! How often content was known: each process that used a store leaves one small file, without waiting for anybody;
//! collection adds them up. Nothing depends on them: one that is lost or counted twice after a crash costs accuracy only.

use crate::error::{Error, Result};
use crate::locks::Held;
use crate::sharing;
use crate::store::{Core, Store};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Where the files are.
pub(crate) const DIRECTORY: &str = "tallies";
const TOTAL: &str = "total";

/// So many files are left before whoever comes next adds them up.
const MOST_FILES: usize = 256;

/// How often an action was looked up and known, and how often one was run and published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// Known.
    pub hits: u64,
    /// Run.
    pub runs: u64,
}

impl Uses {
    fn add(&mut self, other: Self) {
        self.hits = self.hits.saturating_add(other.hits);
        self.runs = self.runs.saturating_add(other.runs);
    }

    fn parse(text: &str) -> Option<Self> {
        let (hits, runs) = text.trim_end().strip_prefix("hits ")?.split_once(" runs ")?;
        Some(Self { hits: hits.parse().ok()?, runs: runs.parse().ok()? })
    }
}

/// What this process has counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    hits: AtomicU64,
    runs: AtomicU64,
}

impl Tally {
    pub(crate) fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn run(&self) {
        self.runs.fetch_add(1, Ordering::Relaxed);
    }

    fn uses(&self) -> Uses {
        Uses { hits: self.hits.load(Ordering::Relaxed), runs: self.runs.load(Ordering::Relaxed) }
    }

    /// Leaves what was counted. A failure costs nothing but the count.
    pub(crate) fn leave(&self, core: &Core) {
        let uses = self.uses();
        if uses != Uses::default() && !core.options.read_only {
            let _ = leave(core, uses);
        }
    }
}

fn leave(core: &Core, uses: Uses) -> Result<()> {
    let directory = core.directory().join(DIRECTORY);
    if fs::create_dir(&directory).is_ok() {
        sharing::as_its_directory(&directory);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    write(&directory.join(format!("{}-{now:x}", std::process::id())), uses)?;
    if files(&directory).len() > MOST_FILES
        && let Some(_collecting) = Held::try_take(&core.locks.collecting())?
    {
        fold(core)?;
    }
    Ok(())
}

fn write(path: &Path, uses: Uses) -> Result<()> {
    let text = format!("hits {} runs {}\n", uses.hits, uses.runs);
    let written = fs::File::create(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|e| Error::io("write the file", path, &e))?;
    sharing::as_its_directory(path);
    Ok(())
}

/// Adds up what processes have left. Whoever does holds the lock of collection.
pub(crate) fn fold(core: &Core) -> Result<()> {
    let directory = core.directory().join(DIRECTORY);
    let (total, left) = (directory.join(TOTAL), files(&directory));
    if left.iter().all(|path| *path == total) {
        return Ok(());
    }
    let sum = sum(&left);
    let new = directory.join("total.new");
    write(&new, sum)?;
    fs::rename(&new, &total).map_err(|e| Error::io("write the file", &total, &e))?;
    for path in left.iter().filter(|path| **path != total) {
        let _ = fs::remove_file(path);
    }
    Ok(())
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| !path.ends_with("total.new")).collect()
}

/// What cannot be read counts nothing.
fn sum(files: &[PathBuf]) -> Uses {
    let mut sum = Uses::default();
    for path in files {
        if let Some(uses) = fs::read_to_string(path).ok().and_then(|text| Uses::parse(&text)) {
            sum.add(uses);
        }
    }
    sum
}

impl Store {
    /// How often actions were known and run in this store, by all who have used it and closed it, and by this process so
    /// far.
    pub fn uses(&self) -> Uses {
        let core = self.core();
        let mut sum = sum(&files(&core.directory().join(DIRECTORY)));
        sum.add(core.tally.uses());
        sum
    }
}

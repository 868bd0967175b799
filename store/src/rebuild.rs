//! Rebuilding the file of a store whose pages are damaged: whatever can still be read goes to a new file, row by row.
//!
//! Rows are copied as they are, damaged or not: verification of the new file tells, and repair mends. The old file is kept
//! aside until somebody deletes it.

use crate::db::{self, Change, Db, ReadRows, Table, View};
use crate::error::{Error, ErrorKind, Result};
use crate::filesystem;
use crate::format;
use crate::identity;
use crate::locks::{Locks, holder};
use crate::options::Options;
use crate::sharing;
use crate::store::Store;
use crate::verify;
use std::fs;
use std::path::{Path, PathBuf};

/// Rows are committed when they take so much.
const BATCH_BYTES: usize = 32 << 20;

/// Longer than what follows the beginning of any key: keys of 36 bytes, and names, in which no byte is 255.
const REST: [u8; 40] = [0xff; 40];

/// What a root begins with. It is kept even where its name cannot be read: what it stood for is for people to say.
const ROOT: &[u8] = b"root";

/// What a rebuild came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// Rows that were copied.
    pub rows: u64,
    /// Ranges of keys that could not be read to their ends; how many rows they had is not known.
    pub unreadable: u64,
    /// The old file.
    pub moved_aside: PathBuf,
}

impl Store {
    /// Copies what can be read of the file of a store to a new one, which takes its place. To be verified and repaired
    /// afterwards.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] when somebody has the store open; it is not to be written; the file cannot even be opened; the disk has no room for another.
    pub fn rebuild(directory: impl AsRef<Path>, options: &Options) -> Result<Rebuilt> {
        let directory = directory.as_ref();
        if format::check(directory)? != Some(format::VERSION) {
            let message = "there is no store of the current format to rebuild";
            return Err(Error::new(ErrorKind::NotAStore, message)
                .at(directory)
                .hint("name a directory that is a store; opening it for writing brings it up to date"));
        }
        options.check_writable(directory)?;
        filesystem::check_writable(directory, options)?;
        let locks = Locks::create(directory)?;
        let Some(_alone) = locks.store_alone()? else {
            let who = holder(&locks.store()).unwrap_or_else(|| "somebody".to_owned());
            return Err(Error::new(ErrorKind::Busy, format!("{who} has the store open"))
                .at(directory)
                .hint("let it finish, then try again"));
        };
        let path = directory.join(db::FILE_NAME);
        let new = directory.join(db::NEW_FILE_NAME);
        remove_if_there(&new)?;
        let mut rebuilt = copy(&path, &new, options).inspect_err(|_| drop(fs::remove_file(&new)))?;
        sharing::as_its_directory(&new);
        rebuilt.moved_aside = name_aside(directory)?;
        // Where a file can have two names, there is a whole one under the store's at every moment.
        fs::hard_link(&path, &rebuilt.moved_aside).or_else(|_| rename(&path, &rebuilt.moved_aside))?;
        rename(&new, &path)?;
        identity::remember(directory);
        Ok(rebuilt)
    }
}

fn copy(path: &Path, new: &Path, options: &Options) -> Result<Rebuilt> {
    // Who only reads does not need to know which pages are free: that, too, may be what is damaged.
    let opened = Db::open_unwritable(path, options).or_else(|_| Db::open_damaged(path, options));
    let old = opened.map_err(|e| match e.kind() {
        ErrorKind::Corrupt => Error::corrupt(e.message()).at(path).hint(
            "not even the way to its tables can be read; copy it here again while nobody uses it, or remove it and build again",
        ),
        _ => e,
    })?;
    let new = Db::create(new, options)?;
    let view = old.view()?;
    let mut rebuilt = Rebuilt { rows: 0, unreadable: 0, moved_aside: PathBuf::new() };
    for table in Table::ALL {
        let mut copy =
            Copy { view: &view, new: &new, table, batch: Vec::new(), bytes: 0, rebuilt: &mut rebuilt };
        copy.table()?;
        copy.write()?;
    }
    Ok(rebuilt)
}

struct Copy<'a> {
    view: &'a View<'a>,
    new: &'a Db,
    table: Table,
    batch: Vec<(Vec<u8>, Vec<u8>)>,
    bytes: usize,
    rebuilt: &'a mut Rebuilt,
}

impl Copy<'_> {
    /// Copies the rows by the first byte of their keys; where that does not read all of them, by the first two.
    fn table(&mut self) -> Result<()> {
        let mut gaps = Vec::new();
        for first in 0..=u8::MAX {
            gaps.extend(self.range(&[first])?.map(|from| (first, from)));
        }
        if gaps.len() == 256 && gaps.iter().all(|(_, from)| *from == 0) {
            // Not even the way to the rows can be read.
            self.rebuilt.unreadable += 1;
            return Ok(());
        }
        for (first, from) in gaps {
            for second in from..=u8::MAX {
                let is_gap = self.range(&[first, second])?.is_some();
                self.rebuilt.unreadable += u64::from(is_gap);
            }
        }
        Ok(())
    }

    /// Copies the rows whose keys begin so. When they cannot be read to the end, gives the next byte of the last that was,
    /// or 0.
    fn range(&mut self, beginning: &[u8]) -> Result<Option<u8>> {
        let last = [beginning, &REST].concat();
        let mut reached = None;
        let scanned = self.view.table(self.table).and_then(|rows| {
            rows.scan(beginning..=&last[..], &mut |key, row| {
                // In a file of two states a page may have become another table's.
                let is_own = match self.table.key_bytes() {
                    Some(len) => len == key.len(),
                    None => str::from_utf8(key).is_ok() || row.starts_with(ROOT),
                };
                if is_own {
                    self.batch.push((key.to_vec(), row.to_vec()));
                    self.bytes += key.len() + row.len();
                }
                reached = key.get(beginning.len()).copied();
                if self.bytes >= BATCH_BYTES { self.write().map(|()| true) } else { Ok(true) }
            })
        });
        match scanned {
            Ok(()) => Ok(None),
            Err(e) if e.kind() == ErrorKind::Corrupt => Ok(Some(reached.unwrap_or(0))),
            Err(e) => Err(e),
        }
    }

    fn write(&mut self) -> Result<()> {
        let Some(change) = self.new.try_begin()? else {
            return Err(
                Error::new(ErrorKind::Busy, "somebody else writes to the new file").at(self.new.path())
            );
        };
        insert(&change, self.table, &self.batch)?;
        change.commit()?;
        self.rebuilt.rows += self.batch.len() as u64;
        (self.batch, self.bytes) = (Vec::new(), 0);
        Ok(())
    }
}

fn insert(change: &Change<'_>, table: Table, rows: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
    let mut into = change.table(table)?;
    rows.iter().try_for_each(|(key, row)| into.insert(key, row))
}

/// A name for the old file that nothing has.
fn name_aside(directory: &Path) -> Result<PathBuf> {
    let aside = verify::aside(directory)?;
    let names = (1u32..).map(|number| aside.join(format!("{}.{number}", db::FILE_NAME)));
    let mut free = names.filter(|path| !path.exists());
    free.next().ok_or_else(|| Error::invalid("there are too many old files").at(&aside))
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|e| Error::io("rename the file", from, &e))
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove the file", path, &e)),
        _ => Ok(()),
    }
}

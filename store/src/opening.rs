//! Opening a store: making it where there is none, bringing an older format up to date, waiting with a bound.

use crate::claim::Claims;
use crate::db::{self, Change, Db, ReadRows, Table};
use crate::digest::ActionKey;
use crate::error::{Error, ErrorKind, Result};
use crate::filesystem;
use crate::format;
use crate::gc::every_key;
use crate::identity;
use crate::locks::{self, Locks, Patience};
use crate::options::{Notice, Options};
use crate::record::ActionRecord;
use crate::root::Root;
use crate::roots;
use crate::sharing;
use crate::store::{Core, Store};
use crate::{tally, verify};
use std::path::Path;

/// What may lie in the directory of a store that is not finished: `mat` belongs to whoever materialises files.
const OURS: &[&str] =
    &[db::FILE_NAME, identity::FILE, tally::DIRECTORY, verify::ASIDE, db::NEW_FILE_NAME, "locks", "mat"];

impl Store {
    /// Opens the store in a directory, and makes it (and the directory) when there is none, unless it is for
    /// reading only.
    ///
    /// # Errors
    /// A directory of a newer format, with foreign files, or that may not be written; a damaged file; a lock
    /// that was not freed in time.
    pub fn open(directory: impl AsRef<Path>, options: &Options) -> Result<Self> {
        let directory = directory.as_ref();
        if options.untouched {
            let options = Options { read_only: true, ..options.clone() };
            check_readable(directory)?;
            check_copy(directory, &options)?;
            return Self::open_unwritable(directory, &options);
        }
        Self::open_with(directory, options, &|path| match identity::is_copy(directory) {
            true => open_copy(path, options),
            false => Db::open(path, options),
        })
    }

    /// Opens a store whose file is opened in another way, once it is certain that there is one.
    pub(crate) fn open_with(
        directory: &Path,
        options: &Options,
        open: &dyn Fn(&Path) -> Result<Db>,
    ) -> Result<Self> {
        if options.read_only {
            check_readable(directory)?;
            if !may_write(directory) {
                return Self::open_unwritable(directory, options);
            }
        }
        format::expect_directory(directory)?;
        sharing::create_dir_all(directory, 0)
            .map_err(|e| Error::io("create the directory", directory, &e))?;
        let found = format::check(directory)?;
        if found.is_none() {
            format::check_vacant(directory, OURS)?;
        }
        if !options.read_only {
            filesystem::check_writable(directory, options)?;
        }
        let locks = Locks::create(directory)?;
        if found != Some(format::VERSION) {
            make(directory, &locks, options)?;
        }
        let in_use = locks.store_in_use(options)?;
        let is_copy = identity::is_copy(directory);
        let db = open(&directory.join(db::FILE_NAME))?;
        let claims = Claims::new(locks.steps());
        let store =
            Self::of(Core::new(db, options.clone(), locks, claims, directory.to_owned(), Some(in_use)));
        if is_copy && !options.read_only {
            identity::verify_copy(&store)?;
        }
        Ok(store)
    }
}

impl Store {
    /// Opens a store that this user may not write: without leases and claims, and without the locks that are not there.
    fn open_unwritable(directory: &Path, options: &Options) -> Result<Self> {
        let locks = Locks::of(directory);
        let in_use = locks.store_in_use_if_there(options)?;
        let db = Db::open_unwritable(&directory.join(db::FILE_NAME), options)?;
        let claims = Claims::new(locks.steps());
        let core = Core::new(db, options.clone(), locks, claims, directory.to_owned(), in_use);
        let store = Self::of(core.without_leases());
        identity::tell_of_a_move(&store);
        Ok(store)
    }
}

/// Whether this user may change the file of the store and make files for locks. Tried where it leaves no trace.
fn may_write(directory: &Path) -> bool {
    let opens = std::fs::OpenOptions::new().write(true).open(directory.join(db::FILE_NAME));
    // A file that is missing is told by who opens it.
    opens.is_ok_and(|_| Locks::create(directory).is_ok_and(|locks| locks::open(&locks.gate()).is_ok()))
}

fn check_readable(directory: &Path) -> Result<()> {
    format::expect_directory(directory)?;
    let refused = match format::check(directory)? {
        Some(format::VERSION) => return Ok(()),
        Some(older) => Error::new(
            ErrorKind::ReadOnly,
            format!("this store has the old format {older}, and is to be opened for reading only"),
        )
        .hint("open it for writing once: that brings it up to date"),
        None => Error::new(ErrorKind::NotAStore, "there is no store to read")
            .hint("name a directory that is a store"),
    };
    Err(refused.at(directory))
}

/// Makes an empty store or brings an old one up to date, unless somebody else does.
fn make(directory: &Path, locks: &Locks, options: &Options) -> Result<()> {
    let mut patience = Patience::new("another process to make the store", options);
    // Whoever has made it keeps its lock, shared, while using it: the lock tells who may make it, not when it is made.
    while format::check(directory)? != Some(format::VERSION) {
        match locks.store_alone()? {
            None => patience.wait(directory)?,
            Some(_alone) => {
                let found = format::check(directory)?;
                if found != Some(format::VERSION) {
                    let db = Db::create(&directory.join(db::FILE_NAME), options)?;
                    if found.is_some() {
                        migrate(&db)?;
                    } else {
                        identity::remember(directory);
                    }
                    drop(db);
                    sharing::as_its_directory(&directory.join(db::FILE_NAME));
                    format::write(directory)?;
                }
            }
        }
    }
    Ok(())
}

/// Gives the rows of older formats the form that they have now. What is something else stays as it is, be it damaged or
/// of an attempt that was interrupted.
fn migrate(db: &Db) -> Result<()> {
    let Some(change) = db.try_begin()? else {
        return Err(Error::new(ErrorKind::Busy, "somebody writes to a store of an old format").at(db.path()));
    };
    migrate_roots(&change)?;
    migrate_records(&change)?;
    change.commit()
}

/// From format 1: without a note.
fn migrate_roots(change: &Change<'_>) -> Result<()> {
    let mut rows = change.table(Table::Roots)?;
    let mut old = Vec::new();
    rows.scan(roots::EVERY_NAME, &mut |key, row| {
        if let Some(root) = str::from_utf8(key).ok().and_then(|name| Root::decode_format_1(name, row).ok()) {
            old.push((String::from_utf8_lossy(key).into_owned(), root));
        }
        Ok(true)
    })?;
    old.iter().try_for_each(|(name, root)| rows.insert(name.as_bytes(), &root.encode(name)))
}

/// From formats 1 and 2: without a check.
fn migrate_records(change: &Change<'_>) -> Result<()> {
    let mut rows = change.table(Table::Actions)?;
    let mut old = Vec::new();
    rows.scan(every_key(), &mut |key, row| {
        if let (Ok(id), Ok(record)) = (key.try_into(), ActionRecord::decode(row)) {
            old.push((ActionKey::from_bytes(id), record));
        }
        Ok(true)
    })?;
    old.iter().try_for_each(|(key, record)| rows.insert(key.as_bytes(), &record.encode_row(key)))
}

/// Checks a file that is not the one that was closed here last, unless this user could not put it in order anyway.
fn check_copy(directory: &Path, options: &Options) -> Result<()> {
    let path = directory.join(db::FILE_NAME);
    let is_own = std::fs::OpenOptions::new().write(true).open(&path).is_ok();
    if !is_own || !identity::is_copy(directory) {
        return Ok(());
    }
    Db::check_pages(&path, options).map_err(refused_as_a_copy)
}

fn refused_as_a_copy(error: Error) -> Error {
    if error.kind() == ErrorKind::Corrupt { identity::refuse_copy(&error) } else { error }
}

/// Opens a file that is not the one that was closed here last.
fn open_copy(path: &Path, options: &Options) -> Result<Db> {
    (options.on_notice)(&Notice::Moved);
    Db::open_checked(path, options).map_err(refused_as_a_copy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Blob, OutputKind, Publication};

    /// A store as format 1 had it: other roots, and tables missing.
    fn format_1(directory: &Path) -> Root {
        let blob = Blob::new(&b"content"[..]);
        let root = Root::now(blob.digest(), OutputKind::Blob);
        let store = Store::open(directory, &Options::default()).unwrap();
        store.publish(Publication { blobs: vec![blob], ..Publication::default() }).wait().unwrap();
        let change = store.core().db.try_begin().unwrap().unwrap();
        let mut row = root.encode("name");
        row[4] = 1;
        // The length of the note.
        row.drain(46..54);
        change.table(Table::Roots).unwrap().insert(b"name", &row).unwrap();
        for table in [Table::Signatures, Table::History, Table::LastUse, Table::Arrivals] {
            change.remove_table(table).unwrap();
        }
        change.commit().unwrap();
        drop(store);
        std::fs::write(directory.join("FORMAT"), "format 1\n").unwrap();
        root
    }

    #[test]
    fn a_store_of_format_1_is_brought_up_to_date_when_it_is_opened_for_writing() {
        let directory = tempfile::tempdir().unwrap();
        let root = format_1(directory.path());
        let reading = Options { read_only: true, ..Options::default() };
        let error = Store::open(directory.path(), &reading).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ReadOnly);
        assert!(error.to_string().contains("old format 1") && error.hint_text().is_some(), "{error}");

        let store = Store::open(directory.path(), &Options::default()).unwrap();
        assert_eq!(store.root("name").unwrap(), Some(root.clone()));
        let plan = store.plan_collection(&crate::GcPolicy::default()).unwrap();
        assert_eq!((plan.live.blobs.count, plan.unreadable.len()), (1, 0));
        drop(store);
        // An attempt that was interrupted before it was finished.
        std::fs::write(directory.path().join("FORMAT"), "format 1\n").unwrap();
        let store = Store::open(directory.path(), &Options::default()).unwrap();
        assert_eq!(store.root("name").unwrap(), Some(root));
        drop(store);
        Store::open(directory.path(), &reading).unwrap();
    }

    #[test]
    fn records_of_format_2_get_their_check() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), &Options::default()).unwrap();
        let action = crate::NewAction::new(b"step".to_vec(), ActionRecord::default(), Default::default());
        let key = *action.key();
        store.publish(Publication { action: Some(action), ..Publication::default() }).wait().unwrap();
        let change = store.core().db.try_begin().unwrap().unwrap();
        let row = ActionRecord::default().encode();
        change.table(Table::Actions).unwrap().insert(key.as_bytes(), &row).unwrap();
        change.commit().unwrap();
        drop(store);
        std::fs::write(directory.path().join("FORMAT"), "format 2\n").unwrap();
        let store = Store::open(directory.path(), &Options::default()).unwrap();
        assert!(store.hit(&key).unwrap().is_some());
        assert_eq!(store.damaged(), 0);
    }

    #[test]
    fn a_store_of_format_2_gets_a_place_for_signatures() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), &Options::default()).unwrap();
        let action = crate::NewAction::received(b"step".to_vec(), crate::ActionRecord::default());
        let key = *action.key();
        store.publish(Publication { action: Some(action), ..Publication::default() }).wait().unwrap();
        let change = store.core().db.try_begin().unwrap().unwrap();
        change.remove_table(Table::Signatures).unwrap();
        change.commit().unwrap();
        drop(store);
        std::fs::write(directory.path().join("FORMAT"), "format 2\n").unwrap();
        let store = Store::open(directory.path(), &Options::default()).unwrap();
        assert_eq!(store.signatures(&key).unwrap(), []);
        assert!(store.hit(&key).unwrap().is_some());
    }
}

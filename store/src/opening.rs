//! Opening a store: making it where there is none, bringing an older format up to date, waiting with a bound.

use crate::claim::Claims;
use crate::db::{self, Change, Db, Progress, ReadRows, Table};
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
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// What may lie in the directory of a store that is not finished: `mat` belongs to whoever materialises files.
const OURS: &[&str] =
    &[db::FILE_NAME, identity::FILE, tally::DIRECTORY, verify::ASIDE, db::NEW_FILE_NAME, "locks", "mat"];

/// Opening may take so long when nobody is in the way, on a slow disk, even if waiting for others is not wanted.
const UNDISTURBED_OPENING: Duration = Duration::from_secs(2);

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
            return Self::open_unwritable(directory, &options);
        }
        Self::open_with(directory, options, &|path, locks| match identity::is_copy(directory) {
            true => open_copy(path, locks, options),
            false => open_bounded(path, locks, options),
        })
    }

    /// Opens a store whose file is opened in another way, once it is certain that there is one.
    pub(crate) fn open_with(
        directory: &Path,
        options: &Options,
        open: &dyn Fn(&Path, &Locks) -> Result<Db>,
    ) -> Result<Self> {
        if options.read_only {
            check_readable(directory)?;
            if !may_write(directory) {
                return Self::open_unwritable(directory, options);
            }
        }
        if !directory.is_dir() {
            let create = |e| Error::io("create the directory", directory, &e);
            std::fs::create_dir_all(directory).map_err(create)?;
            sharing::as_its_directory(directory);
        }
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
        let db = open(&directory.join(db::FILE_NAME), &locks)?;
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
        let db = Db::open_unwritable(&directory.join(db::FILE_NAME), options.page_cache_bytes)?;
        let claims = Claims::new(locks.steps());
        let core = Core::new(db, options.clone(), locks, claims, directory.to_owned(), in_use);
        Ok(Self::of(core.without_leases()))
    }
}

/// Whether this user may change the file of the store and make files for locks. Tried where it leaves no trace.
fn may_write(directory: &Path) -> bool {
    let opens = std::fs::OpenOptions::new().write(true).open(directory.join(db::FILE_NAME));
    // A file that is missing is told by who opens it.
    opens.is_ok_and(|_| Locks::create(directory).is_ok_and(|locks| locks::open(&locks.gate()).is_ok()))
}

fn check_readable(directory: &Path) -> Result<()> {
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
                    let db = Db::create(&directory.join(db::FILE_NAME), options.page_cache_bytes)?;
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

/// Opens the file; waits, but not for ever, while another process that is in the middle of a commit is stopped.
fn open_bounded(path: &Path, locks: &Locks, options: &Options) -> Result<Db> {
    let (file, cache_bytes) = (path.to_owned(), options.page_cache_bytes);
    wait_for(path, locks, options, Duration::ZERO, move |progress| Db::open(&file, cache_bytes, progress))
}

/// Opens a file that is not the one that was closed here last. Reading all of it takes its time.
fn open_copy(path: &Path, locks: &Locks, options: &Options) -> Result<Db> {
    /// No disk that is in use reads less in a second.
    const SLOWEST_BYTES_PER_SECOND: u64 = 4 << 20;
    let len = std::fs::metadata(path).map_or(0, |found| found.len());
    let reading = Duration::from_secs(len / SLOWEST_BYTES_PER_SECOND);
    (options.on_notice)(&Notice::Moved);
    let (file, cache_bytes) = (path.to_owned(), options.page_cache_bytes);
    wait_for(path, locks, options, reading, move |progress| Db::open_checked(&file, cache_bytes, progress))
        .map_err(|error| match error.kind() {
            ErrorKind::Corrupt => identity::refuse_copy(&error),
            _ => error,
        })
}

/// Runs something that may wait for somebody who has stopped, and takes so long when it does not. As long as it says that
/// it makes progress, nobody has.
fn wait_for(
    path: &Path,
    locks: &Locks,
    options: &Options,
    work: Duration,
    open: impl FnOnce(Progress) -> Result<Db> + Send + 'static,
) -> Result<Db> {
    let (send, receive) = mpsc::sync_channel(1);
    let progress = Progress::default();
    let steps = Arc::clone(&progress);
    let opening = move || {
        // Nobody is left to hear of it when the time was up; the file is closed again.
        let _ = send.send(open(steps));
    };
    thread::Builder::new()
        .name("store-opening".to_owned())
        .spawn(opening)
        .map_err(|e| Error::io("start a thread to open", path, &e))?;
    // The system does not tell who holds the lock that is waited for, but it is one of those who have the store open.
    let in_use = locks.store();
    let patience = || {
        Patience::new("another process to finish writing", options)
            .of(&in_use)
            .at_least(UNDISTURBED_OPENING + work)
    };
    let (mut waiting, mut seen) = (patience(), 0);
    loop {
        match receive.recv_timeout(waiting.pause()) {
            Ok(opened) => return opened,
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err(Error::corrupt("the file is damaged: it cannot even be opened").at(path));
            }
        }
        let steps = progress.load(Ordering::Relaxed);
        if steps != seen {
            (waiting, seen) = (patience(), steps);
        }
        waiting.check(path)?;
    }
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

    #[test]
    fn opening_waits_for_a_file_that_somebody_holds_no_longer_than_it_may() {
        let directory = tempfile::tempdir().unwrap();
        let locks = Locks::create(directory.path()).unwrap();
        let options = Options { lock_timeout: Duration::from_millis(80), ..Options::default() };
        let (release, held) = mpsc::channel::<()>();
        let error = wait_for(&directory.path().join("file"), &locks, &options, Duration::ZERO, move |_| {
            // As long as somebody who has stopped in the middle of a commit holds the lock.
            let _ = held.recv();
            Err(Error::corrupt("too late to matter"))
        });
        let error = error.err().expect("it was opened");
        assert_eq!(error.kind(), ErrorKind::Busy);
        assert!(error.to_string().contains("waited 2 s for another process to finish writing"), "{error}");
        drop(release);
    }

    #[test]
    fn opening_may_take_its_time_as_long_as_it_gets_on() {
        let directory = tempfile::tempdir().unwrap();
        drop(Store::open(directory.path(), &Options::default()).unwrap());
        let locks = Locks::create(directory.path()).unwrap();
        let path = directory.path().join(db::FILE_NAME);
        let options = Options { lock_timeout: Duration::ZERO, ..Options::default() };
        let file = path.clone();
        wait_for(&path, &locks, &options, Duration::ZERO, move |progress| {
            for _ in 0..25 {
                thread::sleep(UNDISTURBED_OPENING / 20);
                progress.fetch_add(1, Ordering::Relaxed);
            }
            Db::open(&file, 1 << 20, progress)
        })
        .unwrap();
    }
}

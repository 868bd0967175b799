//! The table layer: named tables of byte rows in one transactional file. The only file that knows redb.
//!
//! Several processes have the file open for writing at once; one writes at a time, readers see the last commit
//! when they begin. Every commit is durable and records the allocator state, so that opening after a crash does
//! not walk the file. What rows mean, who waits for whom and for how long, is decided elsewhere.

use crate::error::{Error, ErrorKind, Result};
use crate::file::StoreFile;
use crate::in_memory::InMemory;
use crate::options::Options;
use redb::{
    AccessGuard, CommitError, CompactionError, ConcurrencyMode, Database, ReadOnlyDatabase, ReadOnlyTable,
    ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageError,
    Table as RedbTable, TableDefinition, TableError, TransactionError, WriteTransaction,
};
use std::cell::Cell;
use std::fs::File;
use std::io::Read;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) use redb::backends::FileBackend;
pub(crate) use redb::{BackendError, DatabaseError, StorageBackend};

/// The file with everything in it.
pub(crate) const FILE_NAME: &str = "store.redb";

/// The same while it is rebuilt.
pub(crate) const NEW_FILE_NAME: &str = "store.redb.new";

/// How the file is shared, as the format file names it.
pub(crate) const MODE: &str = "redb multi-writer";

/// What a page that holds a single row needs beyond the row's value, for a key of this length: the page's
/// header, the ends of key and value, and the key.
pub(crate) const fn page_overhead(key_bytes: usize) -> usize {
    4 + 4 + 4 + key_bytes
}

/// The smallest page; larger ones are this times a power of two.
pub(crate) const PAGE_BYTES: usize = 4096;

/// Where in the file the two last commits have been said.
const COMMITS_END: u64 = 64 + 2 * 128;

/// The tables of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    /// Digest → payload head.
    Blobs,
    /// Digest or action key, then a big-endian number → part of a payload.
    Chunks,
    /// Action key → record.
    Actions,
    /// Action key → payload head.
    Preimages,
    /// Action key → provenance.
    Provenance,
    /// Action key, then the signer's public key → signature of the record.
    Signatures,
    /// Action key → deletion count at which everything its closure lists was there.
    Checks,
    /// Name → root.
    Roots,
    /// Name and time → what a root was before.
    History,
    /// Group of roots → when it was last used.
    LastUse,
    /// Number of a commit → what it wrote, and when.
    Arrivals,
    /// Counters.
    Counters,
}

/// A digest or an action key.
const NAME_BYTES: usize = 32;

type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;

impl Table {
    pub(crate) const ALL: [Self; 12] = [
        Self::Blobs,
        Self::Chunks,
        Self::Actions,
        Self::Preimages,
        Self::Provenance,
        Self::Signatures,
        Self::Checks,
        Self::Roots,
        Self::History,
        Self::LastUse,
        Self::Arrivals,
        Self::Counters,
    ];

    /// How long keys are; none where they are names, which have any length.
    pub(crate) const fn key_bytes(self) -> Option<usize> {
        match self {
            Self::Blobs | Self::Actions | Self::Preimages | Self::Provenance | Self::Checks => {
                Some(NAME_BYTES)
            }
            Self::Chunks => Some(NAME_BYTES + size_of::<u32>()),
            Self::Signatures => Some(NAME_BYTES + 32),
            Self::Arrivals => Some(size_of::<u64>()),
            Self::Roots | Self::History | Self::LastUse | Self::Counters => None,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Blobs => "blobs",
            Self::Chunks => "chunks",
            Self::Actions => "actions",
            Self::Preimages => "preimages",
            Self::Provenance => "provenance",
            Self::Signatures => "signatures",
            Self::Checks => "checks",
            Self::Roots => "roots",
            Self::History => "history",
            Self::LastUse => "last use",
            Self::Arrivals => "arrivals",
            Self::Counters => "counters",
        }
    }

    const fn definition(self) -> Definition {
        TableDefinition::new(self.name())
    }
}

/// The open file.
pub(crate) struct Db {
    file: LetGo<OpenFile>,
    path: PathBuf,
    /// Whether closing it would meet damage that is known, and panic where nobody can catch it: see [`Panic::Fatal`].
    is_damaged: AtomicBool,
}

enum OpenFile {
    Writable(Database),
    /// Where this user may not write.
    Unwritable(ReadOnlyDatabase),
}

impl Db {
    /// Makes the file and its tables, or completes what an interrupted attempt left.
    pub(crate) fn create(path: &Path, options: &Options) -> Result<Self> {
        let file = guarded(path, || Ok(StoreFile::open(path, true, options)?))?;
        Self::on(path, options.page_cache_bytes, file)?.with_tables()
    }

    fn with_tables(self) -> Result<Self> {
        let change =
            self.try_begin()?.ok_or_else(|| Error::corrupt("somebody else is creating it").at(&self.path))?;
        for table in Table::ALL {
            change.table(table)?;
        }
        change.commit()?;
        Ok(self)
    }

    /// Opens, and makes if it is empty, what lies on a disk that tests have made up.
    #[cfg(test)]
    pub(crate) fn on_made_up(path: &Path, disk: impl StorageBackend) -> Result<Self> {
        let is_new = disk.len().is_ok_and(|len| len == 0);
        let db = Self::on(path, 1 << 20, disk)?;
        if is_new { db.with_tables() } else { Ok(db) }
    }

    /// Opens an existing file.
    pub(crate) fn open(path: &Path, options: &Options) -> Result<Self> {
        let file = guarded(path, || Ok(StoreFile::open(path, false, options)?))?;
        Self::on(path, options.page_cache_bytes, file)
    }

    /// The same for a file that may be a mixture of states, as a copy is that was made while somebody wrote: the checksum of
    /// every page is held against its bytes, and which pages are free is found out anew. Reads the whole file.
    pub(crate) fn open_checked(path: &Path, options: &Options) -> Result<Self> {
        let database = guarded(path, || open_checked(StoreFile::open(path, false, options)?, options))?;
        Ok(Self::of(OpenFile::Writable(database), path))
    }

    /// Opens a file of which nothing is certain, to read what can be read: what opening it would write stays in memory.
    pub(crate) fn open_damaged(path: &Path, options: &Options) -> Result<Self> {
        let file = guarded(path, || Ok(InMemory::over(StoreFile::open_unwritable(path, options)?)?))?;
        let db = Self::on(path, options.page_cache_bytes, file)?;
        db.is_damaged.store(true, Ordering::Relaxed);
        Ok(db)
    }

    /// Holds the checksum of every page that is in use against its bytes, as [`Self::open_checked`] does, and writes nothing.
    /// Where somebody commits meanwhile, pages may seem to be damaged.
    pub(crate) fn check_pages(path: &Path, options: &Options) -> Result<()> {
        guarded(path, || {
            let file = InMemory::over(StoreFile::open_unwritable(path, options)?)?;
            open_checked(file, options).map(drop)
        })
    }

    /// The same for the file that is open, which is not closed any more, but left as after a crash, when it is damaged.
    /// Says whether it could be told: not when it seemed to be damaged and somebody has committed meanwhile.
    pub(crate) fn check_own_pages(&self, options: &Options) -> Result<bool> {
        let before = self.commits()?;
        let checked = Self::check_pages(&self.path, options);
        // What a commit needs is not written to before the next one.
        if checked.is_err() && self.commits()? != before {
            return Ok(false);
        }
        let is_damaged = matches!(&checked, Err(e) if e.kind() == ErrorKind::Corrupt);
        self.is_damaged.store(is_damaged, Ordering::Relaxed);
        checked.map(|()| true)
    }

    /// The part of the file that says which commit is the last.
    fn commits(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = File::open(&self.path).and_then(|file| file.take(COMMITS_END).read_to_end(&mut bytes));
        read.map(|_| bytes).map_err(|e| Error::io("read the file", &self.path, &e))
    }

    fn on(path: &Path, cache_bytes: usize, file: impl StorageBackend) -> Result<Self> {
        let database = guarded(path, || Ok(builder(cache_bytes).create_with_backend(file)?))?;
        Ok(Self::of(OpenFile::Writable(database), path))
    }

    fn of(file: OpenFile, path: &Path) -> Self {
        Self { file: LetGo::of(file), path: path.to_owned(), is_damaged: AtomicBool::new(false) }
    }

    /// Opens an existing file that cannot be written, and writes nothing.
    pub(crate) fn open_unwritable(path: &Path, options: &Options) -> Result<Self> {
        let database = guarded(path, || {
            let file = StoreFile::open_unwritable(path, options)?;
            Ok(builder(options.page_cache_bytes).open_read_only_with_backend(file)?)
        })?;
        Ok(Self::of(OpenFile::Unwritable(database), path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Rewrites the file without free space, and closes it. Nobody else may have it open.
    pub(crate) fn compact(mut self) -> Result<()> {
        let OpenFile::Writable(database) = &mut *self.file else { return Err(unwritable(&self.path)) };
        guarded(&self.path, || {
            // Each pass moves what it can; the last one finds nothing to do.
            while database.compact()? {}
            Ok(())
        })
    }

    /// The last commit of any process, frozen. Short-lived: pages it can see are not reused.
    pub(crate) fn view(&self) -> Result<View<'_>> {
        let transaction = guarded(&self.path, || match &*self.file {
            OpenFile::Writable(database) => Ok(database.begin_read()?),
            OpenFile::Unwritable(database) => Ok(database.begin_read()?),
        })?;
        Ok(View { transaction: LetGo::of(transaction), path: &self.path })
    }

    /// Begins a change, unless somebody in this or another process is in one.
    pub(crate) fn try_begin(&self) -> Result<Option<Change<'_>>> {
        let OpenFile::Writable(database) = &*self.file else { return Err(unwritable(&self.path)) };
        let transaction = guarded(&self.path, || match database.try_begin_write() {
            Err(TransactionError::WouldBlock) => Ok(None),
            other => Ok(Some(other?)),
        })?;
        Ok(transaction.map(|transaction| Change { transaction: LetGo::of(transaction), path: &self.path }))
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        if self.is_damaged.load(Ordering::Relaxed) {
            std::mem::forget(self.file.0.take());
        }
    }
}

/// Something of redb's. Letting go of it reads and writes, closing even commits, and so meets damage as well as anything
/// else does: it happens where panics are caught. What was committed stays committed, and nobody is left to be told.
struct LetGo<T>(Option<T>);

impl<T> LetGo<T> {
    fn of(something: T) -> Self {
        Self(Some(something))
    }

    fn into_inner(mut self) -> T {
        self.0.take().expect(LET_GO)
    }
}

const LET_GO: &str = "nobody has it once it is let go";

impl<T> std::ops::Deref for LetGo<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect(LET_GO)
    }
}

impl<T> std::ops::DerefMut for LetGo<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect(LET_GO)
    }
}

impl<T> Drop for LetGo<T> {
    fn drop(&mut self) {
        let something = self.0.take();
        let _ = caught(|| drop(something));
    }
}

fn open_checked(file: impl StorageBackend, options: &Options) -> std::result::Result<Database, Failure> {
    let mut builder = builder(options.page_cache_bytes);
    Ok(builder.set_check_integrity_on_open(true).create_with_backend(file)?)
}

fn builder(cache_bytes: usize) -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_concurrency_mode(ConcurrencyMode::MultiWriter).set_cache_size(cache_bytes);
    builder
}

fn unwritable(path: &Path) -> Error {
    Error::new(ErrorKind::ReadOnly, "the file was opened for reading only").at(path)
}

/// A frozen state of all tables.
pub(crate) struct View<'db> {
    transaction: LetGo<ReadTransaction>,
    path: &'db Path,
}

impl<'db> View<'db> {
    pub(crate) fn table(
        &self,
        table: Table,
    ) -> Result<Rows<'db, ReadOnlyTable<&'static [u8], &'static [u8]>>> {
        let rows = guarded(self.path, || Ok(self.transaction.open_table(table.definition())?))?;
        Ok(Rows { rows: LetGo::of(rows), path: self.path })
    }
}

/// A change of tables that becomes visible as a whole when committed, and not at all when dropped.
pub(crate) struct Change<'db> {
    transaction: LetGo<WriteTransaction>,
    path: &'db Path,
}

impl<'db> Change<'db> {
    /// Opens a table; at most one handle of a table may live at a time.
    pub(crate) fn table(
        &self,
        table: Table,
    ) -> Result<Rows<'_, RedbTable<'_, &'static [u8], &'static [u8]>>> {
        let rows = guarded(self.path, || Ok(self.transaction.open_table(table.definition())?))?;
        Ok(Rows { rows: LetGo::of(rows), path: self.path })
    }

    /// How many pages of the smallest size are in use.
    pub(crate) fn used_pages(&self) -> Result<u64> {
        guarded(self.path, || Ok(self.transaction.stats()?.allocated_pages()))
    }

    /// Removes a table, as a store of an older format has not got it.
    #[cfg(test)]
    pub(crate) fn remove_table(&self, table: Table) -> Result<()> {
        guarded(self.path, || Ok(self.transaction.delete_table(table.definition()).map(drop)?))
    }

    pub(crate) fn commit(self) -> Result<()> {
        guarded(self.path, || Ok(self.transaction.into_inner().commit()?))
    }
}

/// The rows of one table, ordered by key.
pub(crate) struct Rows<'t, T> {
    rows: LetGo<T>,
    path: &'t Path,
}

/// Every row of any table: names have no byte of this kind, and other keys are shorter.
pub(crate) const EVERY_ROW: RangeInclusive<&[u8]> = &[]..=&[0xff; 128];

/// Is shown the key and the value of a row, and says whether to go on.
pub(crate) type Visit<'v> = dyn FnMut(&[u8], &[u8]) -> Result<bool> + 'v;

/// Reading rows, in a view as well as within a change.
pub(crate) trait ReadRows {
    fn get(&self, key: &[u8]) -> Result<Option<Value<'_>>>;

    /// Shows every row of a range of keys, in order, until told to stop with `false`.
    fn scan(&self, keys: RangeInclusive<&[u8]>, visit: &mut Visit<'_>) -> Result<()>;

    fn contains(&self, key: &[u8]) -> Result<bool> {
        Ok(self.get(key)?.is_some())
    }
}

impl<T: ReadableTable<&'static [u8], &'static [u8]>> ReadRows for Rows<'_, T> {
    fn get(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        guarded(self.path, || Ok(self.rows.get(key)?.map(|row| Value(in_its_page(row)))))
    }

    fn scan(&self, keys: RangeInclusive<&[u8]>, visit: &mut Visit<'_>) -> Result<()> {
        let mut range = guarded(self.path, || Ok(self.rows.range::<&[u8]>(keys)?))?;
        let mut next = || {
            let row = range.next().transpose()?;
            Ok(row.map(|(key, value)| (in_its_page(key), in_its_page(value))))
        };
        while let Some((key, value)) = guarded(self.path, &mut next)? {
            if !visit(key.value(), value.value())? {
                break;
            }
        }
        Ok(())
    }
}

impl<T: ReadableTableMetadata> Rows<'_, T> {
    /// How many rows there are.
    pub(crate) fn len(&self) -> Result<u64> {
        guarded(self.path, || Ok(self.rows.len()?))
    }
}

impl Rows<'_, RedbTable<'_, &'static [u8], &'static [u8]>> {
    pub(crate) fn insert(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        guarded(self.path, || Ok(self.rows.insert(key, value).map(drop)?))
    }

    /// Removes a row if it is there, and says whether it was.
    pub(crate) fn remove(&mut self, key: &[u8]) -> Result<bool> {
        guarded(self.path, || Ok(self.rows.remove(key)?.is_some()))
    }

    /// Removes the rows of a range of keys of which this is true; they are shown in order.
    pub(crate) fn remove_where(
        &mut self,
        keys: RangeInclusive<&[u8]>,
        mut is_dead: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<()> {
        guarded(self.path, || Ok(self.rows.retain_in::<&[u8], _>(keys, |key, row| !is_dead(key, row))?))
    }

    /// Removes every row of a range of keys.
    pub(crate) fn remove_range(&mut self, keys: RangeInclusive<&[u8]>) -> Result<()> {
        self.remove_where(keys, |_, _| true)
    }
}

/// Reads what redb found once: a row of a damaged page that claims more than its page has makes it panic, which is to
/// happen where panics are caught.
fn in_its_page<'t>(found: AccessGuard<'t, &'static [u8]>) -> AccessGuard<'t, &'static [u8]> {
    found.value();
    found
}

/// The value of a row.
pub(crate) struct Value<'t>(AccessGuard<'t, &'static [u8]>);

impl std::ops::Deref for Value<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.value()
    }
}

/// Whatever redb reports.
struct Failure(redb::Error);

macro_rules! failure_from {
    ($($kind:ty),*) => {$(
        impl From<$kind> for Failure {
            fn from(error: $kind) -> Self {
                Self(error.into())
            }
        }
    )*};
}

failure_from!(DatabaseError, TransactionError, TableError, StorageError, CommitError, CompactionError);

impl Failure {
    fn describe(self, path: &Path) -> Error {
        use redb::Error as E;
        let again =
            "move the directory away and build again; whatever cannot be rebuilt may still be readable there";
        match self.0 {
            // What the file below said itself.
            E::Io(e) if e.get_ref().is_some_and(|own| own.is::<Error>()) => {
                e.downcast().unwrap_or_else(|e| Error::io("read or write the file of the store", path, &e))
            }
            E::Io(e) if e.kind() == std::io::ErrorKind::InvalidData => {
                Error::corrupt("this is not the file of a store, or its beginning is damaged")
                    .at(path)
                    .hint(again)
            }
            E::Io(e) if e.kind() == std::io::ErrorKind::NotFound => Error::corrupt(
                "the file of the store is missing",
            )
            .at(path)
            .hint("restore it from a copy, or remove the rest of the directory to begin with an empty store"),
            E::Io(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                Error::damaged("it ends too early").at(path)
            }
            E::Io(e) => Error::io("read or write the file of the store", path, &e),
            E::Corrupted(why) => Error::damaged(&why).at(path),
            E::TableDoesNotExist(name) => Error::damaged(&format!("the table `{name}` is missing")).at(path),
            why @ (E::TableTypeMismatch { .. }
            | E::TypeDefinitionChanged { .. }
            | E::TableIsMultimap(_)
            | E::TableIsNotMultimap(_)
            | E::LockPoisoned(_)
            | E::TransactionPoisoned) => Error::damaged(&why.to_string()).at(path),
            E::UpgradeRequired(version) => {
                Error::corrupt(format!("the file has the old layout {version}")).at(path).hint(again)
            }
            E::RepairAborted => Error::new(
                ErrorKind::ReadOnly,
                "the file was not closed cleanly, and cannot be put in order without writing",
            )
            .at(path)
            .hint("let somebody who may write there open the store once, or copy it to where you may write"),
            E::DatabaseAlreadyOpen => {
                Error::new(ErrorKind::Busy, "another program has the file of the store open for itself alone")
                    .at(path)
                    .hint("close it, then try again")
            }
            E::LockProtocolMismatch => Error::new(
                ErrorKind::Busy,
                "another version of this program has the store open, and the two cannot share it",
            )
            .at(path)
            .hint("let it finish, then try again"),
            other => Error::new(ErrorKind::Io, format!("the file of the store failed: {other}")).at(path),
        }
    }
}

thread_local! {
    /// How many panics there were since they would be caught; none where they would not.
    static CAUGHT: Cell<Option<u8>> = const { Cell::new(None) };
}

/// What becomes of a panic of this thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Panic {
    /// Nothing that this crate knows of.
    Foreign,
    /// It is caught and becomes an error, as those are that damaged files cause in the database. Need not be mentioned.
    Caught,
    /// It is the second one, of the database cleaning up after the first, and so the process will be aborted. Whoever has a
    /// panic hook may say instead what [`Error::damaged`] says, and exit.
    Fatal,
}

impl Panic {
    /// To be asked once by a panic hook.
    pub fn of_this_thread() -> Self {
        match CAUGHT.get() {
            None => Self::Foreign,
            Some(0) => {
                CAUGHT.set(Some(1));
                Self::Caught
            }
            Some(_) => Self::Fatal,
        }
    }
}

fn caught<T>(run: impl FnOnce() -> T) -> std::thread::Result<T> {
    let before = CAUGHT.replace(Some(0));
    let outcome = catch_unwind(AssertUnwindSafe(run));
    CAUGHT.set(before);
    outcome
}

/// Runs redb code. A file that was damaged from outside can make it panic; that is the file's fault, not a
/// reason to take the process down.
fn guarded<T>(path: &Path, run: impl FnOnce() -> std::result::Result<T, Failure>) -> Result<T> {
    match caught(run) {
        Ok(result) => result.map_err(|failure| failure.describe(path)),
        Err(_) => Err(Error::damaged("its pages contradict each other").at(path)),
    }
}

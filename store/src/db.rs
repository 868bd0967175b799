//! The table layer: named tables of byte rows in one transactional file. The only file that knows redb.
//!
//! Several processes have the file open for writing at once; one writes at a time, readers see the last commit
//! when they begin. Every commit is durable and records the allocator state, so that opening after a crash does
//! not walk the file. What rows mean, who waits for whom and for how long, is decided elsewhere.

use crate::error::{Error, Result};
use crate::file::StoreFile;
use crate::options::Options;
use redb::{
    AccessGuard, CommitError, CompactionError, ConcurrencyMode, Database, ReadOnlyDatabase, ReadOnlyTable,
    ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageError,
    Table as RedbTable, TableDefinition, TableError, TransactionError, WriteTransaction,
};
use std::cell::Cell;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

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

    const fn definition(self) -> Definition {
        TableDefinition::new(match self {
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
        })
    }
}

/// The open file.
pub(crate) struct Db {
    /// Taken out when it is closed and at no other time.
    file: Option<OpenFile>,
    path: PathBuf,
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
        let database = guarded(path, || {
            let file = StoreFile::open(path, false, options)?;
            let mut builder = builder(options.page_cache_bytes);
            Ok(builder.set_check_integrity_on_open(true).create_with_backend(file)?)
        })?;
        Ok(Self { file: Some(OpenFile::Writable(database)), path: path.to_owned() })
    }

    fn on(path: &Path, cache_bytes: usize, file: impl StorageBackend) -> Result<Self> {
        let database = guarded(path, || Ok(builder(cache_bytes).create_with_backend(file)?))?;
        Ok(Self { file: Some(OpenFile::Writable(database)), path: path.to_owned() })
    }

    /// Opens an existing file that cannot be written, and writes nothing.
    pub(crate) fn open_unwritable(path: &Path, options: &Options) -> Result<Self> {
        let database = guarded(path, || {
            let file = StoreFile::open_unwritable(path, options)?;
            Ok(builder(options.page_cache_bytes).open_read_only_with_backend(file)?)
        })?;
        Ok(Self { file: Some(OpenFile::Unwritable(database)), path: path.to_owned() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self) -> &OpenFile {
        self.file.as_ref().expect("nobody has it once it is closed")
    }

    /// Rewrites the file without free space, and closes it. Nobody else may have it open.
    pub(crate) fn compact(mut self) -> Result<()> {
        let Some(OpenFile::Writable(mut database)) = self.file.take() else {
            return Err(unwritable(&self.path));
        };
        guarded(&self.path, || {
            // Each pass moves what it can; the last one finds nothing to do.
            while database.compact()? {}
            Ok(())
        })
    }

    /// The last commit of any process, frozen. Short-lived: pages it can see are not reused.
    pub(crate) fn view(&self) -> Result<View<'_>> {
        let transaction = guarded(&self.path, || match self.file() {
            OpenFile::Writable(database) => Ok(database.begin_read()?),
            OpenFile::Unwritable(database) => Ok(database.begin_read()?),
        })?;
        Ok(View { transaction, path: &self.path })
    }

    /// Begins a change, unless somebody in this or another process is in one.
    pub(crate) fn try_begin(&self) -> Result<Option<Change<'_>>> {
        let OpenFile::Writable(database) = self.file() else { return Err(unwritable(&self.path)) };
        let transaction = guarded(&self.path, || match database.try_begin_write() {
            Err(TransactionError::WouldBlock) => Ok(None),
            other => Ok(Some(other?)),
        })?;
        Ok(transaction.map(|transaction| Change { transaction, path: &self.path }))
    }
}

/// Closing commits, and so meets damage as well as anything else.
impl Drop for Db {
    fn drop(&mut self) {
        let file = self.file.take();
        // What was committed stays committed, and nobody is left to be told.
        let _ = caught(|| drop(file));
    }
}

fn builder(cache_bytes: usize) -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_concurrency_mode(ConcurrencyMode::MultiWriter).set_cache_size(cache_bytes);
    builder
}

fn unwritable(path: &Path) -> Error {
    Error::new(crate::ErrorKind::ReadOnly, "the file was opened for reading only").at(path)
}

/// A frozen state of all tables.
pub(crate) struct View<'db> {
    transaction: ReadTransaction,
    path: &'db Path,
}

impl<'db> View<'db> {
    pub(crate) fn table(
        &self,
        table: Table,
    ) -> Result<Rows<'db, ReadOnlyTable<&'static [u8], &'static [u8]>>> {
        let rows = guarded(self.path, || Ok(self.transaction.open_table(table.definition())?))?;
        Ok(Rows { rows, path: self.path })
    }
}

/// A change of tables that becomes visible as a whole when committed, and not at all when dropped.
pub(crate) struct Change<'db> {
    transaction: WriteTransaction,
    path: &'db Path,
}

impl<'db> Change<'db> {
    /// Opens a table; at most one handle of a table may live at a time.
    pub(crate) fn table(
        &self,
        table: Table,
    ) -> Result<Rows<'_, RedbTable<'_, &'static [u8], &'static [u8]>>> {
        let rows = guarded(self.path, || Ok(self.transaction.open_table(table.definition())?))?;
        Ok(Rows { rows, path: self.path })
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
        let (transaction, path) = (self.transaction, self.path);
        guarded(path, || Ok(transaction.commit()?))
    }
}

/// The rows of one table, ordered by key.
pub(crate) struct Rows<'t, T> {
    rows: T,
    path: &'t Path,
}

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
                Error::corrupt("the file ends too early").at(path).hint(again)
            }
            E::Io(e) => Error::io("read or write the file of the store", path, &e),
            E::Corrupted(why) => Error::corrupt(format!("the file is damaged: {why}")).at(path).hint(again),
            E::TableDoesNotExist(name) => {
                Error::corrupt(format!("the table `{name}` is missing")).at(path).hint(again)
            }
            E::UpgradeRequired(version) => {
                Error::corrupt(format!("the file has the old layout {version}")).at(path).hint(again)
            }
            E::RepairAborted => Error::corrupt(
                "the file was not closed cleanly, and cannot be put in order without writing",
            )
            .at(path)
            .hint("let somebody who may write there open the store once, or copy it to where you may write"),
            E::DatabaseAlreadyOpen => Error::new(
                crate::ErrorKind::Busy,
                "another program has the file of the store open for itself alone",
            )
            .at(path)
            .hint("close it, then try again"),
            E::LockProtocolMismatch => Error::new(
                crate::ErrorKind::Busy,
                "another version of this program has the store open, and the two cannot share it",
            )
            .at(path)
            .hint("let it finish, then try again"),
            other => {
                Error::new(crate::ErrorKind::Io, format!("the file of the store failed: {other}")).at(path)
            }
        }
    }
}

thread_local! {
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread would be caught now and become an error, as those are that damaged files cause in the
/// database. A panic hook need not mention it.
pub fn panic_is_caught() -> bool {
    CAUGHT.get()
}

fn caught<T>(run: impl FnOnce() -> T) -> std::thread::Result<T> {
    let before = CAUGHT.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(run));
    CAUGHT.set(before);
    outcome
}

/// Runs redb code. A file that was damaged from outside can make it panic; that is the file's fault, not a
/// reason to take the process down.
fn guarded<T>(path: &Path, run: impl FnOnce() -> std::result::Result<T, Failure>) -> Result<T> {
    match caught(run) {
        Ok(result) => result.map_err(|failure| failure.describe(path)),
        Err(_) => Err(Error::corrupt("the file is damaged: its pages contradict each other").at(path)),
    }
}

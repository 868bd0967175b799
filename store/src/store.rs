//! An open store: reading, asking for hits, claiming, publishing.
//!
//! Reads look at what this process has staged first and at the file second, in that order: what leaves the
//! staged set is in the file before. Each read takes a fresh view of the file, so commits of other processes
//! are seen, and holds it no longer than the read.

use crate::blob::Blob;
use crate::claim::{Claim, Claims};
use crate::committer::{self, Item, Queue};
use crate::db::{self, Db, ReadRows, Table};
use crate::digest::{ActionKey, Digest};
use crate::error::{Error, ErrorKind, Result};
use crate::format;
use crate::gc::{self, GcMode, GcReport};
use crate::hit::{self, Damage, Look};
use crate::locks::{Held, Locks, Mode, Patience, Session};
use crate::options::Options;
use crate::payload;
use crate::publish::{Prepared, Publication, Ticket};
use crate::quarantine;
use crate::record::{ActionRecord, Provenance};
use crate::staged::Staged;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// What may lie in the directory of a store that is not finished: `mat` belongs to whoever materialises files.
const OURS: &[&str] = &[db::FILE_NAME, "locks", "mat"];

/// From this size on it pays to look whether a blob is known before compressing it.
const LOOK_FIRST_BYTES: u64 = 64 << 10;

/// An open store directory. Cheap to clone; clones share one file handle and one committing thread. Dropping the
/// last one commits what is still queued.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

/// Owns the committing thread, which itself only holds the core.
struct Shared {
    core: Arc<Core>,
    committer: Mutex<Option<JoinHandle<()>>>,
}

/// What all parts of an open store work on.
pub(crate) struct Core {
    pub(crate) db: Db,
    pub(crate) options: Options,
    pub(crate) queue: Arc<Queue>,
    pub(crate) staged: Staged,
    locks: Locks,
    claims: Arc<Claims>,
    /// How many damaged blobs and records this process has removed.
    pub(crate) damaged: AtomicU64,
    directory: PathBuf,
    /// Shared: nobody rewrites the file while it is open here.
    _in_use: Held,
}

impl Store {
    /// Opens the store in a directory, and makes it (and the directory) when there is none, unless it is for
    /// reading only.
    ///
    /// # Errors
    /// A directory of a newer format, with foreign files, or that may not be written; a damaged file; a lock
    /// that was not freed in time.
    pub fn open(directory: impl AsRef<Path>, options: &Options) -> Result<Self> {
        let directory = directory.as_ref();
        if options.read_only && !format::check(directory)? {
            return Err(Error::new(ErrorKind::NotAStore, "there is no store to read")
                .at(directory)
                .hint("name a directory that is a store"));
        }
        let create = |e| Error::io("create the directory", directory, &e);
        std::fs::create_dir_all(directory).map_err(create)?;
        let exists = format::check(directory)?;
        if !exists {
            format::check_vacant(directory, OURS)?;
        }
        let locks = Locks::create(directory)?;
        if !exists {
            make(directory, &locks, options)?;
        }
        let in_use = locks.store_in_use(options)?;
        let db = Db::open(&directory.join(db::FILE_NAME), options.page_cache_bytes)?;
        let core = Core {
            db,
            options: options.clone(),
            queue: Arc::default(),
            staged: Staged::default(),
            claims: Claims::new(locks.steps()),
            locks,
            damaged: AtomicU64::new(0),
            directory: directory.to_owned(),
            _in_use: in_use,
        };
        Ok(Self(Arc::new(Shared { core: Arc::new(core), committer: Mutex::new(None) })))
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.core().directory
    }

    pub(crate) fn core(&self) -> &Core {
        &self.0.core
    }

    /// Keeps collection away while it lives. Waits for a collection that is under way.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Busy`] when that does not end in time.
    pub fn session(&self) -> Result<Session> {
        let core = self.core();
        Ok(Session { _held: core.locks.activity(Mode::Shared, &core.options)? })
    }

    /// The bytes of a blob, staged or committed by anybody. What comes back is what the digest says: damaged
    /// bytes are removed, noticed, and missing.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn get(&self, digest: &Digest) -> Result<Option<Arc<[u8]>>> {
        let core = self.core();
        if let Some(bytes) = core.staged.blob(digest) {
            return Ok(Some(bytes));
        }
        let view = core.db.view()?;
        let heads = view.table(Table::Blobs)?;
        let bytes = hit::read_verified(&heads, &view.table(Table::Chunks)?, digest)?;
        if bytes.is_none() && heads.contains(digest.as_bytes())? {
            drop((heads, view));
            quarantine::remove(core, Damage::Blob(*digest))?;
        }
        Ok(bytes)
    }

    /// Which of these blobs are neither staged nor committed, in the order given. Looks only whether they are
    /// there, not at their bytes.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn missing(&self, digests: &[Digest]) -> Result<Vec<Digest>> {
        let core = self.core();
        let unstaged: Vec<&Digest> = digests.iter().filter(|d| !core.staged.has_blob(d)).collect();
        let view = core.db.view()?;
        let heads = view.table(Table::Blobs)?;
        let mut missing = Vec::new();
        for digest in unstaged {
            if !heads.contains(digest.as_bytes())? {
                missing.push(*digest);
            }
        }
        Ok(missing)
    }

    /// The record of an action, if it and everything that belongs to its outputs is there: the blobs, the entries
    /// of trees, what closures list. For an output that is a closure this is one look, however much it lists, as
    /// long as nothing has been deleted since it was last looked through.
    ///
    /// # Errors
    /// The file cannot be read. A record or output that is missing or damaged is not an error but a miss.
    pub fn hit(&self, key: &ActionKey) -> Result<Option<ActionRecord>> {
        let core = self.core();
        // What is staged is complete as soon as it is committed: it has its place in the queue, and whatever it
        // relies on could be seen when it was published, so was in the file or had an earlier place.
        if let Some(record) = core.staged.record(key) {
            return Ok(Some(record));
        }
        let found = hit::look(&core.db.view()?, key)?;
        match found {
            Look::Complete { record, deletions, news } => {
                if news && !core.options.read_only {
                    self.enqueue(Item::Checked { key: *key, deletions })?;
                }
                Ok(Some(record))
            }
            Look::Missing => Ok(None),
            Look::Damaged(damage) => quarantine::remove(core, damage).map(|()| None),
        }
    }

    /// The record of an action, whether or not its outputs are there.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn record(&self, key: &ActionKey) -> Result<Option<ActionRecord>> {
        let core = self.core();
        if let Some(record) = core.staged.record(key) {
            return Ok(Some(record));
        }
        let Some(row) = self.row(Table::Actions, key)? else { return Ok(None) };
        let record = ActionRecord::decode(&row).ok();
        if record.is_none() {
            quarantine::remove(core, Damage::Record(*key))?;
        }
        Ok(record)
    }

    /// The description that an action's key was derived from, once it is committed; only if it still gives that
    /// key.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn preimage(&self, key: &ActionKey) -> Result<Option<Vec<u8>>> {
        let view = self.core().db.view()?;
        let heads = view.table(Table::Preimages)?;
        let Some(row) = heads.get(key.as_bytes())? else { return Ok(None) };
        let bytes = payload::read(&row, key.as_bytes(), &view.table(Table::Chunks)?)?;
        Ok(bytes.filter(|bytes| ActionKey::of_preimage(bytes) == *key).map(|bytes| bytes.to_vec()))
    }

    /// Who ran an action and when, once it is committed, if anybody said so.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn provenance(&self, key: &ActionKey) -> Result<Option<Provenance>> {
        Ok(self.row(Table::Provenance, key)?.and_then(|row| Provenance::decode(&row).ok()))
    }

    fn row(&self, table: Table, key: &ActionKey) -> Result<Option<Vec<u8>>> {
        let rows = self.core().db.view()?.table(table)?;
        Ok(rows.get(key.as_bytes())?.map(|row| row.to_vec()))
    }

    /// Takes the right to run an action, without waiting. `None`: somebody runs it, in this process or another
    /// (or, now and then, another process runs an action whose key shares the lock file); do something else, then
    /// ask [`Self::hit`] and try again. Never wait for one claim while holding another.
    ///
    /// After getting a claim ask [`Self::hit`] once more: it may have been run in between.
    ///
    /// # Errors
    /// The lock file cannot be made or locked.
    pub fn claim(&self, key: &ActionKey) -> Result<Option<Claim>> {
        self.core().claims.claim(key)
    }

    /// Queues a publication for commit and returns at once, unless [`Options::in_flight_bytes`] are queued
    /// already. From here on this process can read it; everybody can once the ticket says so. Hold a
    /// [`Session`] from before relying on anything in the store until the commit.
    ///
    /// What is wrong with the publication is told by the ticket; a failed commit by every ticket from then on and
    /// by [`Self::flush`].
    pub fn publish(&self, publication: Publication) -> Ticket {
        let number = self
            .check_writable()
            .and_then(|()| self.prepare(publication))
            .and_then(|prepared| self.enqueue(prepared.into()));
        Ticket { queue: Arc::clone(&self.core().queue), number }
    }

    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.core().options.read_only {
            return Err(Error::new(ErrorKind::ReadOnly, "the store is open for reading only")
                .at(self.directory())
                .hint("open it for writing"));
        }
        Ok(())
    }

    fn prepare(&self, publication: Publication) -> Result<Prepared> {
        let is_known =
            |blob: &Blob| Ok(blob.len() >= LOOK_FIRST_BYTES && self.missing(&[blob.digest()])?.is_empty());
        Prepared::new(publication, is_known)
    }

    fn enqueue(&self, item: Item) -> Result<u64> {
        self.start_committer()?;
        let core = self.core();
        core.queue.push(item, core.options.in_flight_bytes, &core.staged)
    }

    fn start_committer(&self) -> Result<()> {
        let mut committer = self.0.committer.lock().unwrap_or_else(PoisonError::into_inner);
        if committer.is_none() {
            let core = Arc::clone(&self.0.core);
            let thread = std::thread::Builder::new()
                .name("store-committer".to_owned())
                .spawn(move || committer::run(&core))
                .map_err(|e| Error::io("start the committing thread for", self.directory(), &e))?;
            *committer = Some(thread);
        }
        Ok(())
    }

    /// Waits until everything this process has published is committed.
    ///
    /// # Errors
    /// Why a commit failed.
    pub fn flush(&self) -> Result<()> {
        let queue = &self.core().queue;
        let last = queue.last();
        queue.hurry(last);
        queue.wait(last)
    }

    /// Removes everything that no root needs, or says what would be removed. Waits for builds (see
    /// [`Self::session`]), and builds wait for it.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Busy`] when builds do not end in time; [`crate::ErrorKind::Corrupt`] when something
    /// is to be removed but a root, list or record that would say what is needed cannot be read (see
    /// [`GcReport::unreadable`]); the file cannot be read or written.
    pub fn gc(&self, mode: GcMode) -> Result<GcReport> {
        if mode == GcMode::Execute {
            self.check_writable()?;
        }
        let core = self.core();
        let _alone = core.locks.activity(Mode::Exclusive, &core.options)?;
        self.flush()?;
        gc::run(core, mode)
    }

    /// How many damaged blobs and records this process has met and removed.
    pub fn damaged(&self) -> u64 {
        self.core().damaged.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Store").field(&self.directory()).finish()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.core.queue.close();
        let committer = self.committer.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = committer {
            // A panic there has been told to whoever waits for a ticket.
            let _ = thread.join();
        }
    }
}

/// Makes an empty store, unless somebody else does.
fn make(directory: &Path, locks: &Locks, options: &Options) -> Result<()> {
    let mut patience = Patience::new("another process to make the store", options);
    // Whoever has made it keeps its lock, shared, while using it: the lock tells who may make it, not when it is made.
    while !format::check(directory)? {
        match locks.store_alone()? {
            None => patience.wait(directory)?,
            Some(_alone) => {
                if !format::check(directory)? {
                    drop(Db::create(&directory.join(db::FILE_NAME), options.page_cache_bytes)?);
                    format::write(directory)?;
                }
            }
        }
    }
    Ok(())
}

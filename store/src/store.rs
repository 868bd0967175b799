//! An open store: reading, asking for hits, claiming, publishing.
//!
//! Reads look at what this process has staged first and at the file second, in that order: what leaves the
//! staged set is in the file before. Each read takes a fresh view of the file, so commits of other processes
//! are seen, and holds it no longer than the read.

use crate::blob::Blob;
use crate::claim::{Claim, ClaimWait, Claims};
use crate::committer::{self, Item, Queue};
use crate::db::{Db, ReadRows, Table};
use crate::digest::{ActionKey, Digest};
use crate::error::{Error, Result};
use crate::hit::{self, Damage, Look};
use crate::last_use::LastUse;
use crate::lease::{Lease, Leased, Session};
use crate::locks::{Held, Locks};
use crate::options::Options;
use crate::payload;
use crate::publish::{Prepared, Publication, Ticket};
use crate::quarantine;
use crate::record::{ActionRecord, OutputKind, Provenance};
use crate::shared_bytes::SharedBytes;
use crate::staged::Staged;
use crate::tally::Tally;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;

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
    pub(crate) locks: Locks,
    claims: Arc<Claims>,
    /// What the sessions of this store rely on, as long as there are any.
    lease: Mutex<Weak<Lease>>,
    pub(crate) last_use: LastUse,
    pub(crate) tally: Tally,
    /// How many damaged blobs and records this process has removed.
    pub(crate) damaged: AtomicU64,
    directory: PathBuf,
    /// Shared: nobody rewrites the file while it is open here.
    _in_use: Option<Held>,
    /// Whether what is relied on can be said to collection.
    can_lease: bool,
}

impl Core {
    pub(crate) fn new(
        db: Db,
        options: Options,
        locks: Locks,
        claims: Arc<Claims>,
        directory: PathBuf,
        in_use: Option<Held>,
    ) -> Self {
        Self {
            db,
            options,
            queue: Arc::default(),
            staged: Staged::default(),
            locks,
            claims,
            lease: Mutex::default(),
            last_use: LastUse::default(),
            tally: Tally::default(),
            damaged: AtomicU64::new(0),
            directory,
            _in_use: in_use,
            can_lease: true,
        }
    }

    /// The same where nothing can be written, leases neither.
    pub(crate) fn without_leases(self) -> Self {
        Self { can_lease: false, ..self }
    }

    /// The directory of the store.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Leases these if there is a session. *Before* looking whether they are there: see [`Lease::announce`].
    pub(crate) fn announce(&self, leased: &[Leased]) -> Result<Option<Arc<Lease>>> {
        let lease = self.lease.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        if let Some(lease) = &lease {
            self.announce_in(lease, leased)?;
        }
        Ok(lease)
    }

    /// Leases these: see [`Lease::announce`].
    pub(crate) fn announce_in(&self, lease: &Lease, leased: &[Leased]) -> Result<()> {
        lease.announce(leased, || committer::begin(self).map(drop))
    }
}

impl Store {
    pub(crate) fn of(core: Core) -> Self {
        Self(Arc::new(Shared { core: Arc::new(core), committer: Mutex::new(None) }))
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.core().directory
    }

    /// Whether it was opened with [`Options::read_only`].
    pub fn is_read_only(&self) -> bool {
        self.core().options.read_only
    }

    pub(crate) fn core(&self) -> &Core {
        &self.0.core
    }

    /// From here on collection keeps what this store looks up with [`Self::hit`], [`Self::missing`], [`Self::get`] and
    /// [`Self::root`], and what it publishes, until the last of its sessions is dropped.
    ///
    /// # Errors
    /// The lease cannot be written, or a collection that is deleting does not pause in time.
    pub fn session(&self) -> Result<Session> {
        let core = self.core();
        let mut current = core.lease.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lease) = current.upgrade() {
            return Ok(Session { lease: Some(lease) });
        }
        if !core.can_lease {
            return Ok(Session { lease: None });
        }
        let lease = Arc::new(Lease::begin(&core.locks, &core.options)?);
        *current = Arc::downgrade(&lease);
        Ok(Session { lease: Some(lease) })
    }

    /// The bytes of a blob, staged or committed by anybody. What comes back is what the digest says: damaged
    /// bytes are removed, noticed, and missing.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn get(&self, digest: &Digest) -> Result<Option<SharedBytes>> {
        let core = self.core();
        if let Some(bytes) = core.staged.blob(digest) {
            return Ok(Some(bytes));
        }
        core.announce(&[Leased::Output(OutputKind::Blob, *digest)])?;
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
        let leased = |digest: &&Digest| Leased::Output(OutputKind::Blob, **digest);
        core.announce(&unstaged.iter().map(leased).collect::<Vec<_>>())?;
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
        let found = self.look(key)?;
        if found.is_some() {
            self.core().tally.hit();
        }
        Ok(found)
    }

    fn look(&self, key: &ActionKey) -> Result<Option<ActionRecord>> {
        let core = self.core();
        // What is staged is complete as soon as it is committed: it has its place in the queue, and whatever it
        // relies on could be seen when it was published, so was in the file or had an earlier place.
        if let Some(record) = core.staged.record(key) {
            return Ok(Some(record));
        }
        let lease = core.announce(&[Leased::Action(*key)])?;
        let found = hit::look(&core.db.view()?, key)?;
        match found {
            Look::Complete { record, deletions, news } => {
                if let Some(lease) = lease {
                    lease
                        .follows(record.outputs.values().map(|o| Leased::Output(OutputKind::Blob, o.digest)));
                }
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
        let record = ActionRecord::decode_row(key, &row).ok();
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

    /// Waiting for somebody who has claimed an action, for callers that have nothing else to do meanwhile.
    pub fn wait_for_claim(&self, key: &ActionKey) -> ClaimWait<'_> {
        let core = self.core();
        core.claims.wait(key, &core.options)
    }

    /// Queues a publication for commit and returns at once, unless [`Options::in_flight_bytes`] are queued
    /// already. From here on this process can read it; everybody can once the ticket says so. It is leased until it is
    /// committed; hold a [`Session`] from before relying on anything in the store until it is rooted.
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
        self.core().options.check_writable(self.directory())
    }

    fn prepare(&self, publication: Publication) -> Result<Prepared> {
        let session = self.session()?;
        if publication.action.is_some() {
            self.core().tally.run();
        }
        // Before it is looked whether they are there, and before they are committed.
        let blobs = publication.blobs.iter().map(|blob| Leased::Output(OutputKind::Blob, blob.digest()));
        let action = publication.action.iter().map(|action| Leased::Action(*action.key()));
        if let Some(lease) = &session.lease {
            self.core().announce_in(lease, &blobs.chain(action).collect::<Vec<_>>())?;
        }
        let is_known =
            |blob: &Blob| Ok(blob.len() >= LOOK_FIRST_BYTES && self.missing(&[blob.digest()])?.is_empty());
        Prepared::new(publication, session, is_known)
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
        self.core.last_use.write(&self.core);
        self.core.tally.leave(&self.core);
    }
}

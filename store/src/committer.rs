//! The one thread that writes: takes what is queued, in order, and commits it in batches.
//!
//! A commit costs milliseconds however little is in it, so a batch waits a moment for company, unless somebody
//! waits for it. Order is kept, so what depends on an earlier publication is never committed before it. After a
//! failure nothing more is written, and everybody is told why.

use crate::arrivals::{self, Arrival};
use crate::db::{Change, ReadRows, Table};
use crate::digest::{ActionKey, Digest};
use crate::error::{Error, ErrorKind, Result};
use crate::hit::{Look, look};
use crate::locks::Patience;
use crate::options::Notice;
use crate::payload::Payload;
use crate::publish::Prepared;
use crate::record::{ActionRecord, OutputKind};
use crate::root::unix_ms_now;
use crate::roots;
use crate::staged::Staged;
use crate::store::Core;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a batch waits for company.
const LINGER: Duration = Duration::from_millis(10);

/// A batch of this many bytes does not wait.
const BATCH_BYTES: usize = 32 << 20;

/// Nor does one of this many items.
const BATCH_ITEMS: usize = 4096;

/// Something to write.
pub(crate) enum Item {
    Publication(Box<Prepared>),
    /// Everything a closure lists was there when so many deletions had been made.
    Checked {
        key: ActionKey,
        deletions: u64,
    },
}

impl Item {
    fn memory_bytes(&self) -> usize {
        match self {
            Self::Publication(prepared) => prepared.memory_bytes(),
            Self::Checked { .. } => 0,
        }
    }
}

/// What waits to be committed.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    /// Something arrived, or somebody is in a hurry.
    arrived: Condvar,
    /// Something was committed, or never will be.
    committed: Condvar,
}

#[derive(Default)]
struct State {
    items: VecDeque<Item>,
    /// Since when the first item waits.
    oldest: Option<Instant>,
    queued_bytes: usize,
    /// Queued and taken by the committer, not yet committed.
    in_flight_bytes: usize,
    /// Number of the last item queued, counted from 1, and of the last committed.
    last_queued: u64,
    last_committed: u64,
    /// Somebody waits for everything up to this number.
    urgent: u64,
    closing: bool,
    failure: Option<Error>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends an item and gives its number; waits while too much is in flight. What it brings can be read as
    /// soon as, and only if, it has its place: whoever relies on that comes behind it.
    pub(crate) fn push(&self, item: Item, most_in_flight: usize, staged: &Staged) -> Result<u64> {
        let bytes = item.memory_bytes();
        let mut state = self.lock();
        while state.failure.is_none()
            && state.in_flight_bytes > 0
            && state.in_flight_bytes + bytes > most_in_flight
        {
            state.urgent = state.last_queued;
            self.arrived.notify_one();
            state = self.committed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        // While the queue is locked: nobody can see what is staged and still get ahead of it.
        if let Item::Publication(publication) = &item {
            staged.add(publication);
        }
        state.items.push_back(item);
        state.queued_bytes += bytes;
        state.in_flight_bytes += bytes;
        state.last_queued += 1;
        if state.oldest.is_none() {
            state.oldest = Some(Instant::now());
            self.arrived.notify_one();
        } else if state.queued_bytes >= BATCH_BYTES || state.items.len() >= BATCH_ITEMS {
            self.arrived.notify_one();
        }
        Ok(state.last_queued)
    }

    /// The number of the last item queued.
    pub(crate) fn last(&self) -> u64 {
        self.lock().last_queued
    }

    pub(crate) fn is_done(&self, number: u64) -> bool {
        self.lock().last_committed >= number
    }

    /// Has everything up to this number committed without the usual delay for company.
    pub(crate) fn hurry(&self, number: u64) {
        let mut state = self.lock();
        if state.last_committed < number {
            state.urgent = state.urgent.max(number);
            self.arrived.notify_one();
        }
    }

    /// Waits until everything up to this number is committed.
    pub(crate) fn wait(&self, number: u64) -> Result<()> {
        let mut state = self.lock();
        while state.last_committed < number {
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            state = self.committed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// Lets the committer end once nothing is queued.
    pub(crate) fn close(&self) {
        self.lock().closing = true;
        self.arrived.notify_one();
    }

    /// The next batch; `None` once the queue is closed and empty.
    fn next_batch(&self) -> Option<Vec<Item>> {
        let mut state = self.lock();
        loop {
            let Some(oldest) = state.oldest else {
                if state.closing {
                    return None;
                }
                state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let hurry = state.closing || state.urgent > state.last_committed;
            let big = state.queued_bytes >= BATCH_BYTES || state.items.len() >= BATCH_ITEMS;
            let left = LINGER.saturating_sub(oldest.elapsed());
            if hurry || big || left.is_zero() {
                break;
            }
            state = self.arrived.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        while bytes < BATCH_BYTES && batch.len() < BATCH_ITEMS {
            let Some(item) = state.items.pop_front() else { break };
            bytes += item.memory_bytes();
            batch.push(item);
        }
        state.queued_bytes -= bytes;
        state.oldest = (!state.items.is_empty()).then(Instant::now);
        Some(batch)
    }

    fn finished(&self, items: usize, bytes: usize, result: Result<()>) {
        let mut state = self.lock();
        state.in_flight_bytes -= bytes;
        match result {
            Ok(()) => state.last_committed += items as u64,
            Err(failure) => {
                state.failure.get_or_insert(failure);
            }
        }
        self.committed.notify_all();
    }

    fn has_failed(&self) -> Option<Error> {
        self.lock().failure.clone()
    }
}

/// Runs until the queue is closed and empty.
pub(crate) fn run(core: &Core) {
    let _told = FailOnPanic(&core.queue);
    while let Some(batch) = core.queue.next_batch() {
        let (items, bytes) = (batch.len(), batch.iter().map(Item::memory_bytes).sum());
        let result = match core.queue.has_failed() {
            Some(failure) => Err(failure),
            None => commit(core, &batch),
        };
        // Readers look at what is staged first and at the file second, so this is never a gap.
        core.staged.forget(&batch);
        let closures = if result.is_ok() { closures_of(&batch) } else { Vec::new() };
        // Frees the claims: whoever gets one now finds the record.
        drop(batch);
        core.queue.finished(items, bytes, result);
        closures.iter().for_each(|key| remember_if_complete(core, key));
    }
}

/// Nobody must wait for a committer that has died.
struct FailOnPanic<'a>(&'a Queue);

impl Drop for FailOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let failure = Error::new(ErrorKind::Io, "the committing thread of the store has crashed");
            self.0.finished(0, 0, Err(failure.hint("this is a bug of the store; please report it")));
        }
    }
}

/// Looks once, when a closure has just been published, whether all it lists is there, so that no hit has to.
fn remember_if_complete(core: &Core, key: &ActionKey) {
    // A failure only means that the next hit looks for itself, and reports what is wrong.
    if let Ok(Look::Complete { deletions, .. }) = core.db.view().and_then(|view| look(&view, key)) {
        let _ = core.queue.push(Item::Checked { key: *key, deletions }, usize::MAX, &core.staged);
    }
}

fn closures_of(batch: &[Item]) -> Vec<ActionKey> {
    publications(batch)
        .filter_map(|publication| publication.action.as_ref())
        .filter(|action| action.record.outputs.values().any(|output| output.kind == OutputKind::Closure))
        .map(|action| action.key)
        .collect()
}

pub(crate) fn publications(batch: &[Item]) -> impl Iterator<Item = &Prepared> {
    batch.iter().filter_map(|item| match item {
        Item::Publication(publication) => Some(&**publication),
        Item::Checked { .. } => None,
    })
}

fn commit(core: &Core, batch: &[Item]) -> Result<()> {
    let change = begin(core)?;
    let mut arrival = Arrival { unix_ms: unix_ms_now(), ..Arrival::default() };
    write_blobs(&change, batch, &mut arrival)?;
    write_actions(&change, batch, core, &mut arrival)?;
    arrivals::note(&change, &arrival)?;
    write_roots_and_checks(&change, batch)?;
    change.commit()
}

/// Begins a change when nobody else is in one.
pub(crate) fn begin(core: &Core) -> Result<Change<'_>> {
    let mut patience = Patience::new("another process to finish writing", &core.options);
    loop {
        match core.db.try_begin()? {
            Some(change) => return Ok(change),
            None => patience.wait(core.db.path())?,
        }
    }
}

/// Rows go in in the order of their keys: neighbours share pages, and pages are written once.
fn write_blobs(change: &Change<'_>, batch: &[Item], arrival: &mut Arrival) -> Result<()> {
    let blobs: BTreeMap<Digest, &Payload> =
        publications(batch).flat_map(|p| &p.blobs).map(|b| (b.blob.digest(), &b.payload)).collect();
    if blobs.is_empty() {
        return Ok(());
    }
    let mut heads = change.table(Table::Blobs)?;
    let mut chunks = change.table(Table::Chunks)?;
    for (digest, payload) in blobs {
        if heads.contains(digest.as_bytes())? {
            continue;
        }
        arrival.add_blob(&digest);
        heads.insert(digest.as_bytes(), payload.head())?;
        for (key, chunk) in payload.chunks(digest.as_bytes()) {
            chunks.insert(&key, chunk)?;
        }
    }
    Ok(())
}

fn write_actions(change: &Change<'_>, batch: &[Item], core: &Core, arrival: &mut Arrival) -> Result<()> {
    let mut actions: Vec<_> = publications(batch).filter_map(|p| p.action.as_ref()).collect();
    // Keeps the order of what has one key: the last counts, and a difference is noticed.
    actions.sort_by_key(|action| action.key);
    if actions.is_empty() {
        return Ok(());
    }
    let mut records = change.table(Table::Actions)?;
    let mut preimages = change.table(Table::Preimages)?;
    let mut chunks = change.table(Table::Chunks)?;
    let mut provenance = change.table(Table::Provenance)?;
    let mut signatures = change.table(Table::Signatures)?;
    for action in actions {
        let key = &action.key;
        let row = action.record.encode_row(key);
        let before = records.get(key.as_bytes())?.map(|before| ActionRecord::decode_row(key, &before).ok());
        if matches!(&before, Some(Some(before)) if *before != action.record) {
            (core.options.on_notice)(&Notice::RecordChanged(*key));
        }
        if before.flatten().as_ref() != Some(&action.record) {
            arrival.actions.push(*key);
            records.insert(key.as_bytes(), &row)?;
            match &action.provenance {
                Some(row) => provenance.insert(key.as_bytes(), row)?,
                None => drop(provenance.remove(key.as_bytes())?),
            }
        }
        for signature in &action.signatures {
            signatures.insert(&signature.row_key(key), signature.bytes())?;
        }
        if !preimages.contains(key.as_bytes())? {
            preimages.insert(key.as_bytes(), action.preimage.head())?;
            for (chunk_key, chunk) in action.preimage.chunks(key.as_bytes()) {
                chunks.insert(&chunk_key, chunk)?;
            }
        }
    }
    Ok(())
}

fn write_roots_and_checks(change: &Change<'_>, batch: &[Item]) -> Result<()> {
    for (name, root) in publications(batch).flat_map(|p| &p.roots) {
        roots::set(change, name, root)?;
    }
    for item in batch {
        if let Item::Checked { key, deletions } = item {
            change.table(Table::Checks)?.insert(key.as_bytes(), &deletions.to_le_bytes())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::{Blob, ErrorKind, Options, Publication, Store};
    use std::time::Duration;

    #[test]
    fn after_a_failed_commit_everybody_is_told_and_nothing_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { lock_timeout: Duration::from_millis(50), ..Options::default() };
        let (store, other) =
            (Store::open(directory.path(), &options), Store::open(directory.path(), &options));
        let (store, other) = (store.unwrap(), other.unwrap());
        let blob = |n: u8| Publication { blobs: vec![Blob::new([n])], ..Publication::default() };

        let in_the_way = other.core().db.try_begin().unwrap().unwrap();
        let failed = store.publish(blob(1));
        let error = failed.wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy);
        assert!(error.to_string().contains("for another process to finish writing"), "{error}");
        drop(in_the_way);

        let after = store.publish(blob(2));
        for result in [after.wait(), failed.wait(), store.flush()] {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::Busy);
        }
        assert!(!failed.is_done() && !after.is_done());
        let lost = [1, 2].map(|n| Blob::new([n]).digest());
        assert_eq!(store.missing(&lost).unwrap(), lost, "what will never be committed can be read");
        drop(store);
        assert_eq!(other.stats().unwrap().blobs, 0);
        other.publish(blob(3)).wait().unwrap();
    }

    #[test]
    fn nothing_can_be_relied_on_before_it_has_its_place_in_the_queue() {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { in_flight_bytes: 150_000, ..Options::default() };
        let store = Store::open(directory.path(), &options).unwrap();
        let other = Store::open(directory.path(), &options).unwrap();
        let [first, second] = [1, 2].map(|n| Blob::new(vec![n; 100_000]));
        let only = |blob: &Blob| Publication { blobs: vec![blob.clone()], ..Publication::default() };

        let in_the_way = other.core().db.try_begin().unwrap().unwrap();
        store.publish(only(&first));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| store.publish(only(&second)));
            // Only a publication that waits for room is in a hurry here.
            while store.core().queue.lock().urgent == 0 {
                std::thread::yield_now();
            }
            assert_eq!(store.missing(&[first.digest()]).unwrap(), [], "it is in the queue");
            // Otherwise a step that needs it would leave it out, and be committed before it.
            assert_eq!(store.missing(&[second.digest()]).unwrap(), [second.digest()]);
            assert_eq!(store.get(&second.digest()).unwrap(), None);
            drop(in_the_way);
            waiting.join().unwrap().wait().unwrap();
        });
        assert_eq!(other.missing(&[first.digest(), second.digest()]).unwrap(), []);
    }
}

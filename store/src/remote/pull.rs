//! Pulling: what a selection needs and a store lacks comes from a remote, and a record only when all that belongs to it
//! is here.
//!
//! Nothing that a remote says is believed before it is checked, and what fails the check is left out with a reason: the
//! rest is still of use. What is published is whole at every moment, so a pull that was interrupted goes on where it
//! stopped. Memory holds about 32 MiB of entries and of blobs (or one that is larger), and the names of what is known to
//! be here; entries with lists, which come last, wait in a temporary file.

use crate::blob::Blob;
use crate::digest::{ActionKey, Digest};
use crate::error::Result;
use crate::inspect::Found;
use crate::publish::NewAction;
use crate::record::{ActionRecord, OutputKind};
use crate::remote::checked::{self, Checked};
use crate::remote::progress::Meter;
use crate::remote::{
    ActionEntry, Disagreement, Lacking, Landing, Listing, Needs, Progress, Refusal, Remote, Selection,
    Wanted, in_order, needs, needs_of_outputs,
};
use crate::spool::{Place, Spool};
use crate::store::Store;
use crate::trust::{Signature, TrustPolicy};
use std::collections::{BTreeMap, HashMap, HashSet};

/// So many entries are held at a time, if they are short.
const BATCH_ACTIONS: usize = 512;

/// Entries are held, and blobs published, in batches of about so many bytes.
const BATCH_BYTES: u64 = 32 << 20;

/// How to pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullOptions {
    /// Whose records to use.
    pub trust: TrustPolicy,
    /// No longer blob is taken, whatever is claimed for it: it has to be held in memory.
    pub most_blob_bytes: u64,
    /// Compare records that are here already with the remote's.
    pub compare_all: bool,
    /// Find out what would come, and change nothing. Entries and lists are fetched and checked; of other blobs it is asked
    /// whether the remote has them, and believed how long they are.
    pub dry_run: bool,
}

impl Default for PullOptions {
    /// Every record is used; blobs of up to 2 GiB.
    fn default() -> Self {
        Self { trust: TrustPolicy::default(), most_blob_bytes: 2 << 30, compare_all: false, dry_run: false }
    }
}

/// What a pull came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullReport {
    /// Blobs that came.
    pub blobs: u64,
    /// Their bytes, not compressed.
    pub bytes: u64,
    /// Records that came.
    pub actions: u64,
    /// Actions that were here.
    pub actions_here: u64,
    /// Actions of which the remote says something else than this store. What is whole here stays.
    pub disagreements: Vec<Disagreement>,
    /// What the remote does not have, or has and was not used.
    pub left_out: Vec<Refusal>,
}

/// Brings a selection from a remote. What came is committed when this returns. Root it while a session of yours lives,
/// or a collection may take it away again.
///
/// # Errors
/// The remote cannot be used or the store not written. What came before stays, and is not asked for again.
pub fn pull(
    store: &Store,
    selection: &Selection,
    remote: &dyn Remote,
    options: &PullOptions,
    progress: &mut dyn FnMut(&Progress),
) -> Result<PullReport> {
    run(store, selection, remote, options, None, progress).map(|(report, _)| report)
}

/// The records that would have come in a dry run.
type Planned = HashMap<ActionKey, ActionRecord>;

/// The same, with the records that would have come in a dry run.
pub(super) fn pull_planned(
    store: &Store,
    selection: &Selection,
    remote: &dyn Remote,
    options: &PullOptions,
) -> Result<(PullReport, Planned)> {
    let planned = options.dry_run.then(Planned::new);
    run(store, selection, remote, options, planned, &mut |_| {})
}

fn run(
    store: &Store,
    selection: &Selection,
    remote: &dyn Remote,
    options: &PullOptions,
    planned: Option<Planned>,
    progress: &mut dyn FnMut(&Progress),
) -> Result<(PullReport, Planned)> {
    if !options.dry_run {
        store.check_writable()?;
    }
    let _session = store.session()?;
    // Who ran what here can be read once it is committed.
    store.flush()?;
    let mut pull = Pull {
        store,
        landing: Landing::new(store, options.dry_run),
        remote,
        options,
        meter: Meter::new(progress),
        report: PullReport::default(),
        here: HashSet::new(),
        refused: HashMap::new(),
        waiting: Spool::new(store),
        planned,
    };
    let pulled = pull.run(selection);
    // Also after a failure: what came is whole.
    store.flush()?;
    pulled?;
    pull.meter.tell();
    Ok((pull.report, pull.planned.unwrap_or_default()))
}

struct Pull<'a> {
    store: &'a Store,
    landing: Landing<'a>,
    remote: &'a dyn Remote,
    options: &'a PullOptions,
    meter: Meter<'a>,
    report: PullReport,
    /// Actions that are whole here.
    here: HashSet<ActionKey>,
    /// Blobs that did not, and why.
    refused: HashMap<Digest, String>,
    /// Entries with lists.
    waiting: Spool,
    /// Where somebody wants to know.
    planned: Option<Planned>,
}

/// An entry with lists that may be used, once what it lists has come.
struct Waiting {
    entry: Place,
    signatures: Vec<Signature>,
    needs: Needs,
}

/// An entry that may be used, if all that belongs to it can be had.
struct Promise {
    entry: ActionEntry,
    signatures: Vec<Signature>,
}

impl Pull<'_> {
    fn run(&mut self, selection: &Selection) -> Result<()> {
        let lists = selection.outputs.iter().filter(|(kind, _)| *kind != OutputKind::Blob);
        self.fetch(lists.map(|(_, digest)| (*digest, None)).collect())?;
        let (loose, unknown) = needs_of_outputs(&selection.outputs, &|digest| self.landing.list(digest))?;
        for (digest, lacking) in unknown {
            self.leave_out(Found::Blob(digest), self.reason(&lacking));
        }
        self.blobs(loose.blobs.iter().map(|(digest, len)| (*digest, *len)).collect())?;
        for digest in self.landing.missing(&loose.blobs.into_keys().collect::<Vec<_>>())? {
            self.leave_out(Found::Blob(digest), self.reason(&Lacking::Blob(digest)));
        }
        let mut to_do = selection.actions.clone();
        to_do.extend(loose.actions);
        let mut seen = HashSet::new();
        let mut lists = Vec::new();
        while !to_do.is_empty() {
            let mut batch = Vec::new();
            while let Some(key) = to_do.pop() {
                if seen.insert(key) {
                    batch.push(key);
                }
                if batch.len() == BATCH_ACTIONS {
                    break;
                }
            }
            lists.extend(self.actions(batch, &mut to_do)?);
            self.meter.progress.actions_known = (seen.len() + to_do.len()) as u64;
            self.meter.tell();
        }
        self.listing(lists)
    }

    /// Brings actions. Those with lists come back, and what they list is added to what is to do.
    fn actions(&mut self, keys: Vec<ActionKey>, to_do: &mut Vec<ActionKey>) -> Result<Vec<Listing<Waiting>>> {
        let mut listing = Vec::new();
        let mut wanted = self.wanted(keys)?;
        while !wanted.is_empty() {
            let (promises, rest) = self.promises(&wanted)?;
            self.keep(promises, to_do, &mut listing)?;
            wanted = rest;
        }
        Ok(listing)
    }

    /// Brings what belongs to promises and publishes them, except those with lists.
    fn keep(
        &mut self,
        promises: Vec<Promise>,
        to_do: &mut Vec<ActionKey>,
        listing: &mut Vec<Listing<Waiting>>,
    ) -> Result<()> {
        let lists_of = |promise: &Promise| {
            let outputs = promise.entry.record().outputs.values();
            let lists = outputs.filter(|output| output.kind != OutputKind::Blob);
            lists.map(|output| (output.digest, Some(output.len))).collect::<Vec<_>>()
        };
        self.fetch(promises.iter().flat_map(lists_of).collect())?;
        let mut plain = Vec::new();
        for promise in promises {
            match needs(promise.entry.record(), &|digest| self.landing.list(digest))? {
                Err(lacking) => self.leave_out(Found::Action(*promise.entry.key()), self.reason(&lacking)),
                Ok(needs) if needs.lists => {
                    to_do.extend(&needs.actions);
                    let Promise { entry, signatures } = promise;
                    let (key, actions) = (*entry.key(), needs.actions.clone());
                    let entry = self.waiting.put(&entry.encode())?;
                    listing.push(Listing { key, actions, of: Waiting { entry, signatures, needs } });
                }
                Ok(needs) => plain.push((promise, needs)),
            }
        }
        self.finish(plain)
    }

    /// Those actions that are not here, or are to be compared.
    fn wanted(&mut self, keys: Vec<ActionKey>) -> Result<Vec<ActionKey>> {
        let mut wanted = Vec::new();
        for key in keys {
            if self.store.hit(&key)?.is_some() {
                self.here.insert(key);
                self.report.actions_here += 1;
                self.meter.progress.actions += 1;
            }
            if self.options.compare_all || !self.here.contains(&key) {
                wanted.push(key);
            }
        }
        Ok(wanted)
    }

    /// Asks for entries and keeps what may be used; as many as are held at a time. The second are still to be asked for.
    fn promises(&mut self, wanted: &[ActionKey]) -> Result<(Vec<Promise>, Vec<ActionKey>)> {
        let mut replies = Vec::with_capacity(wanted.len());
        let rest = checked::get_actions(self.remote, wanted, BATCH_BYTES, &mut |key, entry| {
            replies.push((*key, entry));
        })?;
        let mut promises = Vec::new();
        for (key, reply) in replies {
            match self.promise(&key, reply)? {
                Ok(promise) if !self.here.contains(&key) => promises.push(promise),
                Ok(_) => {}
                Err(_) if self.here.contains(&key) => {}
                Err(why) => self.leave_out(Found::Action(key), why),
            }
        }
        Ok((promises, rest))
    }

    /// Whether an entry may be used, as far as it and its signatures alone can tell.
    fn promise(&mut self, key: &ActionKey, reply: Checked<ActionEntry>) -> Result<Checked<Promise>> {
        let entry = match reply {
            Ok(entry) => entry,
            Err(why) => return Ok(Err(why)),
        };
        let trust = &self.options.trust;
        let signatures = match trust.trusted.is_empty() {
            true => Vec::new(),
            false => self.remote.get_signatures(key, &trust.trusted)?,
        };
        let signatures = trust.counting(&signatures, key, entry.record());
        if let Err(why) = trust.check(&signatures) {
            return Ok(Err(why));
        }
        self.compare(key, &entry)?;
        Ok(Ok(Promise { entry, signatures }))
    }

    /// Notes when this store says something else.
    fn compare(&mut self, key: &ActionKey, entry: &ActionEntry) -> Result<()> {
        if let Some(ours) = self.store.record(key)?
            && ours != *entry.record()
        {
            self.report.disagreements.push(Disagreement {
                key: *key,
                ours,
                our_provenance: self.store.provenance(key)?,
                theirs: entry.record().clone(),
                their_provenance: self.remote.provenance(key)?,
                other: self.remote.name(),
            });
        }
        Ok(())
    }

    /// Brings actions with lists, each after those that it lists.
    fn listing(&mut self, lists: Vec<Listing<Waiting>>) -> Result<()> {
        let (ordered, circles) = in_order(lists);
        for Listing { key, actions, of } in ordered {
            match actions.iter().find(|listed| **listed != key && !self.here.contains(listed)) {
                None => {
                    let Waiting { entry, signatures, needs } = of;
                    let entry = ActionEntry::decode(&key, &self.waiting.get(entry)?)?;
                    self.finish(vec![(Promise { entry, signatures }, needs)])?;
                }
                Some(lacking) => {
                    let why = format!("it lists action {lacking}, which did not come");
                    self.leave_out(Found::Action(key), why);
                }
            }
        }
        for circle in circles {
            let why = "it lists an action that lists it, or one that does".to_owned();
            self.leave_out(Found::Action(circle.key), why);
        }
        Ok(())
    }

    /// Brings the blobs of promises, then publishes the records that have all of theirs.
    fn finish(&mut self, promises: Vec<(Promise, Needs)>) -> Result<()> {
        let wanted = promises.iter().flat_map(|(_, needs)| needs.blobs.iter());
        self.blobs(wanted.map(|(digest, len)| (*digest, *len)).collect())?;
        for (promise, needs) in promises {
            let key = *promise.entry.key();
            match self.lacking(&needs)? {
                Some(why) => self.leave_out(Found::Action(key), why),
                None => self.publish(promise)?,
            }
        }
        self.meter.tell();
        Ok(())
    }

    /// Why these needs are not met.
    fn lacking(&self, needs: &Needs) -> Result<Option<String>> {
        let digests: Vec<Digest> = needs.blobs.keys().copied().collect();
        if let Some(digest) = self.landing.missing(&digests)?.first() {
            return Ok(Some(self.reason(&Lacking::Blob(*digest))));
        }
        self.landing.lie(needs)
    }

    fn reason(&self, lacking: &Lacking) -> String {
        match lacking {
            Lacking::Blob(digest) => match self.refused.get(digest) {
                Some(why) => format!("it needs blob {digest}: {why}"),
                None => lacking.to_string(),
            },
            Lacking::List(_) => lacking.to_string(),
        }
    }

    fn publish(&mut self, promise: Promise) -> Result<()> {
        let key = *promise.entry.key();
        let (preimage, record) = promise.entry.into_parts();
        if let Some(planned) = &mut self.planned {
            planned.insert(key, record.clone());
        }
        let action = NewAction::received(preimage, record)
            .with_provenance(self.remote.provenance(&key)?)
            .with_signatures(promise.signatures);
        self.landing.action(action);
        self.here.insert(key);
        self.report.actions += 1;
        self.meter.progress.actions += 1;
        Ok(())
    }

    /// Brings those of these blobs that are not here, as far as the remote has them; of a dry run only those of which
    /// nobody says how long they are.
    fn blobs(&mut self, claims: Vec<(Digest, Option<u64>)>) -> Result<()> {
        if !self.landing.is_dry() {
            return self.fetch(claims);
        }
        let (claimed, unclaimed): (Vec<_>, Vec<_>) = claims.into_iter().partition(|(_, len)| len.is_some());
        self.fetch(unclaimed)?;
        let lens: BTreeMap<Digest, u64> =
            claimed.into_iter().filter_map(|(digest, len)| Some((digest, len?))).collect();
        let missing = self.landing.missing(&lens.keys().copied().collect::<Vec<_>>())?;
        let there = self.remote.has_many(&missing)?;
        for (digest, there) in missing.into_iter().zip(there) {
            if there {
                self.landing.would_take(digest);
                self.report.blobs += 1;
                self.report.bytes += lens[&digest];
                self.meter.moved(1, lens[&digest]);
            } else {
                self.refused.insert(digest, format!("{} does not have it", self.remote.name()));
            }
        }
        Ok(())
    }

    /// Brings those of these blobs that are not here, as far as the remote has them.
    fn fetch(&mut self, claims: Vec<(Digest, Option<u64>)>) -> Result<()> {
        let mut wanted: BTreeMap<Digest, u64> = BTreeMap::new();
        for (digest, len) in claims {
            // No more is taken than the most modest claim says.
            let most = len.unwrap_or(u64::MAX).min(self.options.most_blob_bytes);
            let known = wanted.entry(digest).or_insert(most);
            *known = most.min(*known);
        }
        let digests: Vec<Digest> = wanted.keys().copied().collect();
        let missing = self.landing.missing(&digests)?;
        let missing: Vec<Wanted> = missing
            .into_iter()
            .filter(|digest| !self.refused.contains_key(digest))
            .map(|digest| Wanted { digest, most_bytes: wanted[&digest] })
            .collect();
        let mut batch = Vec::new();
        let mut bytes = 0;
        // Borrowed apart from the rest: replies come while the remote is asked.
        let (remote, landing) = (self.remote, &mut self.landing);
        checked::get_blobs(remote, &missing, &mut |wanted, reply| {
            match reply {
                Ok(blob) => {
                    self.report.blobs += 1;
                    self.report.bytes += blob.len();
                    bytes += blob.len();
                    batch.push(blob);
                }
                Err(why) => drop(self.refused.insert(wanted.digest, why)),
            }
            if bytes >= BATCH_BYTES {
                let moved = land(landing, &mut batch, &mut bytes)?;
                self.meter.moved(moved.0, moved.1);
            }
            Ok(())
        })?;
        let moved = land(&mut self.landing, &mut batch, &mut bytes)?;
        if moved.0 > 0 {
            self.meter.moved(moved.0, moved.1);
        }
        Ok(())
    }

    fn leave_out(&mut self, what: Found, why: String) {
        self.meter.progress.actions += u64::from(matches!(what, Found::Action(_)));
        self.report.left_out.push(Refusal { what, why });
    }
}

/// Lands a batch and says how many blobs and bytes that were.
fn land(landing: &mut Landing<'_>, batch: &mut Vec<Blob>, bytes: &mut u64) -> Result<(u64, u64)> {
    let moved = (batch.len() as u64, std::mem::take(bytes));
    landing.blobs(std::mem::take(batch))?;
    Ok(moved)
}

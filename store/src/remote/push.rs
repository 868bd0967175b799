//! Pushing: what a selection needs and a remote lacks goes there, blobs before the entries that name them.
//!
//! An entry in the remote stands for everything that belongs to it, so where one is there nothing below it is looked
//! at. A push that was interrupted leaves blobs, which are found, and entries, which are whole: the next one goes on.

use crate::blob::Blob;
use crate::digest::{ActionKey, Digest};
use crate::error::Result;
use crate::inspect::Found;
use crate::record::{ActionRecord, Output, OutputKind};
use crate::remote::progress::Meter;
use crate::remote::{
    ActionEntry, Disagreement, Lacking, Listing, Needs, Progress, PutAction, Refusal, Remote, Selection,
    Wanted, in_order, needs, needs_of_outputs,
};
use crate::store::Store;
use std::collections::HashSet;

/// So many actions are dealt with at a time.
const BATCH_ACTIONS: usize = 2048;

/// About so many bytes are read before they are put.
const BATCH_BYTES: u64 = 32 << 20;

/// How to push.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PushOptions {
    /// Take no entry's word for what lies below it: compare each with ours, and look for each blob. That costs a read
    /// per action and a look per blob, and brings back what was lost in the remote.
    pub recheck: bool,
    /// The same, and read each blob there: what is not what its name says is replaced. That costs as much as pulling all of
    /// the selection.
    pub verify: bool,
}

impl PushOptions {
    fn rechecks(&self) -> bool {
        self.recheck || self.verify
    }
}

/// What a push came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushReport {
    /// Blobs that were put.
    pub blobs: u64,
    /// Their bytes, not compressed.
    pub bytes: u64,
    /// Those of them that were there and were not what their names say.
    pub mended: Vec<Digest>,
    /// Entries that were put.
    pub actions: u64,
    /// Entries that were there.
    pub actions_there: u64,
    /// Actions of which the remote says something else. Its entries stay.
    pub disagreements: Vec<Disagreement>,
    /// What is not whole in this store, and so was not pushed.
    pub left_out: Vec<Refusal>,
}

/// Brings a selection to a remote. Everything is on the remote's disk when this returns.
///
/// # Errors
/// The store cannot be read or the remote not written. What was pushed before stays, and is not pushed again.
pub fn push(
    store: &Store,
    selection: &Selection,
    remote: &dyn Remote,
    options: &PushOptions,
    progress: &mut dyn FnMut(&Progress),
) -> Result<PushReport> {
    let _session = store.session()?;
    // Descriptions can be read once they are committed.
    store.flush()?;
    let mut push = Push {
        store,
        remote,
        options,
        meter: Meter::new(progress),
        report: PushReport::default(),
        there: HashSet::new(),
        sent: HashSet::new(),
    };
    push.run(selection)?;
    push.meter.tell();
    Ok(push.report)
}

struct Push<'a> {
    store: &'a Store,
    remote: &'a dyn Remote,
    options: &'a PushOptions,
    meter: Meter<'a>,
    report: PushReport,
    /// Actions whose entry is in the remote.
    there: HashSet<ActionKey>,
    /// Blobs that are known to be in the remote.
    sent: HashSet<Digest>,
}

/// Actions of this store that may have to be put.
#[derive(Default)]
struct Candidates {
    plain: Vec<ActionKey>,
    lists: Vec<Listing<Needs>>,
}

/// The closures among the outputs of a record.
fn lists_of(record: &ActionRecord) -> impl Iterator<Item = &Output> {
    record.outputs.values().filter(|output| output.kind == OutputKind::Closure)
}

impl Push<'_> {
    fn run(&mut self, selection: &Selection) -> Result<()> {
        let (loose, unknown) = needs_of_outputs(&selection.outputs, &|digest| self.store.get(digest))?;
        for (digest, lacking) in unknown {
            self.leave_out(Found::Blob(digest), lacking.to_string());
        }
        let mut start = selection.actions.clone();
        start.extend(&loose.actions);
        let candidates = self.discover(start)?;
        for keys in candidates.plain.chunks(BATCH_ACTIONS) {
            self.plain(keys)?;
        }
        self.listing(candidates.lists)?;
        self.loose(loose)
    }

    /// Finds what belongs to the selection and is not covered by an entry that the remote has.
    fn discover(&mut self, start: Vec<ActionKey>) -> Result<Candidates> {
        let mut found = Candidates::default();
        let mut seen: HashSet<ActionKey> = HashSet::new();
        let mut round = start;
        while !round.is_empty() {
            round.retain(|key| !self.there.contains(key) && seen.insert(*key));
            let mut listing = Vec::new();
            let mut missing = Vec::new();
            // In one look: there may be very many, and most of them in the remote.
            self.store.for_each_record(&round, &mut |key, record| {
                match record {
                    Some(record) if lists_of(&record).next().is_some() => listing.push((*key, record)),
                    Some(_) => found.plain.push(*key),
                    None => missing.push(*key),
                }
                Ok(())
            })?;
            for key in missing {
                self.leave_out(Found::Action(key), "its record is missing or damaged".to_owned());
            }
            let keys: Vec<ActionKey> = listing.iter().map(|(key, _)| *key).collect();
            let equal = self.compare(&keys)?;
            round.clear();
            for (key, record) in listing {
                let needs = match needs(&record, &|digest| self.store.get(digest))? {
                    Ok(needs) => needs,
                    Err(lacking) => {
                        self.leave_out(Found::Action(key), lacking.to_string());
                        continue;
                    }
                };
                if equal.contains(&key) && !self.options.rechecks() {
                    self.cover(needs.actions);
                } else {
                    round.extend(&needs.actions);
                    found.lists.push(Listing { key, actions: needs.actions.clone(), of: needs });
                }
            }
            self.meter.progress.actions_known = seen.len() as u64;
            self.meter.tell();
        }
        if !self.options.rechecks() {
            // Some were met before the list that covers them.
            found.plain.retain(|key| !self.there.contains(key));
            found.lists.retain(|listing| !self.there.contains(&listing.key));
        }
        Ok(found)
    }

    /// Marks these as being there: an entry stands for everything that belongs to it. What they list in turn is there
    /// too, and is asked for by name should it be met.
    fn cover(&mut self, keys: Vec<ActionKey>) {
        for key in keys {
            if self.there.insert(key) {
                self.report.actions_there += 1;
                self.meter.progress.actions += 1;
            }
        }
    }

    /// Compares our records with the remote's entries; gives those that are there and equal, signatures included.
    /// All that are there are marked so.
    fn compare(&mut self, keys: &[ActionKey]) -> Result<HashSet<ActionKey>> {
        let present = self.remote.has_actions(keys)?;
        let mut present: Vec<ActionKey> =
            keys.iter().zip(present).filter_map(|(key, there)| there.then_some(*key)).collect();
        let mut equal = HashSet::new();
        while !present.is_empty() {
            let mut entries = Vec::new();
            present = super::checked::get_actions(self.remote, &present, BATCH_BYTES, &mut |key, entry| {
                entries.push((*key, entry));
            })?;
            for (key, entry) in entries {
                // One that is damaged claims nothing, and is replaced.
                let Ok(entry) = entry else { continue };
                if self.is_there(&key, entry.record())? && self.bring_signatures(&key)? {
                    equal.insert(key);
                }
            }
        }
        Ok(equal)
    }

    /// Notes that the remote has an entry; says whether it is ours.
    fn is_there(&mut self, key: &ActionKey, theirs: &ActionRecord) -> Result<bool> {
        if self.there.insert(*key) {
            self.report.actions_there += 1;
            self.meter.progress.actions += 1;
        }
        let Some(ours) = self.store.record(key)? else { return Ok(false) };
        if ours == *theirs {
            return Ok(true);
        }
        self.report.disagreements.push(Disagreement {
            key: *key,
            ours,
            our_provenance: self.store.provenance(key)?,
            theirs: theirs.clone(),
            their_provenance: self.remote.provenance(key)?,
            other: self.remote.name(),
        });
        Ok(false)
    }

    /// Puts what signatures of our record the remote lacks; says whether it had all.
    fn bring_signatures(&mut self, key: &ActionKey) -> Result<bool> {
        let mut ours = self.store.signatures(key)?;
        if ours.is_empty() {
            return Ok(true);
        }
        let signers: Vec<_> = ours.iter().map(|signature| *signature.signer()).collect();
        let theirs = self.remote.get_signatures(key, &signers)?;
        ours.retain(|signature| !theirs.contains(signature));
        if ours.is_empty() {
            return Ok(true);
        }
        self.remote.put_signatures(key, &ours)?;
        Ok(false)
    }

    /// Pushes actions without lists.
    fn plain(&mut self, keys: &[ActionKey]) -> Result<()> {
        self.compare(keys)?;
        let mut wanting = Vec::new();
        let is_due = |key: &&ActionKey| self.options.rechecks() || !self.there.contains(*key);
        for key in keys.iter().filter(is_due).copied().collect::<Vec<_>>() {
            let record = self.store.record(&key)?;
            match record.map(|record| needs(&record, &|digest| self.store.get(digest))).transpose()? {
                Some(Ok(needs)) => wanting.push((key, needs)),
                Some(Err(lacking)) => self.leave_out(Found::Action(key), lacking.to_string()),
                None => self.leave_out(Found::Action(key), "its record is missing".to_owned()),
            }
        }
        let all: Vec<Digest> = wanting.iter().flat_map(|(_, needs)| needs.blobs.keys().copied()).collect();
        let lacking = self.blobs(all)?;
        let whole = self.whole(wanting, &lacking);
        self.entries(&whole)
    }

    /// Those whose blobs are all in the remote by now.
    fn whole(&mut self, wanting: Vec<(ActionKey, Needs)>, lacking: &HashSet<Digest>) -> Vec<ActionKey> {
        let mut whole = Vec::new();
        for (key, needs) in wanting {
            match needs.blobs.keys().find(|digest| lacking.contains(*digest)) {
                None => whole.push(key),
                Some(digest) => self.leave_out(Found::Action(key), Lacking::Blob(*digest).to_string()),
            }
        }
        whole
    }

    /// Pushes actions with lists, each after those that it lists.
    fn listing(&mut self, lists: Vec<Listing<Needs>>) -> Result<()> {
        let (ordered, circles) = in_order(lists);
        for Listing { key, actions, of: needs } in ordered {
            if let Some(lacking) =
                actions.iter().find(|listed| **listed != key && !self.there.contains(listed))
            {
                self.leave_out(
                    Found::Action(key),
                    format!("it lists action {lacking}, which was not pushed"),
                );
                continue;
            }
            let lacking = self.blobs(needs.blobs.keys().copied().collect())?;
            let whole = self.whole(vec![(key, needs)], &lacking);
            self.entries(&whole)?;
        }
        for circle in circles {
            let why = "it lists an action that lists it, or one that does".to_owned();
            self.leave_out(Found::Action(circle.key), why);
        }
        Ok(())
    }

    /// Pushes what no action gave. A list goes last, when all that it lists is there.
    fn loose(&mut self, needs: Needs) -> Result<()> {
        for digest in self.blobs(needs.blobs.keys().copied().collect())? {
            self.leave_out(Found::Blob(digest), "it is missing or damaged".to_owned());
        }
        self.remote.flush()
    }

    /// Brings to the remote what it lacks of these blobs. Gives those that this store lacks too.
    fn blobs(&mut self, mut digests: Vec<Digest>) -> Result<HashSet<Digest>> {
        digests.sort_unstable();
        digests.dedup();
        digests.retain(|digest| !self.sent.contains(digest));
        let there = self.remote.has_many(&digests)?;
        let (there, wanted): (Vec<_>, Vec<_>) = digests.into_iter().zip(there).partition(|(_, there)| *there);
        let [there, mut wanted] =
            [there, wanted].map(|part| part.into_iter().map(|(digest, _)| digest).collect::<Vec<_>>());
        let damaged = if self.options.verify { self.damaged(&there)? } else { HashSet::new() };
        wanted.extend(&damaged);
        wanted.sort_unstable();
        self.sent.extend(there);
        let mut lacking = HashSet::new();
        let mut batch = Vec::new();
        let mut bytes = 0;
        for (digest, len) in wanted.iter().zip(self.store.lens(&wanted)?) {
            if bytes > 0 && bytes + len.unwrap_or(0) > BATCH_BYTES {
                self.put(&mut batch)?;
                bytes = 0;
            }
            match self.store.get(digest)? {
                Some(content) => {
                    bytes += content.len() as u64;
                    self.report.mended.extend(damaged.get(digest));
                    batch.push(Blob::verified(*digest, content));
                }
                None => drop(lacking.insert(*digest)),
            }
        }
        self.put(&mut batch)?;
        Ok(lacking)
    }

    /// Those of these blobs of the remote that are not what their names say.
    fn damaged(&self, digests: &[Digest]) -> Result<HashSet<Digest>> {
        // No longer than ours: what is longer is another one.
        let most_bytes = |len: Option<u64>| len.unwrap_or(u64::MAX);
        let lens = self.store.lens(digests)?;
        let wanted: Vec<Wanted> = digests
            .iter()
            .zip(lens)
            .map(|(digest, len)| Wanted { digest: *digest, most_bytes: most_bytes(len) })
            .collect();
        let mut damaged = HashSet::new();
        super::checked::get_blobs(self.remote, &wanted, &mut |wanted, reply| {
            if reply.is_err() {
                damaged.insert(wanted.digest);
            }
            Ok(())
        })?;
        Ok(damaged)
    }

    fn put(&mut self, batch: &mut Vec<Blob>) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        self.remote.put_many(batch)?;
        let bytes = batch.iter().map(Blob::len).sum();
        self.report.blobs += batch.len() as u64;
        self.report.bytes += bytes;
        self.meter.moved(batch.len() as u64, bytes);
        self.sent.extend(batch.drain(..).map(|blob| blob.digest()));
        Ok(())
    }

    /// Puts the entries of actions of which the remote has everything else.
    fn entries(&mut self, keys: &[ActionKey]) -> Result<()> {
        let mut entries = Vec::with_capacity(keys.len());
        for key in keys.iter().filter(|key| !self.there.contains(*key)).copied().collect::<Vec<_>>() {
            match (self.store.record(&key)?, self.store.preimage(&key)?) {
                (Some(record), Some(preimage)) => entries.push(ActionEntry::new(preimage, record)),
                _ => self.leave_out(Found::Action(key), "its description is missing or damaged".to_owned()),
            }
        }
        if entries.is_empty() {
            return Ok(());
        }
        // An entry that survives a crash must not be there without what belongs to it.
        self.remote.flush()?;
        let outcomes = self.remote.put_actions(&entries)?;
        for (key, outcome) in entries.iter().map(|entry| *entry.key()).zip(outcomes) {
            match outcome {
                PutAction::Stored => {
                    self.there.insert(key);
                    self.report.actions += 1;
                    self.meter.progress.actions += 1;
                }
                PutAction::There(bytes) => {
                    // Somebody else has put it just now.
                    let theirs = ActionEntry::decode(&key, &bytes)?;
                    self.is_there(&key, theirs.record())?;
                }
            }
            self.bring_signatures(&key)?;
        }
        self.meter.tell();
        self.remote.flush()
    }

    fn leave_out(&mut self, what: Found, why: String) {
        self.report.left_out.push(Refusal { what, why });
        self.meter.progress.actions += u64::from(matches!(what, Found::Action(_)));
    }
}

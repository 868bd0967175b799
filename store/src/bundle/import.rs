//! Reading a bundle: blobs into the store as they come, records only when the whole bundle has been checked.
//!
//! A bundle that is refused leaves at most blobs that nothing names. Actions wait in a temporary file beside the store's
//! (or in memory, if they are few), so memory is bounded by the largest blob that is allowed.

use super::item::Item;
use super::stream::Source;
use super::{Header, body};
use crate::digest::{ActionKey, Digest};
use crate::error::{Error, Result};
use crate::inspect::Found;
use crate::publish::NewAction;
use crate::remote::{
    Disagreement, Landing, Listing, Meter, Needs, Progress, Refusal, Selection, in_order, needs,
    needs_of_outputs,
};
use crate::spool::{Place, Spool};
use crate::store::Store;
use crate::trust::TrustPolicy;
use std::collections::HashSet;
use std::fmt::Display;
use std::io::Read;

/// Blobs are published in batches of about so many bytes, or so many.
const BATCH_BYTES: u64 = 32 << 20;
const BATCH_BLOBS: usize = 4096;

/// How to import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportOptions {
    /// Whose records to use.
    pub trust: TrustPolicy,
    /// A bundle with a longer blob is refused: each has to be held in memory.
    pub most_blob_bytes: u64,
    /// Check the bundle and find out what would come, and change nothing.
    pub dry_run: bool,
}

impl Default for ImportOptions {
    /// Every record is used; blobs of up to 2 GiB.
    fn default() -> Self {
        Self { trust: TrustPolicy::default(), most_blob_bytes: 2 << 30, dry_run: false }
    }
}

/// What came of a bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Blobs in the bundle.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Records that were not here.
    pub actions: u64,
    /// Actions that were here.
    pub actions_here: u64,
    /// What the bundle was made of: root this, or a collection may take it away again.
    pub selection: Selection,
    /// Actions of which the bundle says something else than this store. What is whole here stays.
    pub disagreements: Vec<Disagreement>,
    /// Actions that were not used because nobody trusted has signed them, or one that they list.
    pub left_out: Vec<Refusal>,
}

/// Brings what is in a bundle into the store. It is committed when this returns.
///
/// # Errors
/// The bundle cannot be read, is damaged, of another format, not whole, or not what it says ([`Error::message`] tells
/// where); then none of its records is used. Or the store cannot be written.
pub fn import(
    store: &Store,
    input: impl Read,
    options: &ImportOptions,
    progress: &mut dyn FnMut(&Progress),
) -> Result<ImportReport> {
    if !options.dry_run {
        store.check_writable()?;
    }
    let _session = store.session()?;
    // Who ran what here can be read once it is committed.
    store.flush()?;
    let mut meter = Meter::new(progress);
    let mut source = Source::new(input)?;
    let header = Header::read(&mut source)?;
    meter.progress.actions_known = header.actions;
    let mut landing = Landing::new(store, options.dry_run);
    blobs(&mut landing, &mut source, &header, options, &mut meter)?;
    let waiting = Waiting::read(store, &mut source, &header)?;
    source.finish()?;
    let Header { selection, blobs, bytes, .. } = header;
    let report = ImportReport { blobs, bytes, selection, ..ImportReport::default() };
    let mut import = Import { store, landing, options, meter, report, waiting };
    import.run()?;
    store.flush()?;
    Ok(import.report)
}

/// Publishes the blobs of a bundle.
fn blobs(
    landing: &mut Landing<'_>,
    source: &mut Source<impl Read>,
    header: &Header,
    options: &ImportOptions,
    meter: &mut Meter<'_>,
) -> Result<()> {
    let mut batch = Vec::new();
    let mut batch_bytes = 0;
    body::blobs(source, header, options.most_blob_bytes, &mut |blob| {
        batch_bytes += blob.len();
        batch.push(blob);
        if batch_bytes >= BATCH_BYTES || batch.len() >= BATCH_BLOBS {
            meter.moved(batch.len() as u64, std::mem::take(&mut batch_bytes));
            landing.blobs(std::mem::take(&mut batch))?;
        }
        Ok(())
    })?;
    meter.moved(batch.len() as u64, batch_bytes);
    landing.blobs(batch)
}

/// The actions of a bundle, not yet believed.
struct Waiting {
    spool: Spool,
    places: Vec<Place>,
}

impl Waiting {
    fn read(store: &Store, source: &mut Source<impl Read>, header: &Header) -> Result<Self> {
        let mut waiting = Self { spool: Spool::new(store), places: Vec::new() };
        body::actions(source, header, &mut |bytes, _| {
            waiting.places.push(waiting.spool.put(bytes)?);
            Ok(())
        })?;
        Ok(waiting)
    }

    fn get(&mut self, i: usize) -> Result<Item> {
        Item::decode(&self.spool.get(self.places[i])?)
    }
}

struct Import<'a> {
    store: &'a Store,
    landing: Landing<'a>,
    options: &'a ImportOptions,
    meter: Meter<'a>,
    report: ImportReport,
    waiting: Waiting,
}

impl Import<'_> {
    fn run(&mut self) -> Result<()> {
        // All is checked before anything is published.
        let order = self.check()?;
        for i in order {
            let item = self.waiting.get(i)?;
            self.publish(item)?;
        }
        self.meter.tell();
        Ok(())
    }

    /// Checks that everything that belongs to the actions is here. Gives the order in which to publish those that are
    /// trusted: each after those that it lists.
    fn check(&mut self) -> Result<Vec<usize>> {
        let mut order = Vec::new();
        let mut lists = Vec::new();
        let (mut accepted, mut refused) = (HashSet::new(), HashSet::new());
        for i in 0..self.waiting.places.len() {
            let entry = self.waiting.get(i)?;
            let key = *entry.entry.key();
            if let Err(why) = self.trusted(&entry) {
                refused.insert(key);
                self.leave_out(key, why);
                continue;
            }
            let needs = needs(entry.entry.record(), &|digest| self.landing.list(digest))?;
            let because = &format_args!("action {key}");
            let needs = needs.map_err(|lacking| not_whole(because, &lacking.to_string()))?;
            self.check_blobs(because, &needs)?;
            if needs.lists {
                lists.push(Listing { key, actions: needs.actions, of: i });
            } else {
                accepted.insert(key);
                order.push(i);
            }
        }
        let (ordered, circles) = in_order(lists);
        if let Some(circle) = circles.first() {
            let because = &format_args!("action {}", circle.key);
            return Err(not_whole(because, "it lists an action that lists it, or one that does"));
        }
        for Listing { key, actions, of: i } in ordered {
            let because = &format_args!("action {key}");
            let others: Vec<ActionKey> = actions.into_iter().filter(|listed| *listed != key).collect();
            match self.listed(because, &others, &accepted, &refused)? {
                None => {
                    accepted.insert(key);
                    order.push(i);
                }
                Some(untrusted) => {
                    refused.insert(key);
                    self.leave_out(key, format!("it lists action {untrusted}, which is left out"));
                }
            }
        }
        self.check_selection(&accepted, &refused)?;
        Ok(order)
    }

    /// Checks that what the bundle was made of is here and is what the bundle says.
    fn check_selection(&self, accepted: &HashSet<ActionKey>, refused: &HashSet<ActionKey>) -> Result<()> {
        let because = &"what it is said to be made of";
        let Selection { actions, outputs } = &self.report.selection;
        let (needs, unknown) = needs_of_outputs(outputs, &|digest| self.landing.list(digest))?;
        if let Some((_, lacking)) = unknown.first() {
            return Err(not_whole(because, &lacking.to_string()));
        }
        self.check_blobs(because, &needs)?;
        self.listed(because, actions, accepted, refused)?;
        self.listed(because, &needs.actions, accepted, refused).map(drop)
    }

    fn check_blobs(&self, because: &dyn Display, needs: &Needs) -> Result<()> {
        let digests: Vec<Digest> = needs.blobs.keys().copied().collect();
        if let Some(missing) = self.landing.missing(&digests)?.first() {
            return Err(not_whole(because, &format!("it needs blob {missing}, which is not there")));
        }
        match self.landing.lie(needs)? {
            Some(lie) => Err(not_whole(because, &lie)),
            None => Ok(()),
        }
    }

    fn trusted(&self, item: &Item) -> Result<(), String> {
        let (key, record) = (item.entry.key(), item.entry.record());
        self.options.trust.check(&self.options.trust.counting(&item.signatures, key, record))
    }

    /// The first of the actions listed that is not used; an error when one is nowhere.
    fn listed(
        &self,
        because: &dyn Display,
        actions: &[ActionKey],
        accepted: &HashSet<ActionKey>,
        refused: &HashSet<ActionKey>,
    ) -> Result<Option<ActionKey>> {
        let mut left_out = None;
        for listed in actions.iter().filter(|listed| !accepted.contains(*listed)) {
            if self.store.hit(listed)?.is_some() {
                continue;
            }
            if !refused.contains(listed) {
                return Err(not_whole(because, &format!("it lists action {listed}, which is not there")));
            }
            left_out.get_or_insert(*listed);
        }
        Ok(left_out)
    }

    fn publish(&mut self, item: Item) -> Result<()> {
        let Item { entry, signatures, provenance } = item;
        let key = *entry.key();
        let ours = self.store.record(&key)?;
        let is_here = ours.is_some() && self.store.hit(&key)?.is_some();
        let differs = ours.as_ref().is_some_and(|ours| ours != entry.record());
        if let Some(ours) = ours.filter(|_| differs) {
            self.report.disagreements.push(Disagreement {
                key,
                ours,
                our_provenance: self.store.provenance(&key)?,
                theirs: entry.record().clone(),
                their_provenance: provenance.clone(),
                other: "the bundle".to_owned(),
            });
        }
        self.meter.progress.actions += 1;
        self.report.actions += u64::from(!is_here);
        self.report.actions_here += u64::from(is_here);
        let signatures = self.options.trust.counting(&signatures, &key, entry.record());
        if is_here && (differs || signatures.is_empty()) {
            return Ok(());
        }
        let (preimage, record) = entry.into_parts();
        let action =
            NewAction::received(preimage, record).with_provenance(provenance).with_signatures(signatures);
        self.landing.action(action);
        Ok(())
    }

    fn leave_out(&mut self, key: ActionKey, why: String) {
        self.meter.progress.actions += 1;
        self.report.left_out.push(Refusal { what: Found::Action(key), why });
    }
}

fn not_whole(because: &dyn Display, why: &str) -> Error {
    Error::invalid(format!("the bundle is refused because of {because}: {why}")).hint(
        "nothing of it is used; if it was made to leave out what another store has, import it there, else export it again",
    )
}

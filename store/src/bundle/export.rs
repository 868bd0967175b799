//! Writing a bundle: everything that belongs to a selection and the other side does not have.

use super::Header;
use super::item::Item;
use super::stream::Sink;
use crate::closure::Closure;
use crate::digest::{ActionKey, Digest};
use crate::error::{Error, Result};
use crate::inspect::Found;
use crate::record::OutputKind;
use crate::remote::{
    ActionEntry, Lacking, Listing, Meter, Needs, Progress, Refusal, Selection, in_order, needs,
    needs_of_outputs,
};
use crate::store::Store;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::Write;

/// How to export.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExportOptions<'h> {
    /// What the other side has and need not be sent: see [`Store::inventory`] and [`super::contents`].
    pub have: Option<&'h Closure>,
    /// Send who ran what, when and for how long. Without it, two stores that built the same export the same bytes.
    pub provenance: bool,
    /// Send the signatures of records.
    pub signatures: bool,
}

/// What was exported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// Blobs.
    pub blobs: u64,
    /// Their bytes, not compressed.
    pub bytes: u64,
    /// Actions.
    pub actions: u64,
    /// Actions that the other side has.
    pub actions_there: u64,
    /// What is not whole in this store, and so was not exported.
    pub left_out: Vec<Refusal>,
}

/// Writes a selection as a bundle.
///
/// # Errors
/// The store cannot be read or the bundle not written; a blob is found to be damaged while it is written. What was
/// written until then is no bundle.
pub fn export(
    store: &Store,
    selection: &Selection,
    out: impl Write,
    options: &ExportOptions<'_>,
    progress: &mut dyn FnMut(&Progress),
) -> Result<ExportReport> {
    let _session = store.session()?;
    // Descriptions can be read once they are committed.
    store.flush()?;
    let mut gather = Gather {
        store,
        have_blobs: options.have.map_or_else(HashSet::new, |have| have.blobs().iter().copied().collect()),
        have_actions: options.have.map_or_else(HashSet::new, |have| have.actions().iter().copied().collect()),
        blobs: BTreeMap::new(),
        actions: BTreeSet::new(),
        actions_there: 0,
        left_out: Vec::new(),
    };
    let selection = gather.run(selection)?;
    let mut meter = Meter::new(progress);
    meter.progress.actions_known = gather.actions.len() as u64;
    write(gather, selection, out, options, &mut meter)
}

fn write(
    gather: Gather<'_>,
    selection: Selection,
    out: impl Write,
    options: &ExportOptions<'_>,
    meter: &mut Meter<'_>,
) -> Result<ExportReport> {
    let Gather { store, blobs, actions, actions_there, left_out, .. } = gather;
    let header = Header {
        selection: selection.sorted(),
        blobs: blobs.len() as u64,
        bytes: blobs.values().sum(),
        actions: actions.len() as u64,
    };
    header.check()?;
    let mut sink = Sink::new(out)?;
    header.write(&mut sink)?;
    for (digest, len) in &blobs {
        let bytes = store.get(digest)?.filter(|bytes| bytes.len() as u64 == *len).ok_or_else(|| {
            Error::corrupt(format!("blob {digest} was lost while it was exported"))
                .at(store.directory())
                .hint("build again what it belongs to, then export again")
        })?;
        sink.write(digest.as_bytes())?;
        sink.u64(*len)?;
        sink.write(&bytes)?;
        meter.moved(1, *len);
    }
    for key in &actions {
        let item = item(store, key, options)?.encode();
        sink.u64(item.len() as u64)?;
        sink.write(&item)?;
        meter.progress.actions += 1;
    }
    sink.finish()?;
    meter.tell();
    let Header { blobs, bytes, actions, .. } = header;
    Ok(ExportReport { blobs, bytes, actions, actions_there, left_out })
}

fn item(store: &Store, key: &ActionKey, options: &ExportOptions<'_>) -> Result<Item> {
    let (record, preimage) = (store.record(key)?, store.preimage(key)?);
    let (Some(record), Some(preimage)) = (record, preimage) else {
        return Err(Error::corrupt(format!("action {key} was lost while it was exported"))
            .at(store.directory())
            .hint("build it again, then export again"));
    };
    Ok(Item {
        entry: ActionEntry::new(preimage, record),
        signatures: if options.signatures { store.signatures(key)? } else { Vec::new() },
        provenance: if options.provenance { store.provenance(key)? } else { None },
    })
}

/// Finds what belongs to a selection.
struct Gather<'a> {
    store: &'a Store,
    have_blobs: HashSet<Digest>,
    have_actions: HashSet<ActionKey>,
    blobs: BTreeMap<Digest, u64>,
    actions: BTreeSet<ActionKey>,
    actions_there: u64,
    left_out: Vec<Refusal>,
}

impl Gather<'_> {
    /// Gives the selection as far as it is whole.
    fn run(&mut self, selection: &Selection) -> Result<Selection> {
        let mut to_do = selection.actions.clone();
        let mut taken = Vec::new();
        for output in &selection.outputs {
            let read = |digest: &Digest| self.store.get(digest);
            let (needs, unknown) = needs_of_outputs(std::slice::from_ref(output), &read)?;
            if let Some((digest, lacking)) = unknown.first() {
                self.leave_out(Found::Blob(*digest), lacking.to_string());
            } else if let Some(lacking) = self.take(&needs)? {
                self.leave_out(Found::Blob(lacking), "it is missing".to_owned());
            } else {
                to_do.extend(&needs.actions);
                taken.push((*output, needs));
            }
        }
        let mut seen = HashSet::new();
        let mut lists = Vec::new();
        while let Some(key) = to_do.pop() {
            if !seen.insert(key) {
                continue;
            }
            if self.have_actions.contains(&key) {
                self.actions_there += 1;
                to_do.extend(self.listed_by(&key)?);
                continue;
            }
            let Some(needs) = self.needs_of(&key)? else { continue };
            if needs.lists {
                to_do.extend(&needs.actions);
                lists.push(Listing { key, actions: needs.actions.clone(), of: needs });
            } else {
                self.accept(key, &needs)?;
            }
        }
        self.listing(lists)?;
        Ok(self.whole(&selection.actions, taken))
    }

    /// What of a selection comes whole. Of a closure that does not, what it lists and comes.
    fn whole(&self, actions: &[ActionKey], taken: Vec<((OutputKind, Digest), Needs)>) -> Selection {
        let coming =
            |keys: &[ActionKey]| keys.iter().filter(|key| self.comes(key)).copied().collect::<Vec<_>>();
        let mut whole = Selection::actions(coming(actions));
        for (output, needs) in taken {
            let listed = coming(&needs.actions);
            if listed.len() == needs.actions.len() {
                whole.outputs.push(output);
            } else {
                whole.actions.extend(listed);
                whole.outputs.extend(needs.blobs.into_keys().map(|digest| (OutputKind::Blob, digest)));
            }
        }
        whole
    }

    /// Whether an action is in the bundle, or on the other side.
    fn comes(&self, key: &ActionKey) -> bool {
        self.actions.contains(key) || self.have_actions.contains(key)
    }

    /// What the lists of an action that the other side has name. That should be there, too.
    fn listed_by(&self, key: &ActionKey) -> Result<Vec<ActionKey>> {
        match self.store.record(key)? {
            Some(record) if record.outputs.values().any(|output| output.kind == OutputKind::Closure) => {
                let needs = needs(&record, &|digest| self.store.get(digest))?;
                Ok(needs.map_or_else(|_| Vec::new(), |needs| needs.actions))
            }
            _ => Ok(Vec::new()),
        }
    }

    fn needs_of(&mut self, key: &ActionKey) -> Result<Option<Needs>> {
        let (Some(record), Some(_)) = (self.store.record(key)?, self.store.preimage(key)?) else {
            self.leave_out(Found::Action(*key), "its record or description is missing".to_owned());
            return Ok(None);
        };
        let needs = needs(&record, &|digest| self.store.get(digest))?;
        Ok(needs.map_err(|lacking| self.leave_out(Found::Action(*key), lacking.to_string())).ok())
    }

    /// Actions with lists come after those that they list, and only if all of those come.
    fn listing(&mut self, lists: Vec<Listing<Needs>>) -> Result<()> {
        let (ordered, circles) = in_order(lists);
        for Listing { key, actions, of } in ordered {
            match actions.iter().find(|listed| **listed != key && !self.comes(listed)) {
                None => self.accept(key, &of)?,
                Some(lacking) => {
                    self.leave_out(
                        Found::Action(key),
                        format!("it lists action {lacking}, which is left out"),
                    );
                }
            }
        }
        for circle in circles {
            let why = "it lists an action that lists it, or one that does".to_owned();
            self.leave_out(Found::Action(circle.key), why);
        }
        Ok(())
    }

    fn accept(&mut self, key: ActionKey, needs: &Needs) -> Result<()> {
        match self.take(needs)? {
            None => drop(self.actions.insert(key)),
            Some(lacking) => self.leave_out(Found::Action(key), Lacking::Blob(lacking).to_string()),
        }
        Ok(())
    }

    /// Takes blobs; if one is not here, none of them, and says which.
    fn take(&mut self, needs: &Needs) -> Result<Option<Digest>> {
        let new = needs.blobs.keys().filter(|d| !self.blobs.contains_key(d) && !self.have_blobs.contains(d));
        let new: Vec<Digest> = new.copied().collect();
        let lens = self.store.lens(&new)?;
        if let Some(missing) = lens.iter().position(Option::is_none) {
            return Ok(Some(new[missing]));
        }
        self.blobs.extend(new.into_iter().zip(lens.into_iter().flatten()));
        Ok(None)
    }

    fn leave_out(&mut self, what: Found, why: String) {
        self.left_out.push(Refusal { what, why });
    }
}

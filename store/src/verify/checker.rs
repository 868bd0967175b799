//! The look itself: each table once, in the order of the file, and then the lists that something leads to.

use super::finding::{Finding, Needs};
use super::{Depth, Verification};
use crate::arrivals;
use crate::closure::Closure;
use crate::committer;
use crate::db::{EVERY_ROW, ReadRows, Table, View};
use crate::digest::{ActionKey, Digest, Id};
use crate::error::{ErrorKind, Result};
use crate::gc::every_key;
use crate::hit::read_verified;
use crate::inspect::Found;
use crate::payload::{self, Head};
use crate::record::{ActionRecord, OutputKind, Provenance};
use crate::roots;
use crate::store::Core;
use crate::tree::Tree;
use std::collections::HashSet;

/// How often the pages are looked at beside others who commit, before they have to wait or it stays open.
const PAGE_LOOKS: u32 = 3;

pub(super) fn verify(core: &Core, depth: Depth, seed: u64) -> Result<Verification> {
    let mut seen = tables(&core.db.view()?, depth, seed)?;
    // Damage that has been met is mended, or rebuilt, with the page that it is in.
    let is_damage = |finding: &Finding| !matches!(finding, Finding::Missing(..) | Finding::StrayChunks(_));
    if depth == Depth::Full && !seen.findings.iter().any(is_damage) {
        seen.findings.extend(damage(pages(core))?.map(|why| Finding::Table("pages of the file", why)));
    }
    Ok(seen)
}

/// Whether each page that is in use is what was written. What only who writes has to read is in none of the tables.
fn pages(core: &Core) -> Result<()> {
    for _ in 0..PAGE_LOOKS {
        if core.db.check_own_pages(&core.options)? {
            return Ok(());
        }
    }
    if !core.options.read_only {
        let _alone = committer::begin(core)?;
        core.db.check_own_pages(&core.options)?;
    }
    Ok(())
}

/// What is damaged, if that is why something failed.
fn damage<T>(outcome: Result<T>) -> Result<Option<String>> {
    match outcome {
        Ok(_) => Ok(None),
        Err(e) if e.kind() == ErrorKind::Corrupt => Ok(Some(e.message().to_owned())),
        Err(e) => Err(e),
    }
}

fn tables(view: &View<'_>, depth: Depth, seed: u64) -> Result<Verification> {
    let mut closed = Vec::new();
    for table in Table::ALL {
        closed.extend(damage(view.table(table))?.map(|why| Finding::Table(table.name(), why)));
    }
    if !closed.is_empty() {
        // What the others hold cannot be told from what nothing needs, nor what is missing.
        return Ok(Verification { findings: closed, ..Verification::default() });
    }
    let mut checker = Checker {
        view,
        blobs: &view.table(Table::Blobs)?,
        chunks: &view.table(Table::Chunks)?,
        records: &view.table(Table::Actions)?,
        depth,
        seed,
        seen: Verification::default(),
        lists: Vec::new(),
        known_lists: HashSet::new(),
        named: HashSet::new(),
    };
    checker.part("content", Checker::blobs)?;
    checker.part("records", Checker::records)?;
    checker.part("roots", Checker::roots)?;
    checker.part("lists", Checker::lists)?;
    checker.part("provenance", Checker::provenance)?;
    checker.part("arrivals", Checker::arrivals)?;
    for table in [Table::Signatures, Table::Checks, Table::History, Table::LastUse, Table::Counters] {
        checker.part(table.name(), |checker| checker.readable(table))?;
    }
    if depth == Depth::Full {
        checker.part("parts of content", Checker::strays)?;
    }
    Ok(checker.seen)
}

struct Checker<'a, R> {
    view: &'a View<'a>,
    blobs: &'a R,
    chunks: &'a R,
    records: &'a R,
    depth: Depth,
    seed: u64,
    seen: Verification,
    /// Trees and closures that are still to be read.
    lists: Vec<(OutputKind, Digest, Needs)>,
    known_lists: HashSet<(OutputKind, Digest)>,
    /// Blobs and actions that have been named as damaged or missing.
    named: HashSet<Found>,
}

impl<R: ReadRows> Checker<'_, R> {
    /// Damage of the file ends the part that meets it, and nothing else.
    fn part(&mut self, what: &'static str, check: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let damage = damage(check(self))?;
        self.seen.findings.extend(damage.map(|why| Finding::Table(what, why)));
        Ok(())
    }

    fn blobs(&mut self) -> Result<()> {
        let blobs = self.blobs;
        blobs.scan(every_key(), &mut |key, row| {
            if let Ok(id) = Id::try_from(key) {
                self.blob(&Digest::from_bytes(id), row)?;
            }
            Ok(true)
        })
    }

    fn blob(&mut self, digest: &Digest, row: &[u8]) -> Result<()> {
        self.seen.blobs += 1;
        let is_good = if Head::read(row).is_none() {
            false
        } else if self.is_to_be_hashed(digest) {
            let bytes = payload::read(row, digest.as_bytes(), self.chunks)?;
            self.seen.hashed += 1;
            self.seen.hashed_bytes += bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
            bytes.is_some_and(|bytes| Digest::of(&bytes) == *digest)
        } else {
            true
        };
        if !is_good {
            self.damaged_blob(digest);
        }
        Ok(())
    }

    fn damaged_blob(&mut self, digest: &Digest) {
        if self.named.insert(Found::Blob(*digest)) {
            self.seen.findings.push(Finding::Blob(*digest));
        }
    }

    fn is_to_be_hashed(&self, digest: &Digest) -> bool {
        match self.depth {
            Depth::Quick => false,
            Depth::Full => true,
            Depth::Sample(part) => {
                let hash = blake3::Hasher::new()
                    .update(&self.seed.to_le_bytes())
                    .update(digest.as_bytes())
                    .finalize();
                let [a, b, c, d, ..] = *hash.as_bytes();
                f64::from(u32::from_le_bytes([a, b, c, d])) < part * f64::from(u32::MAX)
            }
        }
    }

    fn records(&mut self) -> Result<()> {
        let (records, preimages) = (self.records, self.view.table(Table::Preimages)?);
        records.scan(every_key(), &mut |key, row| {
            let Ok(key) = Id::try_from(key).map(ActionKey::from_bytes) else { return Ok(true) };
            self.seen.records += 1;
            match ActionRecord::decode_row(&key, row) {
                Ok(record) => self.outputs(&key, &record)?,
                Err(_) => {
                    self.named.insert(Found::Action(key));
                    self.seen.findings.push(Finding::Record(key));
                }
            }
            let preimage = preimages.get(key.as_bytes())?;
            let bytes = match preimage {
                Some(head) => payload::read(&head, key.as_bytes(), self.chunks)?,
                None => None,
            };
            if bytes.is_none_or(|bytes| ActionKey::of_preimage(&bytes) != key) {
                self.seen.findings.push(Finding::Preimage(key));
            }
            Ok(true)
        })
    }

    fn outputs(&mut self, key: &ActionKey, record: &ActionRecord) -> Result<()> {
        let needs = Needs::Content(Found::Action(*key));
        record.outputs.values().try_for_each(|output| self.needed(output.kind, &output.digest, &needs))
    }

    /// Whether a blob is there; what it lists is looked at later.
    fn needed(&mut self, kind: OutputKind, digest: &Digest, needs: &Needs) -> Result<()> {
        if !self.blobs.contains(digest.as_bytes())? {
            self.missing(Found::Blob(*digest), needs);
        } else if kind != OutputKind::Blob && self.known_lists.insert((kind, *digest)) {
            self.lists.push((kind, *digest, needs.clone()));
        }
        Ok(())
    }

    fn missing(&mut self, what: Found, needs: &Needs) {
        if self.named.insert(what) {
            self.seen.findings.push(Finding::Missing(what, needs.clone()));
        }
    }

    fn roots(&mut self) -> Result<()> {
        for (name, root) in roots::all(&self.view.table(Table::Roots)?)? {
            self.seen.roots += 1;
            match root {
                Some(root) => self.needed(root.kind, &root.target, &Needs::Root(name))?,
                None => self.seen.findings.push(Finding::Root(name)),
            }
        }
        Ok(())
    }

    fn lists(&mut self) -> Result<()> {
        while let Some((kind, digest, needs)) = self.lists.pop() {
            let Some(bytes) = read_verified(self.blobs, self.chunks, &digest)? else {
                self.damaged_blob(&digest);
                continue;
            };
            let this = Needs::Content(Found::Blob(digest));
            let closure = match kind {
                OutputKind::Tree => Tree::decode(&bytes)
                    .map(|tree| Closure::new(vec![], tree.entries().iter().map(|e| e.digest).collect())),
                OutputKind::Blob | OutputKind::Closure => Closure::decode(&bytes),
            };
            let Ok(closure) = closure else {
                self.seen.findings.push(Finding::NoList(digest, needs));
                continue;
            };
            for digest in closure.blobs() {
                self.needed(OutputKind::Blob, digest, &this)?;
            }
            for key in closure.actions() {
                if !self.records.contains(key.as_bytes())? {
                    self.missing(Found::Action(*key), &this);
                }
            }
        }
        Ok(())
    }

    fn provenance(&mut self) -> Result<()> {
        let rows = self.view.table(Table::Provenance)?;
        rows.scan(every_key(), &mut |key, row| {
            if let (Ok(id), Err(_)) = (Id::try_from(key), Provenance::decode(row)) {
                self.seen.findings.push(Finding::Provenance(ActionKey::from_bytes(id)));
            }
            Ok(true)
        })
    }

    fn arrivals(&mut self) -> Result<()> {
        let (rows, counters) = (self.view.table(Table::Arrivals)?, self.view.table(Table::Counters)?);
        self.seen.findings.extend(arrivals::damaged(&rows, &counters)?.into_iter().map(Finding::Arrival));
        Ok(())
    }

    /// What is damaged in these rows counts as missing wherever it is read.
    fn readable(&mut self, table: Table) -> Result<()> {
        self.view.table(table)?.scan(EVERY_ROW, &mut |_, _| Ok(true))
    }

    /// Chunks of neither a blob nor a preimage. Those of one owner follow one another.
    fn strays(&mut self) -> Result<()> {
        let (chunks, blobs) = (self.chunks, self.blobs);
        let preimages = self.view.table(Table::Preimages)?;
        let (first, last) = ([0; 36], [0xff; 36]);
        let mut previous = None;
        chunks.scan(&first[..]..=&last[..], &mut |key, _| {
            let Some(owner) = key.first_chunk::<32>().filter(|owner| previous != Some(**owner)) else {
                return Ok(true);
            };
            previous = Some(*owner);
            if !blobs.contains(owner)? && !preimages.contains(owner)? {
                self.seen.findings.push(Finding::StrayChunks(Digest::from_bytes(*owner)));
            }
            Ok(true)
        })
    }
}

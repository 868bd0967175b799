//! What refers to what, for all blobs and records of one view, in memory: names become numbers, so that a million
//! blobs take some tens of megabytes, and each record is read once, in the order of the file.
//!
//! Trees and closures are not read here but when marking comes to them: only then is it known that they are lists.

use super::amount::{Amount, Content};
use crate::db::{ReadRows, Table, View};
use crate::digest::{ActionKey, Digest, HexPrefix, Id};
use crate::error::{Error, Result};
use crate::payload::Head;
use crate::record::{ActionRecord, OutputKind};

/// Two bits of a number say what it numbers; this many are left.
const MOST: usize = (1 << 30) - 1;

/// Names in ascending order, each numbered by its place, with the bytes that are stored for it.
#[derive(Debug, Default)]
pub(super) struct Names {
    ids: Vec<Id>,
    bytes: Vec<u64>,
    /// How many names are before those that begin with each two bytes, once all are there: names are spread evenly, so
    /// this leaves a handful to compare.
    before: Vec<u32>,
}

impl Names {
    fn push(&mut self, id: Id, bytes: u64) -> Result<()> {
        if self.ids.len() >= MOST {
            return Err(too_many());
        }
        self.ids.push(id);
        self.bytes.push(bytes);
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn id(&self, number: u32) -> &Id {
        &self.ids[number as usize]
    }

    pub(super) fn bytes(&self, number: u32) -> u64 {
        self.bytes[number as usize]
    }

    /// Adds what is stored in another table under the same names.
    fn add_bytes(&mut self, rows: &impl ReadRows, bytes_of: impl Fn(&[u8]) -> u64) -> Result<()> {
        let mut place = 0;
        rows.scan(every_key(), &mut |key, row| {
            // Both are in the same order.
            while self.ids.get(place).is_some_and(|id| id[..] < *key) {
                place += 1;
            }
            if self.ids.get(place).is_some_and(|id| id[..] == *key) {
                self.bytes[place] += bytes_of(row);
            }
            Ok(true)
        })
    }

    /// To be called when all names are there, and before any is looked for.
    fn index(&mut self) {
        self.before = vec![0; (1 << 16) + 1];
        self.ids.iter().for_each(|id| self.before[beginning(id) + 1] += 1);
        for i in 1..self.before.len() {
            self.before[i] += self.before[i - 1];
        }
    }

    pub(super) fn find(&self, id: &Id) -> Option<u32> {
        let [first, end] = [0, 1].map(|i| self.before[beginning(id) + i] as usize);
        let place = first + self.ids[first..end].binary_search(id).ok()?;
        u32::try_from(place).ok()
    }

    /// The numbers of the names that begin with these eight bytes.
    pub(super) fn starting_with(&self, start: u64) -> impl Iterator<Item = u32> {
        let start = start.to_be_bytes();
        let first = self.ids.partition_point(|id| id[..8] < start[..]);
        let same = self.ids[first..].iter().take_while(move |id| id[..8] == start[..]);
        (0..).zip(same).filter_map(move |(i, _)| u32::try_from(first + i).ok())
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> {
        0..u32::try_from(self.ids.len()).unwrap_or(u32::MAX)
    }
}

/// The first two bytes as a number.
fn beginning(id: &Id) -> usize {
    usize::from(u16::from_be_bytes([id[0], id[1]]))
}

/// A blob that a record names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// One that the store has, by its number.
    Here(OutputKind, u32),
    /// One that it has not.
    Gone(OutputKind, Digest),
}

/// The code of no kind: the number is that of something gone.
const GONE: u32 = 3;

/// Blobs, records, and what the records name.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) blobs: Names,
    pub(super) actions: Names,
    /// Where the targets of each record begin; one more at the end.
    begins: Vec<u32>,
    /// The kind in the upper two bits, a number in the others.
    targets: Vec<u32>,
    gone: Vec<(OutputKind, Digest)>,
    /// Records that cannot be read, ascending.
    damaged: Vec<u32>,
}

impl Graph {
    pub(super) fn load(view: &View<'_>) -> Result<Self> {
        let mut graph = Self::default();
        let stored = |row: &[u8]| Head::read(row).map_or(row.len() as u64, |head| head.stored_len);
        view.table(Table::Blobs)?.scan(every_key(), &mut |key, row| {
            if let Ok(id) = Id::try_from(key) {
                graph.blobs.push(id, stored(row))?;
            }
            Ok(true)
        })?;
        graph.blobs.index();
        view.table(Table::Actions)?.scan(every_key(), &mut |key, row| {
            if let Ok(id) = Id::try_from(key) {
                graph.add_action(id, row)?;
            }
            Ok(true)
        })?;
        graph.begins.push(graph.end()?);
        graph.actions.index();
        graph.actions.add_bytes(&view.table(Table::Preimages)?, stored)?;
        graph.actions.add_bytes(&view.table(Table::Provenance)?, |row| row.len() as u64)?;
        Ok(graph)
    }

    fn add_action(&mut self, id: Id, row: &[u8]) -> Result<()> {
        self.begins.push(self.end()?);
        match ActionRecord::decode(row) {
            Ok(record) => {
                record.outputs.values().try_for_each(|output| self.add_target(output.kind, output.digest))?;
            }
            Err(_) => self.damaged.extend(u32::try_from(self.actions.ids.len())),
        }
        self.actions.push(id, row.len() as u64)
    }

    fn add_target(&mut self, kind: OutputKind, digest: Digest) -> Result<()> {
        let (code, number) = match self.blobs.find(digest.as_bytes()) {
            Some(number) => (u32::from(kind.code()), number),
            None => {
                self.gone.push((kind, digest));
                (GONE, u32::try_from(self.gone.len() - 1).map_err(|_| too_many())?)
            }
        };
        if number as usize > MOST {
            return Err(too_many());
        }
        self.targets.push((code << 30) | number);
        Ok(())
    }

    fn end(&self) -> Result<u32> {
        u32::try_from(self.targets.len()).map_err(|_| too_many())
    }

    /// What a record names; `None` when it cannot be read.
    pub(super) fn targets(&self, action: u32) -> Option<impl Iterator<Item = Target>> {
        if self.damaged.binary_search(&action).is_ok() {
            return None;
        }
        let [begin, end] = [0, 1].map(|i| self.begins[action as usize + i] as usize);
        Some(self.targets[begin..end].iter().map(|target| {
            let (code, number) = (target >> 30, target & (MOST as u32));
            match u8::try_from(code).ok().and_then(OutputKind::of_code) {
                Some(kind) => Target::Here(kind, number),
                None => {
                    let (kind, digest) = self.gone[number as usize];
                    Target::Gone(kind, digest)
                }
            }
        }))
    }

    /// All of it.
    pub(super) fn content(&self) -> Content {
        let amount =
            |names: &Names| Amount { count: names.ids.len() as u64, bytes: names.bytes.iter().sum() };
        Content { blobs: amount(&self.blobs), actions: amount(&self.actions) }
    }

    pub(super) fn blob(&self, number: u32) -> Digest {
        Digest::from_bytes(*self.blobs.id(number))
    }

    pub(super) fn action(&self, number: u32) -> ActionKey {
        ActionKey::from_bytes(*self.actions.id(number))
    }
}

/// The keys of a table whose keys are names of 32 bytes.
pub(crate) fn every_key() -> std::ops::RangeInclusive<&'static [u8]> {
    const ALL: HexPrefix = HexPrefix::ALL;
    &ALL.first[..]..=&ALL.last[..]
}

fn too_many() -> Error {
    Error::invalid(format!(
        "the store has more than {MOST} blobs or references; collection cannot number them"
    ))
}

//! Arrivals: what each commit wrote, and when.
//!
//! Collection needs two things of it. What arrived within the grace window is not collected yet. And what arrived
//! since it marked is looked at again before anything is deleted: all else in the store cannot have changed
//! meanwhile, except by deletion.

use crate::db::{Change, ReadRows, Table};
use crate::digest::{ActionKey, Digest, Id};
use crate::encoding::{Decoder, Encoder, Magic};
use crate::error::Result;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

const MAGIC: Magic = Magic { letters: b"arrv", version: 1, what: "a list of arrivals" };

/// Counts commits that wrote something.
const NEXT: &[u8] = b"arrivals";

const EVERY_NUMBER: RangeInclusive<&[u8]> = &[0; 8]..=&[0xff; 8];

/// The beginning of a digest. Enough to tell that a blob may be young: at worst an old one is kept for a day.
pub(crate) type DigestStart = u64;

/// The beginning of this digest.
pub(crate) fn start_of(id: &Id) -> DigestStart {
    let mut start = [0; 8];
    start.copy_from_slice(&id[..8]);
    u64::from_be_bytes(start)
}

/// What one commit wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// In milliseconds since 1970-01-01 UTC.
    pub(crate) unix_ms: u64,
    /// Every action whose record it wrote, also in place of another record.
    pub(crate) actions: Vec<ActionKey>,
    /// Every blob it wrote.
    pub(crate) blobs: Vec<DigestStart>,
}

impl Arrival {
    pub(crate) fn add_blob(&mut self, digest: &Digest) {
        self.blobs.push(start_of(digest.as_bytes()));
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new(MAGIC);
        out.u64(self.unix_ms);
        out.u64(self.actions.len() as u64);
        self.actions.iter().for_each(|key| out.id(key.as_bytes()));
        out.u64(self.blobs.len() as u64);
        self.blobs.iter().for_each(|start| out.u64(*start));
        out.finish()
    }

    /// When it was, without reading the rest.
    fn time(row: &[u8]) -> Option<u64> {
        Decoder::new(row, MAGIC).ok()?.u64().ok()
    }

    fn decode(row: &[u8]) -> Result<Self> {
        let mut input = Decoder::new(row, MAGIC)?;
        let unix_ms = input.u64()?;
        let actions =
            (0..input.count(32)?).map(|_| input.id().map(ActionKey::from_bytes)).collect::<Result<_>>()?;
        let blobs = (0..input.count(8)?).map(|_| input.u64()).collect::<Result<_>>()?;
        input.finish()?;
        Ok(Self { unix_ms, actions, blobs })
    }
}

/// Writes down what a change writes, as a part of it.
pub(crate) fn note(change: &Change<'_>, arrival: &Arrival) -> Result<()> {
    if arrival.actions.is_empty() && arrival.blobs.is_empty() {
        return Ok(());
    }
    let mut counters = change.table(Table::Counters)?;
    let number = next(&counters)?;
    counters.insert(NEXT, &number.wrapping_add(1).to_le_bytes())?;
    change.table(Table::Arrivals)?.insert(&number.to_be_bytes(), &arrival.encode())
}

/// The number that the next commit gets.
pub(crate) fn next(counters: &impl ReadRows) -> Result<u64> {
    let row = counters.get(NEXT)?;
    Ok(row.and_then(|row| Some(u64::from_le_bytes(row[..].try_into().ok()?))).unwrap_or(0))
}

/// Shows what the commits of these numbers wrote, of those at a time that is wanted (in milliseconds since
/// 1970-01-01 UTC); `None` for a row that cannot be read.
pub(crate) fn of(
    rows: &impl ReadRows,
    numbers: Range<u64>,
    is_wanted: impl Fn(u64) -> bool,
    visit: &mut dyn FnMut(Option<Arrival>) -> Result<()>,
) -> Result<()> {
    let Some(last) = numbers.end.checked_sub(1).filter(|last| *last >= numbers.start) else { return Ok(()) };
    rows.scan(&numbers.start.to_be_bytes()[..]..=&last.to_be_bytes()[..], &mut |_, row| {
        if Arrival::time(row).is_none_or(&is_wanted) {
            visit(Arrival::decode(row).ok())?;
        }
        Ok(true)
    })
}

/// The numbers of those that are damaged, or still to come.
pub(crate) fn damaged(rows: &impl ReadRows, counters: &impl ReadRows) -> Result<Vec<u64>> {
    let next = next(counters)?;
    let mut damaged = Vec::new();
    rows.scan(EVERY_NUMBER, &mut |key, row| {
        let number = key.try_into().map(u64::from_be_bytes);
        damaged.extend(number.ok().filter(|number| *number >= next || Arrival::decode(row).is_err()));
        Ok(true)
    })?;
    Ok(damaged)
}

/// Forgets an arrival that is damaged, or sees to it that it is not still to come. Says whether there was something to do.
pub(crate) fn mend(change: &Change<'_>, number: u64) -> Result<bool> {
    let (mut rows, mut counters) = (change.table(Table::Arrivals)?, change.table(Table::Counters)?);
    let Some(is_damaged) = rows.get(&number.to_be_bytes())?.map(|row| Arrival::decode(&row).is_err()) else {
        return Ok(false);
    };
    match number.checked_add(1).filter(|_| !is_damaged) {
        None => rows.remove(&number.to_be_bytes()),
        Some(after) if number >= next(&counters)? => {
            counters.insert(NEXT, &after.to_le_bytes()).map(|()| true)
        }
        Some(_) => Ok(false),
    }
}

/// Forgets what arrived longer ago than this, and what cannot be read, of the commits before this number.
pub(crate) fn forget_before(change: &Change<'_>, number: u64, now_unix_ms: u64, age: Duration) -> Result<()> {
    let Some(last) = number.checked_sub(1) else { return Ok(()) };
    let mut rows = change.table(Table::Arrivals)?;
    let mut old = Vec::new();
    rows.scan(&0u64.to_be_bytes()[..]..=&last.to_be_bytes()[..], &mut |key, row| {
        if Arrival::time(row).is_none_or(|time| !is_within(time, now_unix_ms, age)) {
            old.push(key.to_vec());
        }
        Ok(true)
    })?;
    old.iter().try_for_each(|key| rows.remove(key).map(drop))
}

/// Whether a moment is no longer ago than this. What a clock that was wrong put into the future is.
pub(crate) fn is_within(unix_ms: u64, now_unix_ms: u64, age: Duration) -> bool {
    u128::from(now_unix_ms.saturating_sub(unix_ms)) < age.as_millis() || unix_ms > now_unix_ms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Blob, GcPolicy, Options, Publication, Store, committer};

    #[test]
    fn the_encoding_of_arrivals_is_pinned() {
        let mut arrival =
            Arrival { unix_ms: 258, actions: vec![ActionKey::from_bytes([7; 32])], blobs: vec![] };
        arrival.add_blob(&Digest::from_bytes([9; 32]));
        let one = [1, 0, 0, 0, 0, 0, 0, 0];
        let expected = [&b"arrv\x01\x02\x01\0\0\0\0\0\0"[..], &one, &[7; 32], &one, &[9; 8]].concat();
        assert_eq!(arrival.encode(), expected);
        assert_eq!(Arrival::decode(&expected).unwrap(), arrival);
        assert!((0..expected.len()).all(|len| Arrival::decode(&expected[..len]).is_err()));
    }

    #[test]
    fn a_row_that_claims_to_come_after_the_last_commit_does_not_stop_collection() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("store"), &Options::default()).unwrap();
        let publish = |bytes: &'static [u8]| {
            let blobs = vec![Blob::new(bytes)];
            store.publish(Publication { blobs, ..Publication::default() }).wait().unwrap();
        };
        publish(b"a blob");
        let change = committer::begin(store.core()).unwrap();
        change.table(Table::Arrivals).unwrap().insert(&(1u64 << 61).to_be_bytes(), b"no arrival").unwrap();
        change.commit().unwrap();
        let policy = GcPolicy { grace: Duration::ZERO, ..GcPolicy::default() };
        let plan = store.plan_collection(&policy).unwrap();
        publish(b"meanwhile");
        let report = store.collect(plan).unwrap();
        assert_eq!(report.removed.blobs.count, 1);
        assert_eq!(
            store.missing(&[Digest::of(b"a blob"), Digest::of(b"meanwhile")]).unwrap(),
            [Digest::of(b"a blob")]
        );
    }

    #[test]
    fn a_moment_in_the_future_counts_as_now() {
        let day = Duration::from_secs(86_400);
        assert!(is_within(1_000, 2_000, day) && is_within(3_000, 2_000, Duration::ZERO));
        assert!(!is_within(2_000, 2_000, Duration::ZERO) && !is_within(0, 86_400_000, day));
    }
}

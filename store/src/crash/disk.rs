//! A disk that remembers what was written in which order, forgets what was not synced, and fails when told to.

use super::script::Acknowledged;
use crate::ErrorKind;
use crate::db::{BackendError, StorageBackend};
use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

/// What is written as a whole.
const SECTOR: usize = 4096;

/// Something that happened to the disk.
#[derive(Clone, Debug)]
enum Event {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
    /// From here on this is promised, until the next such event.
    Acknowledged(Acknowledged),
}

/// What fails.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// The input or output of this number, once.
    Once(u64),
    /// Every output from this number on.
    FullFrom(u64),
}

impl Fault {
    pub(super) fn kind(self) -> ErrorKind {
        match self {
            Self::Once(_) => ErrorKind::Io,
            Self::FullFrom(_) => ErrorKind::Full,
        }
    }
}

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    /// What was there when recording began.
    base: Vec<u8>,
    events: Option<Vec<Event>>,
    fault: Option<Fault>,
    operations: u64,
    bytes_read: u64,
    failed: bool,
}

/// A disk; clones are the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

impl Disk {
    fn with<T>(&self, run: impl FnOnce(&mut State) -> T) -> T {
        run(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Remembers everything from here on.
    pub(super) fn record(&self) {
        self.with(|state| (state.base, state.events) = (state.bytes.clone(), Some(Vec::new())));
    }

    /// Notes what is promised from here on.
    pub(super) fn acknowledge(&self, acknowledged: Acknowledged) {
        self.with(|state| state.note(|| Event::Acknowledged(acknowledged)));
    }

    /// Fails so, counted from here on.
    pub(super) fn fail(&self, fault: Fault) {
        self.with(|state| (state.fault, state.operations) = (Some(fault), 0));
    }

    /// How much has been read of it so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.with(|state| state.bytes_read)
    }

    pub(super) fn has_failed(&self) -> bool {
        self.with(|state| state.failed)
    }

    /// Works again.
    pub(super) fn mend(&self) {
        self.with(|state| state.fault = None);
    }

    pub(super) fn recording(&self) -> Recording {
        self.with(|state| Recording {
            base: state.base.clone(),
            events: state.events.clone().unwrap_or_default(),
        })
    }
}

impl State {
    fn note(&mut self, event: impl FnOnce() -> Event) {
        if let Some(events) = &mut self.events {
            events.push(event());
        }
    }

    /// Counts an operation, and fails it when it is its turn.
    fn operate(&mut self, is_output: bool) -> io::Result<()> {
        let number = self.operations;
        self.operations += 1;
        let error = match self.fault {
            Some(Fault::Once(at)) if at == number => io::Error::other("the disk does not answer"),
            Some(Fault::FullFrom(at)) if at <= number && is_output => io::ErrorKind::StorageFull.into(),
            _ => return Ok(()),
        };
        self.failed = true;
        Err(error)
    }
}

fn write_at(bytes: &mut Vec<u8>, at: u64, data: &[u8]) {
    let at = usize::try_from(at).unwrap();
    bytes.resize(bytes.len().max(at + data.len()), 0);
    bytes[at..at + data.len()].copy_from_slice(data);
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.with(|state| Ok(state.bytes.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.with(|state| {
            state.operate(false)?;
            state.bytes_read += out.len() as u64;
            let at = usize::try_from(offset).unwrap();
            let end = io::Error::from(io::ErrorKind::UnexpectedEof);
            out.copy_from_slice(state.bytes.get(at..at + out.len()).ok_or(end)?);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(|state| {
            state.operate(true)?;
            state.note(|| Event::SetLen(len));
            state.bytes.resize(usize::try_from(len).unwrap(), 0);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|state| {
            state.operate(true)?;
            state.note(|| Event::Sync);
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.with(|state| {
            state.operate(true)?;
            state.note(|| Event::Write(offset, data.to_vec()));
            write_at(&mut state.bytes, offset, data);
            Ok(())
        })
    }

    // Nobody else has the disk, so every lock is free.

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(false)
    }
}

/// How much of what was written after the last sync is there after the crash.
#[derive(Clone, Copy, Debug)]
pub(super) enum Torn {
    Nothing,
    Everything,
    /// Half of the sectors, by a seed.
    Some(u64),
}

impl Torn {
    fn survives(self, sector: u64) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Some(seed) => {
                blake3::hash(&[seed.to_le_bytes(), sector.to_le_bytes()].concat()).as_bytes()[0] & 1 == 1
            }
        }
    }
}

/// What happened to a disk.
pub(super) struct Recording {
    base: Vec<u8>,
    events: Vec<Event>,
}

impl Recording {
    pub(super) fn syncs(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Sync)).count()
    }

    /// What was promised at the end.
    pub(super) fn acknowledged(&self) -> Acknowledged {
        acknowledged(&self.events)
    }

    /// The disk after a crash between this sync and the next, and what had been promised when the first of the two was
    /// done. (What was promised later had to wait for the second.)
    pub(super) fn cut(&self, sync: usize, torn: Torn) -> (Disk, Acknowledged) {
        let syncs = self.events.iter().enumerate().filter(|(_, event)| matches!(event, Event::Sync));
        let ends: Vec<usize> = syncs.map(|(at, _)| at + 1).collect();
        let synced = if sync == 0 { 0 } else { ends[sync - 1] };
        let next = ends.get(sync).copied().unwrap_or(self.events.len());
        let mut bytes = self.base.clone();
        for event in &self.events[..synced] {
            apply(&mut bytes, event, |_| true);
        }
        let mut sector = 0;
        for event in &self.events[synced..next] {
            apply(&mut bytes, event, |_| {
                sector += 1;
                torn.survives(sector)
            });
        }
        // What is promised between the syncs has been synced by the first.
        let acknowledged = acknowledged(&self.events[..next]);
        (Disk(Arc::new(Mutex::new(State { bytes, ..State::default() }))), acknowledged)
    }
}

fn acknowledged(events: &[Event]) -> Acknowledged {
    let acknowledged = events.iter().rev().find_map(|event| match event {
        Event::Acknowledged(acknowledged) => Some(acknowledged.clone()),
        _ => None,
    });
    acknowledged.unwrap_or_default()
}

fn apply(bytes: &mut Vec<u8>, event: &Event, mut survives: impl FnMut(u64) -> bool) {
    match event {
        Event::Write(at, data) => {
            for (number, sector) in (0u64..).zip(data.chunks(SECTOR)) {
                let at = at + number * SECTOR as u64;
                if survives(at) {
                    write_at(bytes, at, sector);
                }
            }
        }
        Event::SetLen(len) => {
            if survives(*len) {
                bytes.resize(usize::try_from(*len).unwrap(), 0);
            }
        }
        Event::Sync | Event::Acknowledged(_) => {}
    }
}

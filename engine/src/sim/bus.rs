//! The shared memory bus: a LogGP model between NPU and memory agent that memory steps take instead of the fixed
//! endpoint delay.
//!
//! Every rank has an outer bus between its NPU side and its memory side, and an inner bus that a transfer also
//! crosses at the NPU side. Each end sends what is queued there, one transfer at a time, and can process what it
//! has received and send it back.

use super::Simulation;
use super::agenda::Task;
use super::algorithm::{MemoryStep, step_size};
use super::chunk::Stream;
use super::slab::Slab;
use crate::error::Error;
use crate::system::SharedBus;
use std::collections::VecDeque;

/// Gap per byte of the inner bus in nanoseconds.
const INNER_GAP_PER_BYTE_NS: f64 = 0.0038;

/// Transfers in a row after which an end lets the other go first.
const MOST_SUBSEQUENT: u32 = 8;

/// An end of one of a rank's two buses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BusEnd {
    Npu,
    Memory,
    InnerNpu,
    InnerMemory,
}

impl BusEnd {
    const COUNT: usize = 4;

    const fn partner(self) -> Self {
        match self {
            Self::Npu => Self::Memory,
            Self::Memory => Self::Npu,
            Self::InnerNpu => Self::InnerMemory,
            Self::InnerMemory => Self::InnerNpu,
        }
    }
}

/// What a rank's agenda holds for an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BusEvent {
    Sent,
    Received,
    Processed,
}

/// What an end is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Sending,
    Receiving,
}

/// A transfer that was asked for.
#[derive(Clone, Copy)]
struct Request {
    size: u64,
    /// To be processed at the end that receives it.
    process: bool,
    /// To be sent back by the end that receives it.
    back: bool,
    done: Done,
}

/// What follows a transfer.
#[derive(Clone, Copy)]
enum Done {
    /// The endpoint's part of a memory step is over.
    Step { stream: u32, reduces: bool },
    /// The transfer crossed the inner bus: a request of the outer one goes on at the NPU side.
    Outer { request: u32, next: Next },
}

#[derive(Clone, Copy)]
enum Next {
    Send,
    Process,
    Retire,
}

struct Side {
    sends: VecDeque<u32>,
    receives: VecDeque<u32>,
    processing: VecDeque<u32>,
    state: State,
    previous: State,
    /// When the last transfer ended.
    last: u64,
    /// Transfers sent since something was received.
    subsequent: u32,
    busy: bool,
}

impl Side {
    const fn new() -> Self {
        Self {
            sends: VecDeque::new(),
            receives: VecDeque::new(),
            processing: VecDeque::new(),
            state: State::Free,
            previous: State::Free,
            last: 0,
            subsequent: 0,
            busy: false,
        }
    }

    const fn rest(&mut self, now: u64) {
        self.last = now;
        self.previous = self.state;
    }
}

/// The buses of all ranks.
pub(super) struct Buses {
    bus: Option<SharedBus>,
    sides: Vec<[Side; BusEnd::COUNT]>,
    requests: Slab<Request>,
}

impl Buses {
    pub(super) fn new(bus: Option<SharedBus>, ranks: usize) -> Self {
        let ranks = if bus.is_some() { ranks } else { 0 };
        let sides = (0..ranks).map(|_| [const { Side::new() }; BusEnd::COUNT]).collect();
        Self { bus, sides, requests: Slab::new() }
    }

    fn side(&mut self, rank: u32, end: BusEnd) -> &mut Side {
        &mut self.sides[rank as usize][end as usize]
    }
}

impl Simulation<'_> {
    /// A memory step takes the way over the rank's bus.
    pub(super) fn step_over_bus(&mut self, stream: u32, step: MemoryStep) {
        let Stream { rank, phase, machine, .. } = &self.streams[stream];
        let (rank, size) = (*rank, step_size(&self.plans.phases[*phase as usize].steps, machine));
        let request = Request {
            size,
            process: step.reduces,
            back: step.back,
            done: Done::Step { stream, reduces: step.reduces },
        };
        self.request(rank, if step.outwards { BusEnd::Npu } else { BusEnd::Memory }, request);
    }

    /// Something happened at an end.
    pub(super) fn bus_event(&mut self, rank: u32, end: BusEnd, event: BusEvent) -> Result<(), Error> {
        let now = self.now;
        let side = self.buses.side(rank, end);
        match event {
            BusEvent::Sent => {
                side.rest(now);
                side.state = State::Free;
                side.subsequent += 1;
            }
            BusEvent::Received => {
                side.rest(now);
                if side.receives.len() < 2 {
                    side.state = State::Free;
                }
                if let Some(request) = side.receives.pop_front() {
                    self.received_over_bus(rank, end, request)?;
                }
            }
            BusEvent::Processed => {
                side.busy = false;
                if let Some(request) = side.processing.pop_front() {
                    self.go_back_or_retire(rank, end, request)?;
                }
                self.process_next(rank, end);
            }
        }
        self.send_next(rank, end);
        Ok(())
    }

    /// A request at an end; at the NPU side it first crosses the inner bus.
    fn request(&mut self, rank: u32, end: BusEnd, request: Request) {
        let size = request.size;
        let id = self.buses.requests.insert(request);
        if end == BusEnd::Npu {
            return self.cross(rank, BusEnd::InnerMemory, id, size, (false, false), Next::Send);
        }
        self.buses.side(rank, end).sends.push_back(id);
        self.send_next(rank, end);
    }

    /// Has an outer request cross the inner bus from one of its ends.
    fn cross(
        &mut self,
        rank: u32,
        end: BusEnd,
        outer: u32,
        size: u64,
        (process, back): (bool, bool),
        next: Next,
    ) {
        let done = Done::Outer { request: outer, next };
        self.request(rank, end, Request { size, process, back, done });
    }

    /// An end that is free sends the next request, unless it is the other end's turn.
    fn send_next(&mut self, rank: u32, end: BusEnd) {
        let side = self.buses.side(rank, end);
        if side.state != State::Free || side.sends.is_empty() {
            return;
        }
        let had_its_turn = side.subsequent > MOST_SUBSEQUENT;
        let partner = self.buses.side(rank, end.partner());
        if had_its_turn && !partner.sends.is_empty() && partner.subsequent <= MOST_SUBSEQUENT {
            return self.send_next(rank, end.partner());
        }
        self.transfer(rank, end);
    }

    /// Sends the first request of an end to the other end.
    fn transfer(&mut self, rank: u32, end: BusEnd) {
        let Some(bus) = self.buses.bus else { return };
        let now = self.now;
        let side = self.buses.side(rank, end);
        let Some(request) = side.sends.pop_front() else { return };
        let (overhead, gap) = (bus.overhead.0, bus.gap.0);
        let since = now - side.last;
        let offset =
            if side.previous == State::Sending && overhead + since <= gap { gap - since } else { overhead };
        side.state = State::Sending;
        let partner = self.buses.side(rank, end.partner());
        partner.receives.push_back(request);
        partner.previous = partner.state;
        partner.state = State::Receiving;
        partner.subsequent = 0;
        let gap_per_byte = match end {
            BusEnd::Npu | BusEnd::Memory => bus.gap_per_byte_ns,
            BusEnd::InnerNpu | BusEnd::InnerMemory => INNER_GAP_PER_BYTE_NS,
        };
        let bytes = self.buses.requests[request].size as f64 - 1.0;
        let received = offset as f64 + bytes * gap_per_byte + bus.latency.0 as f64 + overhead as f64;
        let sent = offset as f64 + gap_per_byte * bytes;
        let event = |end, event| Task::Bus { end, event };
        self.schedule(rank, received as u64, event(end.partner(), BusEvent::Received));
        self.schedule(rank, sent as u64, event(end, BusEvent::Sent));
    }

    /// An end has received a request: it is processed, sent back, or complete.
    fn received_over_bus(&mut self, rank: u32, end: BusEnd, id: u32) -> Result<(), Error> {
        let request = &mut self.buses.requests[id];
        let (size, outer) = (request.size, end == BusEnd::Npu);
        if std::mem::take(&mut request.process) {
            if outer {
                self.cross(rank, BusEnd::InnerNpu, id, size, (false, true), Next::Process);
            } else {
                self.buses.side(rank, end).processing.push_back(id);
            }
            self.process_next(rank, end);
            return Ok(());
        }
        self.go_back_or_retire(rank, end, id)
    }

    /// An end is done with a request: it is sent back or complete.
    fn go_back_or_retire(&mut self, rank: u32, end: BusEnd, id: u32) -> Result<(), Error> {
        let request = &mut self.buses.requests[id];
        let (size, back) = (request.size, std::mem::take(&mut request.back));
        match (end == BusEnd::Npu, back) {
            (true, true) => self.cross(rank, BusEnd::InnerNpu, id, size, (false, true), Next::Send),
            (true, false) => self.cross(rank, BusEnd::InnerNpu, id, size, (false, false), Next::Retire),
            (false, true) => self.buses.side(rank, end).sends.push_back(id),
            (false, false) => return self.complete_request(rank, id),
        }
        Ok(())
    }

    /// An end that is not processing starts on the next request.
    fn process_next(&mut self, rank: u32, end: BusEnd) {
        let Some(bus) = self.buses.bus else { return };
        let side = self.buses.side(rank, end);
        let Some(&request) = side.processing.front().filter(|_| !side.busy) else { return };
        side.busy = true;
        let hundreds = self.buses.requests[request].size / 100;
        let duration = hundreds.saturating_mul(bus.local_reduction_delay.0).saturating_add(50);
        self.schedule(rank, duration, Task::Bus { end, event: BusEvent::Processed });
    }

    /// A request is through.
    fn complete_request(&mut self, rank: u32, id: u32) -> Result<(), Error> {
        match self.buses.requests.remove(id).done {
            Done::Step { stream, reduces: true } => {
                self.reduce(stream);
                Ok(())
            }
            Done::Step { stream, reduces: false } => self.step_done(stream),
            Done::Outer { request, next } => {
                let end = BusEnd::Npu;
                match next {
                    Next::Send => self.buses.side(rank, end).sends.push_back(request),
                    Next::Process => {
                        self.buses.side(rank, end).processing.push_back(request);
                        self.process_next(rank, end);
                    }
                    Next::Retire => self.complete_request(rank, request)?,
                }
                self.send_next(rank, end);
                Ok(())
            }
        }
    }
}

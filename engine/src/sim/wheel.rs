//! The event queue: smallest time first, events of one time in the order in which they were scheduled.
//!
//! A hierarchical timing wheel. Digit `d` of a time is its bits `6d..6d + 6`. A run of events of one time waits on
//! the level of the highest digit in which its time differs from the current time, in the slot of that digit.
//! When the clock enters a slot, its runs move to lower levels in their order.
//!
//! Why the order of equal times survives: only the run of a time that was made last takes further events. While
//! two runs of one time wait, they are in the same slot. The level of a time only falls, and only when the clock
//! enters the slot it is in, which moves both.

use super::slab::NONE;

const DIGIT_BITS: u32 = 6;
const SLOTS: usize = 1 << DIGIT_BITS;
/// Eleven digits of six bits cover a 64-bit time.
const LEVELS: usize = 11;

/// Events of a run: as many as fit a cache line with the rest.
const RUN: usize = 6;

/// How many times' latest runs are remembered; a power of two.
const REMEMBERED: usize = 64;

/// Events of type `T` by time.
pub(super) struct Wheel<T> {
    runs: Vec<Run<T>>,
    free: Vec<u32>,
    /// The run that was made last of all times with these lower bits.
    latest: [u32; REMEMBERED],
    slots: Vec<Fifo>,
    /// One bit per slot of a level that has events.
    occupied: [u64; LEVELS],
    /// One bit per level that has events.
    occupied_levels: u32,
    /// The run that events are taken from, which is in no slot.
    current: u32,
    /// The time that digits are compared with; never after the earliest event.
    base: u64,
}

/// Successive events of one time.
#[derive(Clone, Copy)]
struct Run<T> {
    time: u64,
    next: u32,
    taken: u16,
    len: u16,
    events: [T; RUN],
}

#[derive(Clone, Copy)]
struct Fifo {
    head: u32,
    tail: u32,
}

const EMPTY: Fifo = Fifo { head: NONE, tail: NONE };

impl<T: Copy> Wheel<T> {
    pub(super) fn new() -> Self {
        Self {
            runs: Vec::new(),
            free: Vec::new(),
            latest: [NONE; REMEMBERED],
            slots: vec![EMPTY; LEVELS * SLOTS],
            occupied: [0; LEVELS],
            occupied_levels: 0,
            current: NONE,
            base: 0,
        }
    }

    /// Schedules an event behind all others of its time, which must not be before the last event taken.
    #[inline]
    pub(super) fn push(&mut self, time: u64, event: T) {
        debug_assert!(time >= self.base);
        let latest = self.latest[time as usize % REMEMBERED];
        if let Some(run) = self.runs.get_mut(latest as usize)
            && run.time == time
            && let Some(place) = run.events.get_mut(usize::from(run.len))
        {
            *place = event;
            run.len += 1;
        } else {
            self.push_run(time, event);
        }
    }

    /// Schedules an event in a run of its own.
    fn push_run(&mut self, time: u64, event: T) {
        let run = Run { time, next: NONE, taken: 0, len: 1, events: [event; RUN] };
        let id = match self.free.pop() {
            Some(id) => {
                self.runs[id as usize] = run;
                id
            }
            None => {
                self.runs.push(run);
                (self.runs.len() - 1) as u32
            }
        };
        self.latest[time as usize % REMEMBERED] = id;
        self.place(id, time);
    }

    /// Takes the next event.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<(u64, T)> {
        if self.current == NONE {
            self.advance()?;
        }
        let run = &mut self.runs[self.current as usize];
        let (time, event) = (run.time, run.events[usize::from(run.taken)]);
        run.taken += 1;
        if run.taken == run.len {
            // Full, so that it takes no more events.
            run.len = RUN as u16;
            self.free.push(self.current);
            self.current = NONE;
        }
        Some((time, event))
    }

    /// Makes the earliest run the current one.
    fn advance(&mut self) -> Option<()> {
        while self.occupied_levels != 0 {
            let level = self.occupied_levels.trailing_zeros() as usize;
            let digit = self.occupied[level].trailing_zeros();
            let slot = level * SLOTS + digit as usize;
            let Fifo { head, tail } = self.slots[slot];
            let Run { time, next, .. } = self.runs[head as usize];
            if level == 0 || head == tail {
                // All that is left is at this time or later, and nothing is on a lower level.
                self.base = time;
                self.slots[slot].head = next;
                if next == NONE {
                    self.clear(level, digit);
                }
                self.current = head;
                return Some(());
            }
            let shift = level as u32 * DIGIT_BITS;
            self.base = time >> shift << shift;
            self.clear(level, digit);
            self.scatter(head);
        }
        None
    }

    /// Marks a slot as empty.
    fn clear(&mut self, level: usize, digit: u32) {
        self.slots[level * SLOTS + digit as usize] = EMPTY;
        self.occupied[level] &= !(1 << digit);
        if self.occupied[level] == 0 {
            self.occupied_levels &= !(1 << level);
        }
    }

    /// Places every run of a list anew, in order.
    fn scatter(&mut self, head: u32) {
        let mut id = head;
        while id != NONE {
            let run = &mut self.runs[id as usize];
            let (time, next) = (run.time, run.next);
            run.next = NONE;
            self.place(id, time);
            id = next;
        }
    }

    fn place(&mut self, id: u32, time: u64) {
        let level = (63 - ((time ^ self.base) | 1).leading_zeros()) / DIGIT_BITS;
        let digit = (time >> (level * DIGIT_BITS)) as usize % SLOTS;
        let slot = &mut self.slots[level as usize * SLOTS + digit];
        if slot.head == NONE {
            slot.head = id;
            self.occupied[level as usize] |= 1 << digit;
            self.occupied_levels |= 1 << level;
        } else {
            self.runs[slot.tail as usize].next = id;
        }
        slot.tail = id;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Pushes and pops at random, with many equal times, against a map of queues.
    #[test]
    fn order_is_by_time_then_by_scheduling() {
        let mut wheel = Wheel::new();
        let mut model: BTreeMap<(u64, u64), u64> = BTreeMap::new();
        let mut random = 7_u64;
        let mut draw = |bound: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % bound
        };
        let mut now = 0;
        for sequence in 0..200_000_u64 {
            let span = [1, 3, 70, 5_000, 300_000, 1 << 30][draw(6) as usize];
            if draw(100) < 52 {
                let time = now + draw(span);
                wheel.push(time, sequence);
                model.insert((time, sequence), sequence);
            } else {
                let expected = model.pop_first().map(|((time, _), event)| (time, event));
                assert_eq!(wheel.pop(), expected);
                now = expected.map_or(now, |(time, _)| time);
            }
        }
        while let Some(((time, _), event)) = model.pop_first() {
            assert_eq!(wheel.pop(), Some((time, event)));
        }
        assert_eq!(wheel.pop(), None);
    }

    #[test]
    fn an_event_at_the_current_time_runs_after_those_already_there() {
        let mut wheel = Wheel::new();
        wheel.push(5, 'a');
        wheel.push(5, 'b');
        assert_eq!(wheel.pop(), Some((5, 'a')));
        wheel.push(5, 'c');
        assert_eq!(wheel.pop(), Some((5, 'b')));
        assert_eq!(wheel.pop(), Some((5, 'c')));
    }

    #[test]
    fn the_whole_range_of_times_is_covered() {
        let mut wheel = Wheel::new();
        wheel.push(u64::MAX, 2);
        wheel.push(u64::MAX - 1, 1);
        assert_eq!((wheel.pop(), wheel.pop()), (Some((u64::MAX - 1, 1)), Some((u64::MAX, 2))));
    }
}

//! The event queue: smallest time first, events of one time in the order in which they were scheduled.
//!
//! A hierarchical timing wheel. Digit `d` of a time is its bits `6d..6d + 6`. An event waits on the level of
//! the highest digit in which its time differs from the current time, in the slot of that digit. When the
//! clock enters a slot, its events move to lower levels in their order.
//!
//! Why the order of equal times survives: while two events of one time wait, they are in the same slot. The
//! level of a time only falls, and only when the clock enters the slot it is in, which moves both.

use super::slab::{NONE, Slab};

const DIGIT_BITS: u32 = 6;
const SLOTS: usize = 1 << DIGIT_BITS;
/// Eleven digits of six bits cover a 64-bit time.
const LEVELS: usize = 11;

/// Events of type `T` by time.
pub(super) struct Wheel<T> {
    nodes: Slab<Node<T>>,
    slots: Vec<Fifo>,
    /// One bit per slot of a level that has events.
    occupied: [u64; LEVELS],
    /// One bit per level that has events.
    occupied_levels: u32,
    /// The time that digits are compared with; never after the earliest event.
    base: u64,
}

#[derive(Clone, Copy)]
struct Node<T> {
    time: u64,
    next: u32,
    event: T,
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
            nodes: Slab::new(),
            slots: vec![EMPTY; LEVELS * SLOTS],
            occupied: [0; LEVELS],
            occupied_levels: 0,
            base: 0,
        }
    }

    /// Schedules an event behind all others of its time, which must not be before the last event taken.
    pub(super) fn push(&mut self, time: u64, event: T) {
        debug_assert!(time >= self.base);
        let node = self.nodes.insert(Node { time, next: NONE, event });
        self.place(node, time);
    }

    /// Takes the next event.
    pub(super) fn pop(&mut self) -> Option<(u64, T)> {
        while self.occupied_levels != 0 {
            let level = self.occupied_levels.trailing_zeros() as usize;
            let digit = self.occupied[level].trailing_zeros();
            let slot = level * SLOTS + digit as usize;
            let Fifo { head, tail } = self.slots[slot];
            let node = self.nodes[head];
            if level == 0 || head == tail {
                // All that is left is at this time or later, and nothing is on a lower level.
                self.base = node.time;
                self.slots[slot].head = node.next;
                if node.next == NONE {
                    self.clear(level, digit);
                }
                self.nodes.remove(head);
                return Some((node.time, node.event));
            }
            let shift = level as u32 * DIGIT_BITS;
            self.base = node.time >> shift << shift;
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

    /// Places every node of a list anew, in order.
    fn scatter(&mut self, head: u32) {
        let mut node = head;
        while node != NONE {
            let Node { time, next, .. } = self.nodes[node];
            self.nodes[node].next = NONE;
            self.place(node, time);
            node = next;
        }
    }

    fn place(&mut self, node: u32, time: u64) {
        let level = (63 - ((time ^ self.base) | 1).leading_zeros()) / DIGIT_BITS;
        let digit = (time >> (level * DIGIT_BITS)) as usize % SLOTS;
        let slot = &mut self.slots[level as usize * SLOTS + digit];
        if slot.head == NONE {
            slot.head = node;
            self.occupied[level as usize] |= 1 << digit;
            self.occupied_levels |= 1 << level;
        } else {
            self.nodes[slot.tail].next = node;
        }
        slot.tail = node;
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

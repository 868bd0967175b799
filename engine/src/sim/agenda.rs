//! Every rank's own lists of tasks by time.
//!
//! A rank's first task for a time schedules one global event that runs the rank's list for that time; later
//! tasks of the rank for that time join the list and run with it, possibly before global events that were
//! scheduled in between. This decides the order inside a tick and is observable in the results.

use super::event::Event;
use super::slab::{Key, KeyedSlab, NONE, Slab, spread};
use super::wheel::Wheel;

/// What a rank has to do at a time.
#[derive(Clone, Copy)]
pub(super) enum Task {
    /// A chunk's endpoint delay is over and its reduction begins.
    Reduce { stream: u32 },
    /// A chunk's memory step is complete.
    StepDone { stream: u32 },
    /// A node of the rank's trace completes.
    NodeDone { node: u32 },
    /// The rank's access to a serialised remote memory ends and the next one may start.
    MemoryFree,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Slot {
    time: u64,
    rank: u32,
}

impl Key for Slot {
    fn mix(self) -> u64 {
        spread(self.time ^ spread(u64::from(self.rank)))
    }
}

/// The first task, which is often the only one, and the items of the others.
struct List {
    first: Option<Task>,
    head: u32,
    tail: u32,
}

#[derive(Clone, Copy)]
struct Item {
    task: Task,
    next: u32,
}

/// The lists of all ranks.
pub(super) struct Agenda {
    lists: KeyedSlab<Slot, List>,
    items: Slab<Item>,
}

impl Agenda {
    pub(super) fn new() -> Self {
        Self { lists: KeyedSlab::new(), items: Slab::new() }
    }

    /// Adds a task of a rank at a time, and the global event that will run it where there is none. Gives the
    /// list that the task is on and whether it is the first there.
    pub(super) fn add(&mut self, events: &mut Wheel<Event>, rank: u32, time: u64, task: Task) -> (u32, bool) {
        let open = || List { first: Some(task), head: NONE, tail: NONE };
        let (list, opened) = self.lists.find_or_insert(Slot { time, rank }, open);
        if opened {
            events.push(time, Event::Agenda { list });
            return (list, true);
        }
        let item = self.items.insert(Item { task, next: NONE });
        let List { head, tail, .. } = &mut self.lists[list];
        if *head == NONE {
            *head = item;
        } else {
            self.items[*tail].next = item;
        }
        *tail = item;
        (list, false)
    }

    /// The rank whose list this is.
    pub(super) fn rank(&self, list: u32) -> u32 {
        self.lists.key(list).rank
    }

    /// Takes the next task of a list that is being run. The list stays open: a task may add another at the
    /// same time.
    pub(super) fn next(&mut self, list: u32) -> Option<Task> {
        let List { first, head, .. } = &mut self.lists[list];
        first.take().or_else(|| {
            let id = *head;
            (id != NONE).then(|| {
                let Item { task, next } = self.items.remove(id);
                *head = next;
                task
            })
        })
    }

    /// Closes a list that has run; a later task of the rank for the same time starts a new one.
    pub(super) fn close(&mut self, list: u32) {
        self.lists.remove(list);
    }
}

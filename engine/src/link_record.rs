//! What each link carried, kept by an observer.

use crate::observer::{Link, Observer, Transmission};
use crate::units::{Bytes, Nanos};
use std::collections::BTreeMap;

/// Figures of one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkFigures {
    /// The link.
    pub link: Link,
    /// Size of all messages it carried.
    pub size: Bytes,
    /// Messages it carried.
    pub messages: u64,
    /// How long it was busy.
    pub busy: Nanos,
    /// The most messages that waited for it at a time.
    pub longest_queue: u32,
}

impl LinkFigures {
    /// The share of a time, usually that of the whole simulation, in which it was busy. 0 of no time.
    pub fn utilisation(&self, of: Nanos) -> f64 {
        if of.0 == 0 { 0.0 } else { self.busy.0 as f64 / of.0 as f64 }
    }
}

/// An [`Observer`] that adds up what each link carries: one entry for each link that carries something.
#[derive(Clone, Debug, Default)]
pub struct LinkRecord {
    /// Places in `figures` by number of the link.
    places: BTreeMap<u32, usize>,
    figures: Vec<LinkFigures>,
}

impl LinkRecord {
    /// A record of no transmission.
    pub fn new() -> Self {
        Self::default()
    }

    /// The figures of all links that carried something: the longest busy first, of those alike by dimension and
    /// devices.
    pub fn figures(mut self) -> Vec<LinkFigures> {
        self.figures.sort_unstable_by_key(|figures| (std::cmp::Reverse(figures.busy), figures.link));
        self.figures
    }
}

impl Observer for LinkRecord {
    fn transmission(&mut self, transmission: &Transmission) {
        let &Transmission { id, link, start, end, size, queue, .. } = transmission;
        let place = *self.places.entry(id).or_insert(self.figures.len());
        if place == self.figures.len() {
            let none = LinkFigures { link, size: Bytes(0), messages: 0, busy: Nanos(0), longest_queue: 0 };
            self.figures.push(none);
        }
        let figures = &mut self.figures[place];
        figures.size.0 = figures.size.0.saturating_add(size.0);
        figures.messages += 1;
        figures.busy.0 += end.0 - start.0;
        figures.longest_queue = figures.longest_queue.max(queue);
    }
}

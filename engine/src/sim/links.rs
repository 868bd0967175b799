//! The links of the congestion-aware network: what each carries, who waits for it, how long it takes.
//!
//! All lie in one array. The links out of a rank lie together, as many for every rank; those between pairs of a fully
//! connected dimension follow when they are first used. Which link a message takes is decided in `route`.

use super::slab::{Key, KeyedSlab, spread};
use crate::units::GibPerSec;
use std::collections::VecDeque;

/// One direction between two devices; `M` is what it carries.
pub(super) struct Link<M> {
    /// What waits for it. By value, as it is taken up in the order in which it lies here.
    pub(super) waiting: VecDeque<M>,
    pub(super) kind: u32,
    pub(super) busy: bool,
    /// Whether routes avoid it.
    pub(super) dead: bool,
}

/// How long a link takes for a message of a size, in nanoseconds.
#[derive(Clone, Copy)]
pub(super) struct Times {
    size: u64,
    /// Until it is at the next device.
    pub(super) hop: u64,
    /// Until the link is free again.
    pub(super) sending: u64,
}

/// What links have in common that are equally fast.
struct Kind {
    bandwidth: GibPerSec,
    latency_ns: f64,
    bytes_per_ns: f64,
    /// The times of the size that was sent last; most messages are of the size of the one before.
    last: Times,
}

/// The two devices of a link.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) from: u32,
    pub(super) to: u32,
}

impl Key for Ends {
    fn mix(self) -> u64 {
        spread(u64::from(self.from) << 32 | u64::from(self.to))
    }
}

/// All links.
pub(super) struct Links<M> {
    links: Vec<Link<M>>,
    kinds: Vec<Kind>,
    /// Ids of the links between pairs.
    pairs: KeyedSlab<Ends, u32>,
}

impl<M> Link<M> {
    const fn of_kind(kind: u32) -> Self {
        Self { waiting: VecDeque::new(), kind, busy: false, dead: false }
    }
}

impl Times {
    fn new(size: u64, latency_ns: f64, bytes_per_ns: f64) -> Self {
        let sending = size as f64 / bytes_per_ns;
        // Truncated each for itself.
        Self { size, hop: (latency_ns + sending) as u64, sending: sending as u64 }
    }
}

impl<M> Links<M> {
    pub(super) fn new() -> Self {
        Self { links: Vec::new(), kinds: Vec::new(), pairs: KeyedSlab::new() }
    }

    /// Adds a kind of links and gives its number.
    pub(super) fn add_kind(&mut self, bandwidth: GibPerSec, latency_ns: f64) -> u32 {
        let bytes_per_ns = bandwidth.bytes_per_ns();
        let last = Times::new(0, latency_ns, bytes_per_ns);
        self.kinds.push(Kind { bandwidth, latency_ns, bytes_per_ns, last });
        (self.kinds.len() - 1) as u32
    }

    /// Adds a kind like another whose bandwidth is a fraction of it.
    pub(super) fn add_slower(&mut self, kind: u32, health: f64) -> u32 {
        let Kind { bandwidth, latency_ns, .. } = self.kinds[kind as usize];
        self.add_kind(GibPerSec(bandwidth.0 * health), latency_ns)
    }

    /// Lays the same links at each of a number of ranks; `kinds` are those of one rank.
    pub(super) fn lay(&mut self, ranks: u32, kinds: impl Iterator<Item = u32> + Clone) {
        self.links.reserve_exact(ranks as usize * kinds.clone().count());
        for _ in 0..ranks {
            self.links.extend(kinds.clone().map(Link::of_kind));
        }
    }

    /// The link from one rank to another, of this kind if there has been none.
    #[inline]
    pub(super) fn between(&mut self, from: u32, to: u32, kind: u32) -> u32 {
        let links = &mut self.links;
        let (pair, _) = self.pairs.find_or_insert(Ends { from, to }, || {
            links.push(Link::of_kind(kind));
            (links.len() - 1) as u32
        });
        self.pairs[pair]
    }

    /// The ranks of a link between a pair; `None` of one that was laid. Those of pairs follow the others in the order in
    /// which they were made, and none is ever removed.
    pub(super) fn pair(&self, id: u32) -> Option<Ends> {
        let laid = self.links.len() - self.pairs.len();
        (id as usize).checked_sub(laid).map(|pair| self.pairs.key(pair as u32))
    }

    #[inline]
    pub(super) fn link(&mut self, id: u32) -> &mut Link<M> {
        &mut self.links[id as usize]
    }

    /// Whether routes avoid some link.
    pub(super) fn has_dead(&self) -> bool {
        self.links.iter().any(|link| link.dead)
    }

    /// Makes a link one of another kind, dead or alive.
    pub(super) fn change(&mut self, id: u32, kind: u32, dead: bool) {
        self.links[id as usize] = Link { dead, ..Link::of_kind(kind) };
    }

    /// How long a link of a kind takes for a message.
    #[inline]
    pub(super) fn times(&mut self, kind: u32, size: u64) -> Times {
        let Kind { latency_ns, bytes_per_ns, last, .. } = &mut self.kinds[kind as usize];
        if last.size != size {
            *last = Times::new(size, *latency_ns, *bytes_per_ns);
        }
        *last
    }
}

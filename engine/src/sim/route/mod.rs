//! Which link a message takes next on its way through the congestion-aware network.
//!
//! Where that follows from where the message is and where it goes, nothing is kept. Other routes (around dead links,
//! over agents, in the shorter of two trees) are worked out once per pair of ranks and kept as lists of links. Depends
//! on the links; knows nothing of events or of what messages carry.

mod block;
mod detour;
mod grid;
mod tree;

use super::links::{Ends, Links};
use super::slab::{KeyedSlab, NONE};
use crate::network::{Network, Topology};
use crate::unroutable::RouteProblem;
use block::{Block, Step};
use grid::{Grid, Place};
use tree::Trees;

/// How far a message is on its way. Its two halves are one word, which is copied from place to place sooner after it
/// was written than two could be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way(u64);

impl Way {
    #[inline]
    const fn new(at: u32, destination: u32) -> Self {
        Self((destination as u64) << 32 | at as u64)
    }

    /// A place and the rank it goes to; on a route that is kept the index of the next link in all of those and `NONE`.
    #[inline]
    const fn ends(self) -> (u32, u32) {
        (self.0 as u32, (self.0 >> 32) as u32)
    }

    /// The same way as seen from a rank, which it is at or before, if that were rank 0 and the destination this.
    pub(super) const fn seen_from(self, rank: u32, destination: u32) -> Self {
        Self::new(self.ends().0 - rank, destination)
    }
}

enum Wiring {
    /// A ring as only dimension, with two links for each member: not different from such a grid, but quicker.
    Ring(Block),
    Grid(Grid),
    Trees(Trees),
}

/// Which routes follow from source and destination alone.
enum Rule {
    All,
    /// Those that meet no dead link, and no gap in a hypercube.
    Clear,
    None,
}

/// The routes of a network.
pub(super) struct Routes {
    wiring: Wiring,
    rule: Rule,
    /// The first dimension that is crossed from agents only.
    agents_from: Option<usize>,
    /// Where the kept route of each pair begins.
    begins: KeyedSlab<Ends, u32>,
    /// The links of kept routes, each route with `NONE` behind it.
    kept: Vec<u32>,
}

impl Routes {
    /// Lays the links of a checked network, those of the first `owners` ranks only.
    pub(super) fn new<M>(network: &Network, owners: u32, links: &mut Links<M>) -> Self {
        let first = &network.dimensions[0];
        let wiring = match first.topology {
            Topology::BinaryTree | Topology::DoubleBinaryTree => Wiring::Trees(Trees::new(first, links)),
            _ => {
                let grid = Grid::new(network, owners, links);
                let ring = grid.only().filter(|block| block.topology == Topology::Ring);
                ring.map_or_else(|| Wiring::Grid(grid), Wiring::Ring)
            }
        };
        let agents_from = network.agents_from();
        let rule = match &wiring {
            Wiring::Grid(_) if agents_from.is_some() => Rule::None,
            Wiring::Grid(grid) if grid.is_ragged() || links.has_dead() => Rule::Clear,
            Wiring::Trees(trees) if !trees.is_one() => Rule::None,
            Wiring::Ring(_) | Wiring::Grid(_) | Wiring::Trees(_) => Rule::All,
        };
        Self { wiring, rule, agents_from, begins: KeyedSlab::new(), kept: Vec::new() }
    }

    /// Whether a rank can send to itself.
    pub(super) fn lead_to_itself(&self) -> bool {
        matches!(&self.wiring, Wiring::Grid(grid) if grid.routes_to_itself())
    }

    /// The beginning of the way from one rank to another.
    ///
    /// # Errors
    /// Why there is no route.
    #[inline]
    pub(super) fn begin<M>(
        &mut self,
        links: &mut Links<M>,
        source: u32,
        destination: u32,
    ) -> Result<Way, RouteProblem> {
        if matches!(self.rule, Rule::All) {
            return Ok(Way::new(source, destination));
        }
        self.look_up(links, source, destination)
    }

    fn look_up<M>(
        &mut self,
        links: &mut Links<M>,
        source: u32,
        destination: u32,
    ) -> Result<Way, RouteProblem> {
        let ends = Ends { from: source, to: destination };
        if let Some(found) = self.begins.find(ends) {
            return Ok(Way::new(self.begins[found], NONE));
        }
        if let (Rule::Clear, Wiring::Grid(grid)) = (&self.rule, &self.wiring) {
            grid.check_cubes(source, destination)?;
            if grid.is_clear(links, source, destination) {
                return Ok(Way::new(source, destination));
            }
        }
        let begin = self.kept.len() as u32;
        self.keep(links, source, destination)?;
        self.kept.push(NONE);
        check_kept(self.kept.len())?;
        self.begins.find_or_insert(ends, || begin);
        Ok(Way::new(begin, NONE))
    }

    /// Adds a route to those that are kept.
    fn keep<M>(&mut self, links: &mut Links<M>, source: u32, destination: u32) -> Result<(), RouteProblem> {
        let grid = match &self.wiring {
            Wiring::Grid(grid) => grid,
            Wiring::Trees(trees) => {
                trees.route(source, destination, &mut self.kept);
                return Ok(());
            }
            // Its routes are all implied.
            Wiring::Ring(_) => return Ok(()),
        };
        let mut leg = |ends, order| grid.route(links, ends, order, &mut self.kept);
        let Some(from) = self.agents_from else { return leg((source, destination), grid.downwards()) };
        // The agent of the source's cluster, and that of all its clusters below the highest dimension.
        let (agent, top) = grid.agents(source, from);
        leg((source, agent), grid.downwards())?;
        leg((agent, top), grid.upwards())?;
        leg((top, destination), grid.downwards())
    }

    /// The rank that a message is at or before, and the rank it goes to; `None` on a route that is kept.
    #[inline]
    pub(super) fn ends(&self, way: Way) -> Option<(u32, u32)> {
        let (at, destination) = way.ends();
        match &self.wiring {
            Wiring::Ring(_) => Some((at, destination)),
            Wiring::Grid(grid) if destination != NONE => Some((grid.rank(Place(at)), destination)),
            Wiring::Grid(_) | Wiring::Trees(_) => None,
        }
    }

    /// The dimension of a link and the devices it joins.
    pub(super) fn link_ends<M>(&self, links: &Links<M>, link: u32) -> (usize, Ends) {
        match &self.wiring {
            Wiring::Ring(block) => (0, Ends { from: link / 2, to: block.neighbour(link / 2, link % 2) }),
            Wiring::Grid(grid) => grid.ends(links, link),
            Wiring::Trees(trees) => (0, trees.ends(link)),
        }
    }

    /// Whether a message is where it goes.
    #[inline]
    pub(super) fn is_over(&self, way: Way) -> bool {
        let (at, destination) = way.ends();
        at == destination || destination == NONE && self.kept[at as usize] == NONE
    }

    /// The next link of a way that is not over, and how far the message is behind it.
    #[inline]
    pub(super) fn step<M>(&self, links: &mut Links<M>, way: Way) -> (u32, Way) {
        let (at, destination) = way.ends();
        let (link, at) = match &self.wiring {
            Wiring::Ring(block) => {
                let Step { port, next } = block.around(at, destination);
                (2 * at + port, next)
            }
            _ if destination == NONE => (self.kept[at as usize], at + 1),
            Wiring::Grid(grid) => {
                let (link, Place(at)) = grid.step(links, Place(at), destination);
                (link, at)
            }
            Wiring::Trees(trees) => trees.step(at, destination),
        };
        (link, Way::new(at, destination))
    }
}

/// Whether a place in this many links of kept routes, and one behind it, can be told from `NONE`.
///
/// # Errors
/// That it cannot.
const fn check_kept(links: usize) -> Result<(), RouteProblem> {
    if links < NONE as usize { Ok(()) } else { Err(RouteProblem::TooManyLinks) }
}

#[cfg(test)]
mod tests;

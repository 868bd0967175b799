//! Routes around dead links, and what cannot be reached: the rules of DeepFlow's simulator for links of health 0.
//!
//! In several dimensions a route that meets a dead link moves one on in the next dimension and crosses the dimensions
//! in another order from there; a grid that is the only dimension moves to the next row. Neither rule always finds a
//! way; where it does not, that is an error. Routes are lists of links.

use super::grid::{Grid, Place};
use crate::network::Topology;
use crate::sim::links::Links;
use crate::unroutable::{DeadLink, RouteProblem};
use std::collections::BTreeSet;

/// The order in which to cross dimensions, with every dimension once.
pub(super) type Order = Vec<usize>;

impl Grid {
    /// Highest dimension first.
    pub(super) fn downwards(&self) -> Order {
        (0..self.dimensions()).rev().collect()
    }

    /// Lowest dimension first.
    pub(super) fn upwards(&self) -> Order {
        (0..self.dimensions()).collect()
    }

    /// The agent of a rank's cluster, whose coordinates below a dimension are 0, and the rank that leads all clusters
    /// with the rank's highest coordinate.
    pub(super) fn agents(&self, rank: u32, from: usize) -> (u32, u32) {
        let agent = (0..from).fold(rank, |rank, dimension| self.with_coordinate(rank, dimension, 0));
        let top =
            (0..self.dimensions() - 1).fold(rank, |rank, dimension| self.with_coordinate(rank, dimension, 0));
        (agent, top)
    }

    /// Whether no dead link is in the way from one rank to another.
    pub(super) fn is_clear<M>(&self, links: &mut Links<M>, source: u32, destination: u32) -> bool {
        let mut place = Place(source);
        while place != Place(destination) {
            let (link, next) = self.step(links, place, destination);
            if links.link(link).dead {
                return false;
            }
            place = next;
        }
        true
    }

    /// Whether every hypercube that is crossed has the members on the way.
    ///
    /// # Errors
    /// The one that does not.
    pub(super) fn check_cubes(&self, source: u32, destination: u32) -> Result<(), RouteProblem> {
        let crossed =
            (0..self.dimensions()).map(|d| (d, self.coordinate(source, d), self.coordinate(destination, d)));
        for (dimension, own, wanted) in crossed {
            let block = self.block(dimension);
            if let Some(member) = block.way_out(own, wanted) {
                return Err(RouteProblem::IncompleteHyperCube { dimension, member, npus: block.npus });
            }
        }
        Ok(())
    }

    /// Adds the links of the way from one rank to another.
    ///
    /// # Errors
    /// What keeps the rules from getting there.
    pub(super) fn route<M>(
        &self,
        links: &mut Links<M>,
        (source, destination): (u32, u32),
        order: Order,
        route: &mut Vec<u32>,
    ) -> Result<(), RouteProblem> {
        self.check_cubes(source, destination)?;
        match self.only() {
            Some(block) if block.is_grid() => self.route_in_grid(links, (source, destination), route),
            _ => self.route_over(links, (source, destination), order, route),
        }
    }

    /// The route over several dimensions, or over the only one that knows no way around.
    fn route_over<M>(
        &self,
        links: &mut Links<M>,
        (source, destination): (u32, u32),
        mut order: Order,
        route: &mut Vec<u32>,
    ) -> Result<(), RouteProblem> {
        let mut rank = source;
        let mut begun = BTreeSet::new();
        loop {
            let Some(Stop { dimension, place, dead }) =
                self.cross_all(links, (&mut rank, destination), &order, route)
            else {
                return Ok(());
            };
            if self.switch(place).is_some() || self.dimensions() == 1 {
                return Err(RouteProblem::NoWayAround { dead, topology: self.block(dimension).topology });
            }
            let aside = (dimension + 1) % self.dimensions();
            let next = (self.coordinate(rank, aside) + 1) % self.block(aside).npus;
            let next = self.with_coordinate(rank, aside, next);
            let (_, link) = self.link_between(links, rank, next).ok_or(RouteProblem::NoSuchHop {
                dead,
                from: rank,
                to: next,
            })?;
            if !begun.insert((next, order.clone())) {
                return Err(RouteProblem::Circle { dead });
            }
            route.push(link);
            rank = next;
            // Positions of the list, whichever dimensions stand there.
            order.swap(dimension, dimension.checked_sub(1).unwrap_or(self.dimensions() - 1));
            self.check_cubes(rank, destination)?;
        }
    }

    /// Crosses dimension after dimension until a dead link is in the way; gives that.
    fn cross_all<M>(
        &self,
        links: &mut Links<M>,
        (rank, destination): (&mut u32, u32),
        order: &[usize],
        route: &mut Vec<u32>,
    ) -> Option<Stop> {
        for &dimension in order {
            let wanted = self.coordinate(destination, dimension);
            let mut place = Place(*rank);
            loop {
                let own = self.coordinate(*rank, dimension);
                let (link, next) = match self.switch(place) {
                    None if own == wanted => break,
                    None => self.cross(links, dimension, *rank, (own, wanted)),
                    Some(_) => self.leave_switch(place),
                };
                if links.link(link).dead {
                    let dead = DeadLink { from: self.device(place), to: self.device(next) };
                    return Some(Stop { dimension, place, dead });
                }
                route.push(link);
                place = next;
                *rank = self.rank(place);
            }
        }
        None
    }

    /// The route in a grid that is the only dimension: a dead link in a row is avoided in the next row, in a mesh
    /// else in the one before; one in a column, after which the row would be sought again, is not.
    fn route_in_grid<M>(
        &self,
        links: &mut Links<M>,
        (source, destination): (u32, u32),
        route: &mut Vec<u32>,
    ) -> Result<(), RouteProblem> {
        let block = self.block(0);
        let mut rank = source;
        for _ in 0..block.npus {
            if rank == destination {
                return Ok(());
            }
            let (link, Place(next)) = self.cross(links, 0, rank, (rank, destination));
            if !links.link(link).dead {
                route.push(link);
                rank = next;
                continue;
            }
            let dead = DeadLink { from: rank, to: next };
            match self.beside(links, rank) {
                Some((beside, link)) if !block.in_column(rank, destination) => {
                    route.push(link);
                    rank = beside;
                }
                _ => return Err(RouteProblem::NoWayAround { dead, topology: block.topology }),
            }
        }
        // Where the rule goes from a member it always goes: it has come to one again.
        let (_, Place(next)) = self.cross(links, 0, rank, (rank, destination));
        Err(RouteProblem::Circle { dead: DeadLink { from: rank, to: next } })
    }

    /// The member of a grid in the next row, in a mesh else in the one before, and the link to it. A torus takes that
    /// link also if it is dead.
    fn beside<M>(&self, links: &mut Links<M>, rank: u32) -> Option<(u32, u32)> {
        let block = self.block(0);
        let below =
            block.neighbour_below(rank).map(|below| (below, self.cross(links, 0, rank, (rank, below)).0));
        if block.topology == Topology::Torus2D || below.is_some_and(|(_, link)| !links.link(link).dead) {
            return below;
        }
        let above =
            block.neighbour_above(rank).map(|above| (above, self.cross(links, 0, rank, (rank, above)).0));
        above.filter(|&(_, link)| !links.link(link).dead)
    }
}

/// Where a dead link is in the way.
struct Stop {
    dimension: usize,
    place: Place,
    dead: DeadLink,
}

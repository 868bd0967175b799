//! The topology a dimension really gets: small rings, flattened and written-out two-dimensional shapes.

use astra_engine::Topology;

use crate::{Error, Result};

/// One line of the network file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Effective topology.
    pub(super) topology: Topology,
    /// NPUs along it.
    pub(super) npus: u32,
}

/// What a dimension of `npus` NPUs is written as.
///
/// # Errors
///
/// A two-dimensional topology without a shape whose size is no square.
pub(super) fn parts(
    topology: Topology,
    npus: u32,
    shape: Option<(u32, u32)>,
    flatten: bool,
) -> Result<Vec<Part>> {
    let topology = match topology {
        Topology::Torus2D if flatten => Topology::Ring,
        Topology::Mesh2D if flatten => Topology::Mesh,
        Topology::KingMesh2D if flatten => Topology::HyperCube,
        as_named => as_named,
    };
    match topology {
        // A ring of two has one link, twice.
        Topology::Ring if npus <= 2 => Ok(vec![Part { topology: Topology::FullyConnected, npus }]),
        Topology::Torus2D | Topology::Mesh2D => {
            let (rows, columns) = shape.map_or_else(|| square(topology, npus), Ok)?;
            Ok([rows, columns].map(|npus| Part { topology: side(topology, npus), npus }).to_vec())
        }
        _ => Ok(vec![Part { topology, npus }]),
    }
}

/// The topology of one side; a side of a torus with at most two members has no wrap-around to speak of.
fn side(topology: Topology, npus: u32) -> Topology {
    match topology {
        Topology::Torus2D if npus > 2 => Topology::Ring,
        _ => Topology::Mesh,
    }
}

fn square(topology: Topology, npus: u32) -> Result<(u32, u32)> {
    let side = npus.isqrt();
    if side * side == npus {
        return Ok((side, side));
    }
    let message = format!("{npus} NPUs are no square, so {topology} needs its rows and columns");
    Err(Error::input(message).key("size").hint(
        "write `size: [rows, columns]` for the whole dimension, or use flatten_2d, or another topology",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(
        topology: Topology,
        npus: u32,
        shape: Option<(u32, u32)>,
        flatten: bool,
    ) -> Vec<(&'static str, u32)> {
        let parts = parts(topology, npus, shape, flatten).unwrap();
        parts.into_iter().map(|part| (part.topology.as_str(), part.npus)).collect()
    }

    #[test]
    fn a_ring_of_two_is_fully_connected() {
        assert_eq!(names(Topology::Ring, 2, None, false), [("FullyConnected", 2)]);
        assert_eq!(names(Topology::Ring, 3, None, false), [("Ring", 3)]);
        assert_eq!(names(Topology::Torus2D, 2, None, true), [("FullyConnected", 2)]);
    }

    #[test]
    fn a_torus_is_two_rings_and_its_short_sides_are_lines() {
        assert_eq!(names(Topology::Torus2D, 16, None, false), [("Ring", 4), ("Ring", 4)]);
        assert_eq!(names(Topology::Torus2D, 8, Some((2, 4)), false), [("Mesh", 2), ("Ring", 4)]);
        assert_eq!(names(Topology::Mesh2D, 9, None, false), [("Mesh", 3), ("Mesh", 3)]);
        assert_eq!(names(Topology::Torus2D, 16, Some((2, 8)), true), [("Ring", 16)]);
        assert_eq!(names(Topology::KingMesh2D, 6, None, false), [("KingMesh2D", 6)]);
    }

    #[test]
    fn without_a_shape_a_torus_must_be_square() {
        assert!(parts(Topology::Torus2D, 8, None, false).is_err());
        assert!(parts(Topology::Mesh2D, u32::MAX, None, false).is_err());
    }
}

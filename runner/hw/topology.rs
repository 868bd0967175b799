//! The topologies a hardware file may name for a dimension.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Topology of a dimension; the variant's name is the name in the network file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Topology {
    /// Every NPU has a link to every other.
    FullyConnected,
    /// Every NPU has a link to the next, the last to the first.
    Ring,
    /// Every NPU has a link to one switch.
    Switch,
    /// A line.
    Mesh,
    /// A hypercube.
    HyperCube,
    /// Rows and columns are rings; written as two dimensions.
    Torus2D,
    /// Rows and columns are lines; written as two dimensions.
    Mesh2D,
    /// A two-dimensional mesh with diagonals.
    KingMesh2D,
}

/// Accepted spellings, lower case; the canonical name of each topology stands first.
const SPELLINGS: [(&str, Topology); 13] = [
    ("fullyconnected", Topology::FullyConnected),
    ("fully_connected", Topology::FullyConnected),
    ("fully-connected", Topology::FullyConnected),
    ("fc", Topology::FullyConnected),
    ("ring", Topology::Ring),
    ("switch", Topology::Switch),
    ("mesh", Topology::Mesh),
    ("hypercube", Topology::HyperCube),
    ("torus2d", Topology::Torus2D),
    ("mesh2d", Topology::Mesh2D),
    ("mesh-2d", Topology::Mesh2D),
    ("kingmesh2d", Topology::KingMesh2D),
    ("king-mesh2d", Topology::KingMesh2D),
];

impl Topology {
    /// All topologies.
    pub const ALL: [Self; 8] = [
        Self::FullyConnected,
        Self::Ring,
        Self::Switch,
        Self::Mesh,
        Self::HyperCube,
        Self::Torus2D,
        Self::Mesh2D,
        Self::KingMesh2D,
    ];

    /// The topology a hardware file means; case does not matter.
    ///
    /// # Errors
    ///
    /// Any other text, with a suggestion: a misspelt topology must not become another one.
    pub fn parse(text: &str) -> Result<Self> {
        let lower = text.to_lowercase();
        if let Some((_, topology)) = SPELLINGS.iter().find(|(spelling, _)| *spelling == lower) {
            return Ok(*topology);
        }
        let names = Self::ALL.map(Self::name);
        let near = names.into_iter().find(|name| lower.len() >= 4 && name.to_lowercase().starts_with(&lower));
        let error = Error::input(format!("unknown topology `{text}`"));
        let error = match near {
            Some(name) => error.hint(format!("did you mean `{name}`?")),
            None => error.suggest(text.trim(), names),
        };
        Err(error.hint(format!("one of {}", names.join(", "))))
    }

    /// The name in the network file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FullyConnected => "FullyConnected",
            Self::Ring => "Ring",
            Self::Switch => "Switch",
            Self::Mesh => "Mesh",
            Self::HyperCube => "HyperCube",
            Self::Torus2D => "Torus2D",
            Self::Mesh2D => "Mesh2D",
            Self::KingMesh2D => "KingMesh2D",
        }
    }

    /// Whether the shape of a dimension (rows × columns) matters to this topology.
    pub const fn has_shape(self) -> bool {
        matches!(self, Self::Torus2D | Self::Mesh2D | Self::KingMesh2D)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_ignore_case_and_every_canonical_name_is_one() {
        assert_eq!(Topology::parse("FC").unwrap(), Topology::FullyConnected);
        assert_eq!(Topology::parse("RING").unwrap(), Topology::Ring);
        for topology in Topology::ALL {
            assert_eq!(Topology::parse(topology.name()).unwrap(), topology);
        }
    }

    #[test]
    fn a_misspelt_topology_is_refused_with_a_suggestion_not_replaced() {
        for (text, meant) in
            [("Rng", "Ring"), ("ring ", "Ring"), ("torus", "Torus2D"), ("fullyconected", "FullyConnected")]
        {
            let error = Topology::parse(text).unwrap_err();
            assert_eq!(error.hint_text(), Some(format!("did you mean `{meant}`?").as_str()), "{text}");
        }
        for text in ["banana", "2d", "d", ""] {
            assert!(Topology::parse(text).unwrap_err().hint_text().unwrap().starts_with("one of"), "{text}");
        }
    }
}

//! How a hardware file spells the topology of a dimension.

use astra_engine::Topology;

use crate::{Error, Result};

/// Accepted spellings, lower case.
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

/// The topologies a hardware file can name.
const NAMED: [Topology; 8] = [
    Topology::FullyConnected,
    Topology::Ring,
    Topology::Switch,
    Topology::Mesh,
    Topology::HyperCube,
    Topology::Torus2D,
    Topology::Mesh2D,
    Topology::KingMesh2D,
];

/// The topology a hardware file means; case does not matter.
///
/// # Errors
///
/// Any other text, with a suggestion: a misspelt topology must not become another one.
pub(super) fn parse(text: &str) -> Result<Topology> {
    let lower = text.to_lowercase();
    if let Some((_, topology)) = SPELLINGS.iter().find(|(spelling, _)| *spelling == lower) {
        return Ok(*topology);
    }
    let names = NAMED.map(Topology::as_str);
    let begins = names.into_iter().find(|name| lower.len() >= 4 && name.to_lowercase().starts_with(&lower));
    let error = Error::input(format!("unknown topology `{text}`"));
    let error = match begins {
        Some(name) => error.hint(format!("did you mean `{name}`?")),
        None => error.suggest(text.trim(), names),
    };
    Err(error.hint(format!("one of {}", names.join(", "))))
}

/// Whether the shape of a dimension (rows × columns) matters to the topology.
pub(super) fn has_shape(topology: Topology) -> bool {
    matches!(topology, Topology::Torus2D | Topology::Mesh2D)
}

/// Serde form of a topology: its name in the network file.
pub(super) mod name {
    use astra_engine::Topology;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(in super::super) fn serialize<S: Serializer>(
        topology: &Topology,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(topology.as_str())
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Topology, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_ignore_case_and_every_name_is_one() {
        assert_eq!(parse("FC").unwrap(), Topology::FullyConnected);
        assert_eq!(parse("RING").unwrap(), Topology::Ring);
        for topology in NAMED {
            assert_eq!(parse(topology.as_str()).unwrap(), topology);
        }
    }

    #[test]
    fn a_misspelt_topology_is_refused_with_a_suggestion_not_replaced() {
        for (text, meant) in
            [("Rng", "Ring"), ("ring ", "Ring"), ("torus", "Torus2D"), ("fullyconected", "FullyConnected")]
        {
            let error = parse(text).unwrap_err();
            assert_eq!(error.hint_text(), Some(format!("did you mean `{meant}`?").as_str()), "{text}");
        }
        for text in ["banana", "2d", "d", ""] {
            assert!(parse(text).unwrap_err().hint_text().unwrap().starts_with("one of"), "{text}");
        }
    }
}

//! The default policy: the user's choices first, then an algorithm that suits the topology of the dimension.
//!
//! A pure function of the request, after the public defaults of DeepFlow's ASTRA-sim integration (December 2025).
//! It must never look at the collective's size or at another dimension.

use astra_policy::{Choice, DecidedBy, Dimension, Request};

/// The algorithm of every dimension of the request, in its order.
pub fn decide(request: &Request) -> Vec<Choice> {
    request.dimensions.iter().map(|dimension| choose(request, dimension)).collect()
}

fn choose(request: &Request, dimension: &Dimension) -> Choice {
    let (algorithm, decided_by, reason) = match (&dimension.fixed, &request.global) {
        (Some(fixed), _) => {
            let reason = format!("override of dimension `{}` for {}", dimension.id, request.collective);
            (fixed.clone(), DecidedBy::DimensionOverride, reason)
        }
        (None, Some(global)) => {
            (global.clone(), DecidedBy::GlobalChoice, format!("chosen for every {}", request.collective))
        }
        (None, None) => {
            let algorithm = default_for(&dimension.topology).to_owned();
            (algorithm, DecidedBy::Policy, format!("default for {}", dimension.topology))
        }
    };
    Choice { algorithm, decided_by, reason }
}

/// The algorithm that suits a topology; a topology without an algorithm of its own gets `ring`.
pub fn default_for(topology: &str) -> &'static str {
    match topology {
        "FullyConnected" => "direct",
        "Switch" => "halvingDoubling",
        "Mesh" => "mesh",
        "HyperCube" => "hypercube",
        "Torus2D" | "Mesh2D" | "KingMesh2D" => "torus2d",
        _ => "ring",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use astra_policy::Collective;

    fn dimension(topology: &str, fixed: Option<&str>) -> Dimension {
        Dimension {
            id: "d".into(),
            topology: topology.into(),
            npus: 4,
            bandwidth_gib_per_s: 100.0,
            latency_ns: 500.0,
            fixed: fixed.map(str::to_owned),
        }
    }

    fn algorithms(global: Option<&str>, dimensions: Vec<Dimension>) -> Vec<(String, DecidedBy)> {
        let request =
            Request { collective: Collective::AllReduce, global: global.map(str::to_owned), dimensions };
        decide(&request).into_iter().map(|choice| (choice.algorithm, choice.decided_by)).collect()
    }

    #[test]
    fn each_topology_has_its_default() {
        let dimensions = ["Ring", "FullyConnected", "Switch", "Mesh", "HyperCube", "KingMesh2D"];
        let chosen = algorithms(None, dimensions.map(|name| dimension(name, None)).to_vec());
        let expected = ["ring", "direct", "halvingDoubling", "mesh", "hypercube", "torus2d"];
        assert_eq!(chosen, expected.map(|name| (name.to_owned(), DecidedBy::Policy)));
    }

    #[test]
    fn a_dimension_override_wins_over_a_global_choice_which_wins_over_the_default() {
        let dimensions = vec![dimension("Switch", Some("direct")), dimension("Switch", None)];
        assert_eq!(
            algorithms(Some("ring"), dimensions),
            [
                ("direct".to_owned(), DecidedBy::DimensionOverride),
                ("ring".to_owned(), DecidedBy::GlobalChoice)
            ]
        );
    }
}

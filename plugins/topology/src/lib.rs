//! The default policy: the user's choices first, then an algorithm that suits the topology of the dimension.
//!
//! A pure function of the request, after the public defaults of DeepFlow's ASTRA-sim integration (December 2025). Where
//! the simulator asked about lacks the algorithm that DeepFlow would name, it is `ring`.
//! It must never look at the collective's size or at another dimension.

use astra_policy::{Choice, DecidedBy, Dialect, Dimension, Request};

/// Version of the rules: raised whenever some request would be answered otherwise, reasons included.
pub const VERSION: u32 = 2;

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
            let topology = &dimension.topology;
            let (best, algorithm) = (default_for(topology), default_in(request.dialect, topology));
            let lacks =
                if best == algorithm { String::new() } else { format!(", as astra-sim has no {best}") };
            (algorithm.to_owned(), DecidedBy::Policy, format!("default for {topology}{lacks}"))
        }
    };
    Choice { algorithm, decided_by, reason }
}

/// The algorithm that suits a topology best of those that the simulator has.
fn default_in(dialect: Dialect, topology: &str) -> &'static str {
    match (dialect, default_for(topology)) {
        (Dialect::AstraSim, "mesh" | "hypercube" | "torus2d") => "ring",
        (_, algorithm) => algorithm,
    }
}

/// The algorithm that suits a topology; a topology without an algorithm of its own gets `ring`.
fn default_for(topology: &str) -> &'static str {
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
        let request = Request {
            collective: Collective::AllReduce,
            dialect: Dialect::AstraSim,
            global: global.map(str::to_owned),
            dimensions,
        };
        decide(&request).into_iter().map(|choice| (choice.algorithm, choice.decided_by)).collect()
    }

    /// Every kind of answer: the default of every topology a network file can name, for DeepFlow and behind a slash for
    /// ASTRA-sim, an override and a global choice.
    const GOLDEN: &str = "\
version 2
Ring: ring, Policy, default for Ring
FullyConnected: direct, Policy, default for FullyConnected
Switch: halvingDoubling, Policy, default for Switch
Mesh: mesh, Policy, default for Mesh
HyperCube: hypercube, Policy, default for HyperCube
Torus2D: torus2d, Policy, default for Torus2D
Mesh2D: torus2d, Policy, default for Mesh2D
KingMesh2D: torus2d, Policy, default for KingMesh2D
Bus: ring, Policy, default for Bus
BinaryTree: ring, Policy, default for BinaryTree
DoubleBinaryTree: ring, Policy, default for DoubleBinaryTree
/Ring: ring, Policy, default for Ring
/FullyConnected: direct, Policy, default for FullyConnected
/Switch: halvingDoubling, Policy, default for Switch
/Mesh: ring, Policy, default for Mesh, as astra-sim has no mesh
/HyperCube: ring, Policy, default for HyperCube, as astra-sim has no hypercube
/Torus2D: ring, Policy, default for Torus2D, as astra-sim has no torus2d
/Mesh2D: ring, Policy, default for Mesh2D, as astra-sim has no torus2d
/KingMesh2D: ring, Policy, default for KingMesh2D, as astra-sim has no torus2d
/Bus: ring, Policy, default for Bus
all_reduce: f, DimensionOverride, override of dimension `d` for all_reduce; g, GlobalChoice, chosen for every all_reduce
all_gather: f, DimensionOverride, override of dimension `d` for all_gather; g, GlobalChoice, chosen for every all_gather
reduce_scatter: f, DimensionOverride, override of dimension `d` for reduce_scatter; g, GlobalChoice, chosen for every reduce_scatter
all_to_all: f, DimensionOverride, override of dimension `d` for all_to_all; g, GlobalChoice, chosen for every all_to_all
";

    #[test]
    fn an_answer_that_changes_raises_the_version() {
        let text = |request: Request| {
            let choices = decide(&request).into_iter();
            let choices = choices.map(|Choice { algorithm, decided_by, reason }| {
                format!("{algorithm}, {decided_by:?}, {reason}")
            });
            choices.collect::<Vec<_>>().join("; ")
        };
        let mut table = format!("version {VERSION}\n");
        for line in GOLDEN.lines().skip(1) {
            let name = line.split(':').next().unwrap();
            let request = match Collective::from_name(name) {
                None => Request {
                    collective: Collective::AllReduce,
                    dialect: if name.starts_with('/') { Dialect::AstraSim } else { Dialect::DeepFlow },
                    global: None,
                    dimensions: vec![dimension(name.trim_start_matches('/'), None)],
                },
                Some(collective) => Request {
                    collective,
                    dialect: Dialect::AstraSim,
                    global: Some("g".to_owned()),
                    dimensions: vec![dimension("Switch", Some("f")), dimension("Switch", None)],
                },
            };
            table += &format!("{name}: {}\n", text(request));
        }
        assert_eq!(table, GOLDEN, "the rules changed: raise VERSION and write both here");
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

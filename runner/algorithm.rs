//! Collective algorithms as files name them, and what each of them cannot do.
//!
//! The engine's vocabulary with suggestions for misspellings, and the limits of each algorithm said before a simulation
//! meets them. It must never know which algorithm is chosen, or why.

use astra_engine::{Algorithm, CollectiveType, Dialect};
use astra_policy::Collective;

use crate::error::closest;
use crate::{Error, Result};

/// The algorithm of that name; names are case-sensitive, as in the simulator.
///
/// # Errors
///
/// A name that is no algorithm (with a suggestion), or a wrong window behind `direct`.
pub fn parse(name: &str) -> Result<Algorithm> {
    let error = match name.parse() {
        Ok(known) => return Ok(known),
        Err(astra_engine::AlgorithmError::Name(_)) => {
            Error::input(format!("unknown collective algorithm `{name}`"))
        }
        Err(window) => Error::input(window.to_string()),
    };
    Err(match closest(name, Algorithm::NAMES.iter().copied()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint(format!("one of {}", Algorithm::NAMES.join(", "))),
    })
}

/// Whether the simulator of a dialect has an algorithm.
///
/// # Errors
///
/// That it does not, with the dialect that does, as a fragment that follows the algorithm's name.
pub fn exists(algorithm: Algorithm, dialect: Dialect) -> Result<(), String> {
    if algorithm.exists_in(dialect) {
        return Ok(());
    }
    Err(format!("exists in dialect {}, not in {dialect}", dialect.other()))
}

/// Whether an algorithm of the dialect can run `collective` on a dimension of `npus` members in a system of `ranks`
/// ranks.
///
/// # Errors
///
/// What it cannot do, as a fragment that follows the algorithm's name: "needs a power of two …". Source of the
/// rules: observed behaviour of the simulators, which hang, abort or answer another question there.
pub fn supports(algorithm: Algorithm, collective: Collective, npus: u32, ranks: u32) -> Result<(), String> {
    let members = if algorithm.spans_all_ranks() { ranks } else { npus };
    match algorithm {
        Algorithm::Direct { window: Some(0) } | Algorithm::OneDirect { window: Some(0) } => {
            Err("has a window of 0, so it never sends".to_owned())
        }
        Algorithm::DoubleBinaryTree if collective != Collective::AllReduce => Err(format!(
            "runs an all_reduce whatever it is asked for, so {collective} would get a wrong time"
        )),
        Algorithm::Torus2D if members < 4 => {
            Err(format!("sends nothing below 4 members, here {members}, so it would take no time"))
        }
        Algorithm::Mesh2D => Err("never completes in the simulator".to_owned()),
        _ if !algorithm.supports(engine_type(collective)) => Err(format!("cannot run {collective}")),
        _ if algorithm.needs_power_of_two() && !members.is_power_of_two() => {
            Err(format!("needs a power of two of members, here {members}"))
        }
        _ => Ok(()),
    }
}

/// The engine's name of a collective.
pub const fn engine_type(collective: Collective) -> CollectiveType {
    match collective {
        Collective::AllReduce => CollectiveType::AllReduce,
        Collective::AllGather => CollectiveType::AllGather,
        Collective::ReduceScatter => CollectiveType::ReduceScatter,
        Collective::AllToAll => CollectiveType::AllToAll,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supports(name: &str, collective: Collective, npus: u32, ranks: u32) -> bool {
        super::supports(parse(name).unwrap(), collective, npus, ranks).is_ok()
    }

    #[test]
    fn a_misspelt_algorithm_gets_a_suggestion() {
        let error = parse("halvingdoubling").unwrap_err();
        assert_eq!(error.hint_text(), Some("did you mean `halvingDoubling`?"));
        assert!(parse("directly").unwrap_err().to_string().contains("window"));
    }

    #[test]
    fn halving_doubling_wants_a_power_of_two_and_no_all_to_all() {
        assert!(supports("halvingDoubling", Collective::AllReduce, 8, 8));
        assert!(!supports("halvingDoubling", Collective::AllReduce, 6, 6));
        assert!(!supports("halvingDoubling", Collective::AllToAll, 8, 8));
    }

    #[test]
    fn an_algorithm_over_all_ranks_is_judged_by_the_rank_count() {
        assert!(!supports("oneHalvingDoubling", Collective::AllReduce, 4, 12));
        assert!(supports("oneHalvingDoubling", Collective::AllReduce, 3, 16));
    }

    #[test]
    fn what_would_hang_or_answer_another_question_is_not_supported() {
        assert!(!supports("doubleBinaryTree", Collective::AllGather, 8, 8));
        assert!(!supports("direct0", Collective::AllGather, 8, 8));
        assert!(!supports("torus2d", Collective::AllReduce, 2, 2));
        assert!(!supports("mesh2d", Collective::AllReduce, 16, 16));
        assert!(supports("mesh", Collective::AllReduce, 5, 5));
    }

    #[test]
    fn what_a_dialect_lacks_is_said_with_the_dialect_that_has_it() {
        let mesh = parse("mesh").unwrap();
        assert_eq!(exists(mesh, Dialect::DeepFlow), Ok(()));
        let lacks = "exists in dialect deepflow, not in astra-sim";
        assert_eq!(exists(mesh, Dialect::AstraSim), Err(lacks.to_owned()));
    }
}

//! Collective algorithms as files name them, and what each of them cannot do.
//!
//! The engine's vocabulary, and the four names that only DeepFlow's simulator knows (they are written to its files,
//! the engine does not run them). It must never know which algorithm is chosen, or why.

use astra_engine::{Algorithm as Known, CollectiveType};
use astra_policy::Collective;

use crate::error::closest;
use crate::{Error, Result};

/// An algorithm as a system file or a user names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// One that ASTRA-sim has.
    AstraSim(Known),
    /// `mesh`, `hypercube`, `torus2d` or `mesh2d`, which only DeepFlow's simulator has.
    DeepFlow(&'static str),
}

/// The names only DeepFlow's simulator knows.
const DEEPFLOW: [&str; 4] = ["mesh", "hypercube", "torus2d", "mesh2d"];

impl Algorithm {
    /// The algorithm of that name; names are case-sensitive, as in the simulator.
    ///
    /// # Errors
    ///
    /// A name that is no algorithm (with a suggestion), or a wrong window behind `direct`.
    pub fn parse(name: &str) -> Result<Self> {
        if let Some(known) = DEEPFLOW.iter().find(|known| **known == name) {
            return Ok(Self::DeepFlow(known));
        }
        let error = match name.parse() {
            Ok(known) => return Ok(Self::AstraSim(known)),
            Err(astra_engine::AlgorithmError::Name(_)) => {
                Error::input(format!("unknown collective algorithm `{name}`"))
            }
            Err(window) => Error::input(window.to_string()),
        };
        let names = || Known::NAMES.iter().chain(&DEEPFLOW).copied();
        Err(match closest(name, names()) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint(format!("one of {}", names().collect::<Vec<_>>().join(", "))),
        })
    }

    /// Whether this algorithm can run `collective` on a dimension of `npus` members in a system of `ranks` ranks.
    ///
    /// # Errors
    ///
    /// What it cannot do, as a fragment that follows the algorithm's name: "needs a power of two …". Source of the
    /// rules: observed behaviour of the simulators, which hang, abort or answer another question there.
    pub fn supports(self, collective: Collective, npus: u32, ranks: u32) -> Result<(), String> {
        match self {
            Self::AstraSim(known) => {
                let members = if known.spans_all_ranks() { ranks } else { npus };
                astra_sim_supports(known, collective, members)
            }
            Self::DeepFlow("torus2d") if npus < 4 => {
                Err(format!("sends nothing below 4 members, here {npus}, so it would take no time"))
            }
            Self::DeepFlow("mesh2d") => Err("never completes in the simulator".to_owned()),
            Self::DeepFlow(_) => Ok(()),
        }
    }
}

fn astra_sim_supports(known: Known, collective: Collective, members: u32) -> Result<(), String> {
    match known {
        Known::Direct { window: Some(0) } | Known::OneDirect { window: Some(0) } => {
            Err("has a window of 0, so it never sends".to_owned())
        }
        Known::DoubleBinaryTree if collective != Collective::AllReduce => Err(format!(
            "runs an all_reduce whatever it is asked for, so {collective} would get a wrong time"
        )),
        _ if !known.supports(engine_type(collective)) => Err(format!("cannot run {collective}")),
        _ if known.needs_power_of_two() && !members.is_power_of_two() => {
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
        Algorithm::parse(name).unwrap().supports(collective, npus, ranks).is_ok()
    }

    #[test]
    fn a_misspelt_algorithm_gets_a_suggestion() {
        let error = Algorithm::parse("halvingdoubling").unwrap_err();
        assert_eq!(error.hint_text(), Some("did you mean `halvingDoubling`?"));
        assert!(Algorithm::parse("directly").unwrap_err().to_string().contains("window"));
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
}

//! Collective algorithms: their names in ASTRA-sim's system file and what each of them cannot do.
//!
//! Depends on the policy vocabulary only. It must never know which algorithm is chosen, or why.
//! Source of the limits: observed behaviour of the analytical simulator (a violated limit hangs or aborts there).

use astra_policy::Collective;

use crate::error::closest;
use crate::{Error, Result};

/// An algorithm as a system file or a user names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// `ring`: around the dimension, one message in flight per direction.
    Ring,
    /// `oneRing`: one ring over all ranks.
    OneRing,
    /// `direct`, `direct<W>`: to every member, at most `W` at once.
    Direct(Option<u32>),
    /// `oneDirect`, `oneDirect<W>`: the same over all ranks.
    OneDirect(Option<u32>),
    /// `halvingDoubling`: partners at distances 1, 2, 4, ….
    HalvingDoubling,
    /// `oneHalvingDoubling`: the same over all ranks.
    OneHalvingDoubling,
    /// `doubleBinaryTree`: an all-reduce over two trees.
    DoubleBinaryTree,
    /// `mesh`, in the DeepFlow dialect.
    Mesh,
    /// `hypercube`, in the DeepFlow dialect.
    HyperCube,
    /// `torus2d`, in the DeepFlow dialect.
    Torus2D,
    /// `mesh2d`, in the DeepFlow dialect.
    Mesh2D,
}

/// The names without a number.
const NAMES: [(&str, Algorithm); 11] = [
    ("ring", Algorithm::Ring),
    ("oneRing", Algorithm::OneRing),
    ("direct", Algorithm::Direct(None)),
    ("oneDirect", Algorithm::OneDirect(None)),
    ("halvingDoubling", Algorithm::HalvingDoubling),
    ("oneHalvingDoubling", Algorithm::OneHalvingDoubling),
    ("doubleBinaryTree", Algorithm::DoubleBinaryTree),
    ("mesh", Algorithm::Mesh),
    ("hypercube", Algorithm::HyperCube),
    ("torus2d", Algorithm::Torus2D),
    ("mesh2d", Algorithm::Mesh2D),
];

impl Algorithm {
    /// The algorithm of that name; names are case-sensitive, as in the simulator.
    ///
    /// # Errors
    ///
    /// A name that is no algorithm (with a suggestion), or a window that is not a number of at most five digits.
    pub fn parse(name: &str) -> Result<Self> {
        if let Some((_, algorithm)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Ok(*algorithm);
        }
        let window = |digits: &str| {
            (digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit()))
                .then(|| digits.parse().ok())
                .flatten()
        };
        let windowed = match name.strip_prefix("direct") {
            Some(digits) => window(digits).map(|window| Self::Direct(Some(window))),
            None => {
                name.strip_prefix("oneDirect").and_then(window).map(|window| Self::OneDirect(Some(window)))
            }
        };
        windowed.ok_or_else(|| {
            let names = NAMES.map(|(known, _)| known);
            let error = Error::input(format!("unknown collective algorithm `{name}`"));
            match closest(name, names) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint(format!("one of {}", names.join(", "))),
            }
        })
    }

    /// Whether this algorithm can run `collective` on a dimension of `npus` members in a system of `ranks` ranks.
    ///
    /// # Errors
    ///
    /// What it cannot do, as a fragment that follows the algorithm's name: "needs a power of two …".
    pub fn supports(self, collective: Collective, npus: u32, ranks: u32) -> Result<(), String> {
        let members = match self {
            Self::OneRing | Self::OneDirect(_) | Self::OneHalvingDoubling => ranks,
            _ => npus,
        };
        let power_of_two = || match members.is_power_of_two() {
            true => Ok(()),
            false => Err(format!("needs a power of two of members, here {members}")),
        };
        match self {
            Self::HalvingDoubling | Self::OneHalvingDoubling if collective == Collective::AllToAll => {
                Err("cannot run all_to_all".to_owned())
            }
            Self::HalvingDoubling | Self::OneHalvingDoubling => power_of_two(),
            Self::DoubleBinaryTree if collective != Collective::AllReduce => {
                Err(format!("runs all_reduce only; simulating {collective} as one would give a wrong time"))
            }
            Self::DoubleBinaryTree => power_of_two(),
            Self::Direct(Some(0)) | Self::OneDirect(Some(0)) => {
                Err("has a window of 0, so it never sends".to_owned())
            }
            Self::Torus2D if members < 4 => {
                Err(format!("sends nothing below 4 members, here {members}, so it would take no time"))
            }
            Self::Mesh2D => Err("never completes in the simulator".to_owned()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_a_number_after_direct() {
        assert_eq!(Algorithm::parse("direct8").unwrap(), Algorithm::Direct(Some(8)));
        assert_eq!(Algorithm::parse("oneDirect").unwrap(), Algorithm::OneDirect(None));
        for wrong in ["direct-1", "directly", "direct123456", "oneDirectx", ""] {
            assert!(Algorithm::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_misspelt_algorithm_gets_a_suggestion() {
        let error = Algorithm::parse("halvingdoubling").unwrap_err();
        assert_eq!(error.hint_text(), Some("did you mean `halvingDoubling`?"));
    }

    #[test]
    fn halving_doubling_wants_a_power_of_two_and_no_all_to_all() {
        let algorithm = Algorithm::HalvingDoubling;
        assert_eq!(algorithm.supports(Collective::AllReduce, 8, 8), Ok(()));
        assert!(algorithm.supports(Collective::AllReduce, 6, 6).is_err());
        assert!(algorithm.supports(Collective::AllToAll, 8, 8).is_err());
    }

    #[test]
    fn an_algorithm_over_all_ranks_is_judged_by_the_rank_count() {
        assert!(Algorithm::OneHalvingDoubling.supports(Collective::AllReduce, 4, 12).is_err());
        assert_eq!(Algorithm::OneHalvingDoubling.supports(Collective::AllReduce, 3, 16), Ok(()));
    }
}

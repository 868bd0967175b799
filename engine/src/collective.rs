//! Collective operations and the algorithms that carry them out, with the names and limits users meet.
//!
//! Values only: how an algorithm runs is in `sim::algorithm`.

use crate::dialect::Dialect;
use crate::names::{UnknownName, named_enum};
use std::fmt;
use std::str::FromStr;

named_enum! {
    /// A collective operation. The numbers of the Chakra schema are in [`CollectiveType::chakra`].
    pub enum CollectiveType ("collective type") {
        /// Every member ends with the reduction of all inputs.
        AllReduce = "all_reduce",
        /// One member ends with the reduction of all inputs.
        Reduce = "reduce",
        /// Every member ends with the concatenation of all inputs.
        AllGather = "all_gather",
        /// One member ends with the concatenation of all inputs.
        Gather = "gather",
        /// One member's input is dealt out.
        Scatter = "scatter",
        /// One member's input is copied to all.
        Broadcast = "broadcast",
        /// Every member sends a part of its input to every other.
        AllToAll = "all_to_all",
        /// Every member ends with its part of the reduction.
        ReduceScatter = "reduce_scatter",
        /// Reduce-scatter with equal blocks.
        ReduceScatterBlock = "reduce_scatter_block",
        /// No data, only synchronisation.
        Barrier = "barrier",
    }
}

impl CollectiveType {
    /// The type with this number in the Chakra schema (`comm_type`).
    pub const fn from_chakra(number: u64) -> Option<Self> {
        Some(match number {
            0 => Self::AllReduce,
            1 => Self::Reduce,
            2 => Self::AllGather,
            3 => Self::Gather,
            4 => Self::Scatter,
            5 => Self::Broadcast,
            6 => Self::AllToAll,
            7 => Self::ReduceScatter,
            8 => Self::ReduceScatterBlock,
            9 => Self::Barrier,
            _ => return None,
        })
    }

    /// The number in the Chakra schema (`comm_type`).
    pub const fn chakra(self) -> u64 {
        // Declared in the order of the schema's numbers.
        self as u64
    }

    /// Whether the simulator knows the operation at all; the others are refused when a rank reaches them.
    pub const fn is_simulated(self) -> bool {
        matches!(
            self,
            Self::AllReduce | Self::AllGather | Self::ReduceScatter | Self::AllToAll | Self::Broadcast
        )
    }
}

/// The dimensions a collective runs in, as the `involved_dim` attribute of a trace gives them.
///
/// Without the attribute the first four dimensions are involved; dimensions beyond a given list are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InvolvedDims(u32);

impl InvolvedDims {
    /// From the flags of the attribute; flags after the 32nd are not looked at.
    pub fn from_flags(flags: &[bool]) -> Self {
        Self(flags.iter().take(32).enumerate().fold(0, |bits, (dim, &on)| bits | (u32::from(on) << dim)))
    }

    /// Whether this dimension is involved.
    pub const fn contains(self, dimension: usize) -> bool {
        dimension < 32 && self.0 >> dimension & 1 == 1
    }

    pub(crate) const ALL: Self = Self(u32::MAX);
}

impl Default for InvolvedDims {
    fn default() -> Self {
        Self(0b1111)
    }
}

/// How a collective is carried out in one logical dimension.
///
/// The `One…` forms span all ranks in rank order as one ring, whatever the network's dimensions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Neighbour to neighbour around the ring.
    Ring,
    /// [`Algorithm::Ring`] over all ranks.
    OneRing,
    /// Every member to every other, at most `window` at once; `None` is no limit.
    Direct {
        /// Messages in flight per member.
        window: Option<u32>,
    },
    /// [`Algorithm::Direct`] over all ranks.
    OneDirect {
        /// Messages in flight per member.
        window: Option<u32>,
    },
    /// Recursive halving and doubling; needs a power of two.
    HalvingDoubling,
    /// [`Algorithm::HalvingDoubling`] over all ranks.
    OneHalvingDoubling,
    /// Two complementary binary trees, used in turn by the chunks; needs a power of two.
    DoubleBinaryTree,
    /// Neighbour to neighbour around a ring, whatever the name says; DeepFlow's.
    Mesh,
    /// [`Algorithm::Mesh`] with a number of rounds that grows with the natural logarithm; DeepFlow's.
    HyperCube,
    /// [`Algorithm::Mesh`] with the number of rounds of a square grid; DeepFlow's.
    Torus2D,
    /// DeepFlow's for a grid without wrap-around, which never completes there.
    Mesh2D,
}

impl Algorithm {
    /// The names without a window; `direct` and `oneDirect` may be followed by one (`direct4`).
    pub const NAMES: &'static [&'static str] = &[
        "ring",
        "oneRing",
        "direct",
        "oneDirect",
        "halvingDoubling",
        "oneHalvingDoubling",
        "doubleBinaryTree",
        "mesh",
        "hypercube",
        "torus2d",
        "mesh2d",
    ];

    /// Whether the simulator of a dialect has this algorithm.
    pub const fn exists_in(self, dialect: Dialect) -> bool {
        match self {
            Self::Mesh | Self::HyperCube | Self::Torus2D | Self::Mesh2D => {
                matches!(dialect, Dialect::DeepFlow)
            }
            _ => true,
        }
    }

    /// Whether this algorithm can carry out the collective. A tree runs an all-reduce whatever it is asked
    /// for; `mesh2d` carries out none, for its first and last member wait for neighbours that they do not have.
    pub const fn supports(self, collective: CollectiveType) -> bool {
        match collective {
            CollectiveType::AllReduce | CollectiveType::AllGather | CollectiveType::ReduceScatter => {
                !matches!(self, Self::Mesh2D)
            }
            CollectiveType::AllToAll => {
                !matches!(self, Self::HalvingDoubling | Self::OneHalvingDoubling | Self::Mesh2D)
            }
            _ => false,
        }
    }

    /// Whether the number of members has to be a power of two.
    pub const fn needs_power_of_two(self) -> bool {
        matches!(self, Self::HalvingDoubling | Self::OneHalvingDoubling | Self::DoubleBinaryTree)
    }

    /// Whether a communicator group that is not of all ranks can run the algorithm.
    pub const fn runs_in_groups(self) -> bool {
        !matches!(self, Self::DoubleBinaryTree | Self::HyperCube | Self::Torus2D | Self::Mesh2D)
    }

    /// Whether the algorithm spans all ranks as one ring, which ends the list of dimensions.
    pub const fn spans_all_ranks(self) -> bool {
        matches!(self, Self::OneRing | Self::OneDirect { .. } | Self::OneHalvingDoubling)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, window) = match *self {
            Self::Ring => ("ring", None),
            Self::OneRing => ("oneRing", None),
            Self::Direct { window } => ("direct", window),
            Self::OneDirect { window } => ("oneDirect", window),
            Self::HalvingDoubling => ("halvingDoubling", None),
            Self::OneHalvingDoubling => ("oneHalvingDoubling", None),
            Self::DoubleBinaryTree => ("doubleBinaryTree", None),
            Self::Mesh => ("mesh", None),
            Self::HyperCube => ("hypercube", None),
            Self::Torus2D => ("torus2d", None),
            Self::Mesh2D => ("mesh2d", None),
        };
        f.write_str(name)?;
        window.map_or(Ok(()), |window| write!(f, "{window}"))
    }
}

/// Why a text is not an algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlgorithmError {
    /// No algorithm of that name.
    Name(UnknownName),
    /// What follows `direct` is not a window.
    Window(String),
}

impl fmt::Display for AlgorithmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => error.fmt(f),
            Self::Window(found) => write!(
                f,
                "window of `{found}` is not a number of messages; write `direct` for no limit or `direct4` for four"
            ),
        }
    }
}

impl std::error::Error for AlgorithmError {}

impl FromStr for Algorithm {
    type Err = AlgorithmError;

    /// Accepts what the system files of either dialect accept: the names, and `direct` or `oneDirect` with a window
    /// behind it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let window = |tail: &str| window(tail).ok_or_else(|| AlgorithmError::Window(text.to_owned()));
        match text {
            "ring" => Ok(Self::Ring),
            "oneRing" => Ok(Self::OneRing),
            "halvingDoubling" => Ok(Self::HalvingDoubling),
            "oneHalvingDoubling" => Ok(Self::OneHalvingDoubling),
            "doubleBinaryTree" => Ok(Self::DoubleBinaryTree),
            "mesh" => Ok(Self::Mesh),
            "hypercube" => Ok(Self::HyperCube),
            "torus2d" => Ok(Self::Torus2D),
            "mesh2d" => Ok(Self::Mesh2D),
            _ => {
                if let Some(tail) = text.strip_prefix("direct") {
                    Ok(Self::Direct { window: window(tail)? })
                } else if let Some(tail) = text.strip_prefix("oneDirect") {
                    Ok(Self::OneDirect { window: window(tail)? })
                } else {
                    Err(AlgorithmError::Name(UnknownName {
                        what: "collective algorithm",
                        found: text.to_owned(),
                        expected: Self::NAMES,
                    }))
                }
            }
        }
    }
}

/// The window behind `direct`: at most five characters, blanks and a sign in front, digits up to the first
/// other character. Nothing or -1 is "no limit"; the outer `None` is "not a window".
fn window(tail: &str) -> Option<Option<u32>> {
    if tail.is_empty() {
        return Some(None);
    }
    let read: String = tail.chars().take(5).collect();
    let read = read.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    let (negative, digits) = match read.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, read.strip_prefix('+').unwrap_or(read)),
    };
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let number: u32 = digits[..end].parse().ok()?;
    match (negative, number) {
        (false, number) => Some(Some(number)),
        (true, 1) => Some(None),
        (true, 0) => Some(Some(0)),
        (true, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_round_trips() {
        for name in Algorithm::NAMES.iter().chain(&["direct1", "direct16", "oneDirect3"]) {
            assert_eq!(name.parse::<Algorithm>().unwrap().to_string(), *name);
        }
    }

    #[test]
    fn window_follows_the_rules_of_the_system_file() {
        assert_eq!("direct-1".parse(), Ok(Algorithm::Direct { window: None }));
        assert_eq!("direct +4x".parse(), Ok(Algorithm::Direct { window: Some(4) }));
        assert_eq!("direct123456".parse(), Ok(Algorithm::Direct { window: Some(12345) }));
        assert!(matches!("directX".parse::<Algorithm>(), Err(AlgorithmError::Window(_))));
        assert!(matches!("direct-2".parse::<Algorithm>(), Err(AlgorithmError::Window(_))));
        assert!(matches!("rings".parse::<Algorithm>(), Err(AlgorithmError::Name(_))));
    }

    #[test]
    fn chakra_numbers_round_trip() {
        for &collective in CollectiveType::ALL {
            assert_eq!(CollectiveType::from_chakra(collective.chakra()), Some(collective));
        }
        assert_eq!(CollectiveType::from_chakra(10), None);
        assert_eq!(CollectiveType::ReduceScatter.chakra(), 7);
    }

    #[test]
    fn dimensions_beyond_the_list_are_not_involved() {
        let dims = InvolvedDims::from_flags(&[false, true]);
        assert!(!dims.contains(0) && dims.contains(1) && !dims.contains(2));
        assert!(InvolvedDims::default().contains(3) && !InvolvedDims::default().contains(4));
    }
}

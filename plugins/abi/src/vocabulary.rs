//! The words of the interface: every enumeration with its fixed numbers and the names files use.
//!
//! Numbers are those of `astra_policy.h` and never change. Depends on nothing.

use std::fmt;

/// An enumeration whose members have a fixed number and a name.
macro_rules! numbered {
    (
        $(#[$meta:meta])*
        pub enum $type:ident { $( $(#[$member_meta:meta])* $member:ident = $number:literal, $name:literal; )+ }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u32)]
        pub enum $type { $( $(#[$member_meta])* $member = $number, )+ }

        impl $type {
            /// All members, by number.
            pub const ALL: [Self; [$($number),+].len()] = [$(Self::$member),+];

            /// The number in the interface.
            pub const fn number(self) -> u32 {
                self as u32
            }

            /// The member with this number.
            pub const fn from_number(number: u32) -> Option<Self> {
                match number {
                    $( $number => Some(Self::$member), )+
                    _ => None,
                }
            }

            /// The name in files.
            pub const fn name(self) -> &'static str {
                match self {
                    $( Self::$member => $name, )+
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

numbered! {
    /// A collective operation a policy can be asked about, in the order in which ASTRA-sim's system file lists them.
    pub enum Collective {
        /// Every rank ends with the reduction of all contributions.
        AllReduce = 0, "all_reduce";
        /// Every rank ends with the concatenation of all contributions.
        AllGather = 1, "all_gather";
        /// Every rank ends with its share of the reduction.
        ReduceScatter = 2, "reduce_scatter";
        /// Every rank sends a distinct part to every other rank.
        AllToAll = 3, "all_to_all";
    }
}

impl Collective {
    /// The collective of that name; `-` and `_` are the same.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.replace('-', "_");
        Self::ALL.into_iter().find(|collective| collective.name() == name)
    }
}

numbered! {
    /// The building block of a network dimension, under its name in the network file.
    pub enum Topology {
        /// A ring in both directions.
        Ring = 0, "Ring";
        /// A link between every pair.
        FullyConnected = 1, "FullyConnected";
        /// One switch in the middle.
        Switch = 2, "Switch";
        /// A line without wrap-around.
        Mesh = 3, "Mesh";
        /// Neighbours differ in one bit of their index.
        HyperCube = 4, "HyperCube";
        /// A square grid with wrap-around.
        Torus2D = 5, "Torus2D";
        /// A square grid without wrap-around.
        Mesh2D = 6, "Mesh2D";
        /// A square grid with diagonals.
        KingMesh2D = 7, "KingMesh2D";
        /// One shared medium.
        Bus = 8, "Bus";
        /// One binary tree.
        BinaryTree = 9, "BinaryTree";
        /// Two complementary binary trees.
        DoubleBinaryTree = 10, "DoubleBinaryTree";
    }
}

numbered! {
    /// How a collective is carried out on a dimension, under its name in ASTRA-sim's system file.
    pub enum Algorithm {
        /// Neighbour to neighbour around a ring.
        Ring = 0, "ring";
        /// A ring over all ranks, whatever the dimensions are; ends the list of dimensions.
        OneRing = 1, "oneRing";
        /// Every member to every other at once.
        Direct = 2, "direct";
        /// Every rank to every other at once; ends the list of dimensions.
        OneDirect = 3, "oneDirect";
        /// Recursive halving and doubling.
        HalvingDoubling = 4, "halvingDoubling";
        /// Recursive halving and doubling over all ranks; ends the list of dimensions.
        OneHalvingDoubling = 5, "oneHalvingDoubling";
        /// Two complementary binary trees, used in turn.
        DoubleBinaryTree = 6, "doubleBinaryTree";
        /// DeepFlow's for a line.
        Mesh = 7, "mesh";
        /// DeepFlow's for a hypercube.
        HyperCube = 8, "hypercube";
        /// DeepFlow's for a square grid with wrap-around.
        Torus2D = 9, "torus2d";
        /// DeepFlow's for a square grid without wrap-around.
        Mesh2D = 10, "mesh2d";
    }
}

impl Algorithm {
    /// The algorithm of that name; case-sensitive, as in the simulator.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

numbered! {
    /// Whether messages compete for links.
    pub enum NetworkModel {
        /// They do: a link carries one message at a time.
        CongestionAware = 0, "congestion_aware";
        /// They do not: every message sees an idle network.
        CongestionUnaware = 1, "congestion_unaware";
    }
}

numbered! {
    /// The simulator that will run the collective: it decides which algorithms there are and what they cost.
    pub enum Dialect {
        /// ASTRA-sim.
        AstraSim = 0, "astra-sim";
        /// DeepFlow's fork of it.
        DeepFlow = 1, "deepflow";
    }
}

numbered! {
    /// How an all-reduce over several dimensions is decomposed, under its name in ASTRA-sim's system file.
    pub enum CollectiveOptimization {
        /// A whole all-reduce in every dimension, one after the other.
        Baseline = 0, "baseline";
        /// Reduce-scatters, an all-reduce in the last dimension, all-gathers back.
        LocalBwAware = 1, "localBWAware";
    }
}

/// A set of algorithms, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AlgorithmSet(u64);

impl AlgorithmSet {
    /// The set with these bits; a bit for which there is no algorithm here means nothing.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Bit `a` is set when the algorithm with number `a` is in the set.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether the algorithm is in the set.
    pub const fn contains(self, algorithm: Algorithm) -> bool {
        self.0 >> algorithm.number() & 1 == 1
    }

    /// The algorithms in the set, by number.
    pub fn iter(self) -> impl Iterator<Item = Algorithm> {
        Algorithm::ALL.into_iter().filter(move |algorithm| self.contains(*algorithm))
    }
}

impl FromIterator<Algorithm> for AlgorithmSet {
    fn from_iter<I: IntoIterator<Item = Algorithm>>(algorithms: I) -> Self {
        Self(algorithms.into_iter().fold(0, |bits, algorithm| bits | 1 << algorithm.number()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collective_is_found_under_both_spellings_and_no_other() {
        assert_eq!(Collective::from_name("all-to-all"), Some(Collective::AllToAll));
        for collective in Collective::ALL {
            assert_eq!(Collective::from_name(collective.name()), Some(collective));
        }
        assert_eq!(Collective::from_name("allreduce"), None);
    }

    #[test]
    fn a_number_names_one_member_and_the_next_free_one_names_none() {
        for (position, algorithm) in Algorithm::ALL.into_iter().enumerate() {
            assert_eq!(algorithm.number() as usize, position);
            assert_eq!(Algorithm::from_number(algorithm.number()), Some(algorithm));
            assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
        }
        assert_eq!(Algorithm::from_number(11), None);
        assert_eq!(Topology::from_number(11), None);
        assert_eq!(Collective::from_number(4), None);
    }

    #[test]
    fn a_set_holds_what_was_put_in() {
        let set: AlgorithmSet = [Algorithm::Direct, Algorithm::Ring].into_iter().collect();
        assert_eq!(set.bits(), 0b101);
        assert!(set.iter().eq([Algorithm::Ring, Algorithm::Direct]));
        assert_eq!(AlgorithmSet::from_bits(1 << 63).iter().count(), 0);
    }
}

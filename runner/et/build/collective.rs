//! The smallest workload: every rank takes part in one collective.

use astra_engine::CollectiveType;

use super::{check_kind, comm_size};
use crate::Result;
use crate::et::bundle::{Bundle, FileWriter, check_ranks};
use crate::et::schema::Node;

/// One collective over all ranks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SingleCollective {
    /// Name of the node, for people.
    pub name: String,
    /// What kind of collective; one of [`super::COLLECTIVES`].
    pub kind: CollectiveType,
    /// ASTRA-sim's `comm_size`: for an all-gather what one rank contributes, otherwise the whole buffer.
    pub size_bytes: u64,
    /// How many ranks; at least one.
    pub ranks: u32,
    /// Which id the node has.
    pub ids: NodeIds,
}

/// How the node of a single collective is numbered. The simulated times are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NodeIds {
    /// Id 0 on every rank: all ranks have the same file.
    #[default]
    Zero,
    /// The rank as id, as DeepFlow and ASTRA-sim's example generators write it: every rank has a file of its own.
    Rank,
}

impl SingleCollective {
    /// Writes the traces.
    ///
    /// # Errors
    /// The collective is not simulated, or the size or the number of ranks cannot be expressed; with the key
    /// `collective`, `size` or `ranks`.
    pub fn build(&self) -> Result<Bundle> {
        check_ranks(u64::from(self.ranks))?;
        check_kind(self.kind)?;
        let size = comm_size(self.size_bytes)?;
        let file = |id: u64| {
            let mut file = FileWriter::new();
            file.node(&Node::collective(id, &self.name, self.kind, size, None))?;
            Ok(file)
        };
        match self.ids {
            NodeIds::Zero => Bundle::uniform(file(0)?, self.ranks),
            NodeIds::Rank => {
                Bundle::of_ranks((0..self.ranks).map(|rank| file(u64::from(rank)).map(FileWriter::finish)))
            }
        }
    }
}

/// The rounded size that DeepFlow puts into names: `1.00MB` for 2^20 bytes, `0.0010KB` for one. Different sizes share
/// labels, so a label is never a key.
pub fn size_label(size_bytes: u64) -> String {
    const UNITS: [(&str, u32); 4] = [("TB", 40), ("GB", 30), ("MB", 20), ("KB", 10)];
    match UNITS.iter().find(|(_, bits)| size_bytes >> bits > 0) {
        Some((unit, bits)) => format!("{:.2}{unit}", size_bytes as f64 / (1_u64 << bits) as f64),
        None => format!("{:.4}KB", size_bytes as f64 / 1024.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_reduce(ranks: u32, ids: NodeIds) -> SingleCollective {
        let kind = CollectiveType::AllReduce;
        SingleCollective { name: "all_reduce".into(), kind, size_bytes: 1 << 20, ranks, ids }
    }

    #[test]
    fn equal_ranks_are_one_file() {
        let bundle = all_reduce(1024, NodeIds::Zero).build().unwrap();
        assert_eq!((bundle.files.len(), bundle.ranks()), (1, 1024));
        assert_eq!(bundle.file_of(1023), Some(&bundle.files[0]));
        assert_eq!(bundle.file_of(1024), None);
    }

    #[test]
    fn rank_ids_give_every_rank_a_file_and_start_with_the_same_one() {
        let own = all_reduce(5, NodeIds::Rank).build().unwrap();
        assert_eq!(own.file_of_rank, [0, 1, 2, 3, 4]);
        assert_eq!(own.files[0], all_reduce(5, NodeIds::Zero).build().unwrap().files[0]);
    }

    #[test]
    fn no_ranks_and_too_many_are_refused() {
        for ranks in [0, u32::MAX] {
            for ids in [NodeIds::Zero, NodeIds::Rank] {
                let error = all_reduce(ranks, ids).build().unwrap_err();
                assert!(error.to_string().starts_with("ranks: "), "{error}");
            }
        }
    }

    #[test]
    fn labels_round_to_two_decimals_of_the_largest_unit_and_four_below_a_kilobyte() {
        let cases =
            [(0, "0.0000KB"), (1, "0.0010KB"), (1023, "0.9990KB"), (1024, "1.00KB"), (1034, "1.01KB")];
        let large = [
            (1 << 20, "1.00MB"),
            ((1 << 20) - 1, "1024.00KB"),
            (1_000_000_000, "953.67MB"),
            (6 << 40, "6.00TB"),
        ];
        for (size, label) in cases.into_iter().chain(large) {
            assert_eq!(size_label(size), label);
        }
    }
}

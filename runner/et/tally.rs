//! How often the ranks of a bundle carry out each collective.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use astra_engine::InvolvedDims;

use super::attributes;
use super::bundle::{Bundle, CollectiveUse};
use super::parallel::in_parallel;
use super::reader::Reader;
use super::schema::{NodeType, names};
use crate::Result;

/// Collectives with the dimensions they run in, and how many nodes of all ranks ask for each.
pub type CollectiveTally = BTreeMap<(CollectiveUse, InvolvedDims), u64>;

/// Counts the collective nodes of all ranks; files are read once each, on several threads, and those without
/// collectives not at all.
///
/// # Errors
/// A file is not a valid trace, or a collective lacks what it needs.
pub fn tally_collectives(bundle: &Bundle, jobs: NonZeroUsize) -> Result<CollectiveTally> {
    let mut ranks_of_file = vec![0_u64; bundle.files.len()];
    for &file in &bundle.file_of_rank {
        ranks_of_file[file as usize] += 1;
    }
    let of_files = in_parallel(bundle.files.len(), jobs, |file| {
        if bundle.summaries[file].collectives.is_empty() {
            return Ok(CollectiveTally::new());
        }
        of_file(&bundle.files[file]).map_err(|error| error.in_file(format!("trace file {file}")))
    });
    let mut tally = CollectiveTally::new();
    for (of_file, ranks) in of_files.into_iter().zip(ranks_of_file) {
        for (used, nodes) in of_file? {
            let total = tally.entry(used).or_default();
            *total = total.saturating_add(nodes.saturating_mul(ranks));
        }
    }
    Ok(tally)
}

fn of_file(bytes: &[u8]) -> Result<CollectiveTally> {
    let mut tally = CollectiveTally::new();
    for node in Reader::from_bytes("", bytes)? {
        let node = node?;
        if node.kind == NodeType::Collective as i32 {
            let flags = attributes::flags(&node, names::INVOLVED_DIM)?;
            let involved = flags.map_or_else(InvolvedDims::default, InvolvedDims::from_flags);
            *tally.entry((attributes::collective(&node)?, involved)).or_default() += 1;
        }
    }
    Ok(tally)
}

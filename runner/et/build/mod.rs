//! Builds trace bundles for synthetic workloads.
//!
//! A builder is a plain value that says what is wanted; `build` writes the traces. Depends on the writer; knows nothing
//! of recipes and their units: sizes are bytes, times nanoseconds.

mod collective;
mod pipeline;
mod sequence;

pub use collective::{NodeIds, SingleCollective, size_label};
pub use pipeline::{MAX_PIPELINE_MESSAGES, Pipeline};
pub use sequence::{Sequence, SequenceItem};

use astra_engine::CollectiveType;

use crate::{Error, Result};

/// The collectives that are simulated as messages; of the others a simulator takes no time or refuses them.
pub const COLLECTIVES: [CollectiveType; 4] = [
    CollectiveType::AllReduce,
    CollectiveType::AllGather,
    CollectiveType::ReduceScatter,
    CollectiveType::AllToAll,
];

fn check_kind(kind: CollectiveType) -> Result<()> {
    if COLLECTIVES.contains(&kind) {
        return Ok(());
    }
    let names = COLLECTIVES.map(CollectiveType::as_str).join(", ");
    Err(Error::input(format!("{kind} is not simulated, expected one of {names}")).key("collective"))
}

/// The size as the signed number a trace holds.
fn comm_size(size_bytes: u64) -> Result<i64> {
    match i64::try_from(size_bytes) {
        Ok(0) => Err(Error::input("the size is 0 bytes; a message needs at least one").key("size")),
        Ok(size) => Ok(size),
        Err(_) => {
            let limit = i64::MAX;
            Err(Error::input(format!("{size_bytes} bytes are more than a trace can express ({limit})"))
                .key("size"))
        }
    }
}

/// Whole microseconds: traces have no finer durations. DeepFlow rounds down instead, so that a delay of 999 ns is one
/// of 1 ns in its simulations.
fn whole_micros(duration_ns: u64) -> Result<u64> {
    if duration_ns.is_multiple_of(1_000) {
        return Ok(duration_ns / 1_000);
    }
    let below = duration_ns / 1_000;
    Err(Error::input(format!(
        "{duration_ns} ns is not a whole number of microseconds, and traces have no finer durations"
    ))
    .hint(format!("write {below} us or {} us", below + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_that_would_be_rounded_is_refused_with_its_neighbours() {
        assert_eq!(whole_micros(2_000).unwrap(), 2);
        let error = whole_micros(2_500).unwrap_err();
        assert!(error.message().contains("2500 ns"), "{error}");
        assert_eq!(error.hint_text(), Some("write 2 us or 3 us"));
    }

    #[test]
    fn sizes_are_positive_and_fit_a_signed_number() {
        assert_eq!(comm_size(1).unwrap(), 1);
        assert!(comm_size(0).is_err());
        assert!(comm_size(1 << 63).is_err());
    }
}

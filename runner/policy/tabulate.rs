//! The decisions of a policy about one network as a table by size, which the policy `csv` reads.
//!
//! The policy is asked at powers of two; where two neighbours are decided differently, the first size of the other decision
//! is found by halving the gap.

use astra_policy::{Algorithm, Request};
use astra_policy_csv::{Row, Table};

use super::{Ruling, Session};
use crate::error::Result;

/// The largest size that a table is about.
pub const LARGEST_BYTES: u64 = 1 << 40;

/// The rows of one collective, up to [`LARGEST_BYTES`]. `network` is a question about it of any size. Sizes on which the
/// policy has no opinion have no row.
///
/// # Errors
/// Whatever asking gives.
pub fn tabulate(session: &mut Session, network: &Request) -> Result<Table> {
    let powers: Vec<u64> = (0..=LARGEST_BYTES.ilog2()).map(|bit| 1 << bit).collect();
    let decisions = ask(session, network, &powers)?;
    let mut table = Table::default();
    // Nothing is smaller than a byte, so what holds for one holds for none.
    let (mut first, mut current) = (0, decisions[0].clone());
    for (pair, next) in powers.windows(2).zip(&decisions[1..]) {
        if *next != current {
            let change = change(session, network, (pair[0], pair[1]), &current)?;
            push(&mut table, network, (first, change - 1), &current);
            (first, current) = (change, next.clone());
        }
    }
    push(&mut table, network, (first, LARGEST_BYTES), &current);
    Ok(table)
}

/// What is decided about a size: algorithms by dimension, or nothing.
type Decision = Option<Vec<Algorithm>>;

fn ask(session: &mut Session, network: &Request, sizes: &[u64]) -> Result<Vec<Decision>> {
    let requests: Vec<Request> =
        sizes.iter().map(|size| Request { payload_bytes: *size, ..network.clone() }).collect();
    let decision = |ruling| match ruling {
        Ruling::Decided(decided) => Some(decided.algorithms),
        Ruling::NoOpinion => None,
    };
    Ok(session.ask(&requests)?.into_iter().map(decision).collect())
}

/// A size at which what is decided is no longer `before`: that of the first change, if there is one only.
fn change(
    session: &mut Session,
    network: &Request,
    (mut same, mut other): (u64, u64),
    before: &Decision,
) -> Result<u64> {
    while other - same > 1 {
        let middle = same + (other - same) / 2;
        let is_same = ask(session, network, &[middle])?.first() == Some(before);
        *(if is_same { &mut same } else { &mut other }) = middle;
    }
    Ok(other)
}

fn push(table: &mut Table, network: &Request, (min_bytes, max_bytes): (u64, u64), decision: &Decision) {
    let Some(algorithms) = decision else { return };
    let is_one = algorithms.windows(2).all(|pair| pair[0] == pair[1]);
    let algorithms = if is_one { algorithms[..1].to_vec() } else { algorithms.clone() };
    let (collective, ranks) = (network.collective, Some(members(network)));
    // The first line is the heading.
    let line = table.rows.len() as u64 + 2;
    table.rows.push(Row { line, collective, min_bytes, max_bytes, algorithms, ranks });
}

fn members(network: &Request) -> u64 {
    network.group.as_ref().map_or(u64::from(network.ranks), |group| group.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Isolation, Limits, Shipped, Source, sample_questions};

    fn session(name: &str, config: &str) -> Session {
        let source = Source::Shipped(Shipped::named(name).unwrap());
        Session::open(source, config, Isolation::InProcess, Limits::default()).unwrap()
    }

    fn network(dimensions: usize) -> Request {
        sample_questions()
            .into_iter()
            .find(|q| q.dimensions.len() == dimensions && q.group.is_none())
            .unwrap()
    }

    #[test]
    fn a_change_is_found_to_the_byte_and_a_gap_has_no_row() {
        let text =
            "allreduce,0,1000,direct\nallreduce,5001,70000,ring\nallreduce,70001,1099511627776,direct\n";
        let table = tabulate(&mut session("csv", text), &network(1)).unwrap();
        let rows = table.rows.iter().map(|row| (row.min_bytes, row.max_bytes, row.algorithms[0]));
        let (direct, ring) = (Algorithm::Direct, Algorithm::Ring);
        let expected = [(0, 1000, direct), (5001, 70_000, ring), (70_001, LARGEST_BYTES, direct)];
        assert_eq!(rows.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn csv_decides_by_the_table_as_the_policy_did() {
        for dimensions in [1, 2, 3] {
            let network = network(dimensions);
            let mut original = session("alpha-beta", "");
            let table = tabulate(&mut original, &network).unwrap();
            assert!(table.rows.len() > 1, "{table}");
            let mut copy = session("csv", &table.to_string());
            let sizes: Vec<u64> = (0..1000).map(|i| i * i * i * i).collect();
            let same =
                ask(&mut original, &network, &sizes).unwrap() == ask(&mut copy, &network, &sizes).unwrap();
            assert!(same, "{table}");
        }
    }
}

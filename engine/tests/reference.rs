//! The engine against times that the ASTRA-sim analytical binary printed, where the recorded cases are at
//! hand.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod compared;
mod record;

use astra_engine::{Error, Nanos, Options, Report, simulate_with};
use compared::FIGURES;
use flate2::read::GzDecoder;
use record::Case;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Cases of a recorded file, if there is one beside the workspace.
fn cases(file: &str) -> Option<impl Iterator<Item = Case>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/ref/engine").join(file);
    match File::open(&path) {
        Ok(file) => {
            Some(BufReader::new(GzDecoder::new(file)).lines().map(|line| Case::parse(&line.unwrap())))
        }
        Err(error) => {
            eprintln!("NOT CHECKED: no recorded cases at {}: {error}", path.display());
            None
        }
    }
}

/// A figure by rank: the record has one number where all ranks agree.
fn by_rank(expected: &Value, rank: usize) -> Nanos {
    let value = expected.as_array().map_or(expected, |values| &values[rank]);
    Nanos(value.as_u64().unwrap_or_else(|| panic!("{value} is no time")))
}

/// What differs from the record, if anything does.
fn difference(expected: &Value, result: &Result<Report, Error>) -> Option<String> {
    let report = match result {
        Ok(report) => report,
        Err(error) => return Some(error.to_string()),
    };
    for (name, figure) in FIGURES {
        let Some(expected) = expected.get(name) else {
            assert!(name != "finish" && name != "exposed", "the record has no {name}");
            continue;
        };
        for (rank, found) in report.ranks.iter().enumerate() {
            let expected = by_rank(expected, rank);
            if figure(found) != Some(expected) {
                return Some(format!("{name} of rank {rank}: {:?}, recorded {expected}", figure(found)));
            }
        }
    }
    let order: Vec<u64> =
        expected["order"].as_array().unwrap().iter().map(|rank| rank.as_u64().unwrap()).collect();
    let found: Vec<u64> = report.finish_order.iter().map(|rank| u64::from(rank.0)).collect();
    (order != found).then(|| format!("order {found:?}, recorded {order:?}"))
}

/// Runs a case and says what differs from the record, if anything does.
fn run_and_compare(case: &Case, shortcuts: bool) -> Option<String> {
    let options = Options { shortcuts };
    let result =
        simulate_with(&options, &case.network, &case.system, &case.workload, &AtomicBool::new(false));
    let what = difference(&case.expected, &result)?;
    Some(format!("{} {} shortcuts: {what}", case.id, if shortcuts { "with" } else { "without" }))
}

/// Runs all cases of a file, with and without shortcuts, and requires as many as it is known to have.
fn all_are_equal(file: &str, known: usize) {
    let Some(cases) = cases(file) else { return };
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut different = Vec::new();
    for case in cases {
        let (equal, all) = counts.entry(case.family().to_owned()).or_default();
        *all += 1;
        let differences: Vec<String> =
            [true, false].into_iter().filter_map(|shortcuts| run_and_compare(&case, shortcuts)).collect();
        *equal += usize::from(differences.is_empty());
        different.extend(differences);
    }
    for (family, (equal, all)) in &counts {
        eprintln!("{file}, {family}: {equal} of {all} equal");
    }
    assert!(different.is_empty(), "{} cases differ:\n{}", different.len(), different.join("\n"));
    let found = counts.values().map(|(_, all)| all).sum::<usize>();
    assert!(found >= known, "{file} has {found} cases, fewer than {known}");
}

#[test]
fn every_recorded_case_is_equal_to_the_nanosecond() {
    all_are_equal("cases.jsonl.gz", 1185);
}

#[test]
fn every_recorded_case_of_several_shared_dimensions_is_equal_to_the_nanosecond() {
    all_are_equal("cases_hybrid.jsonl.gz", 403);
}

#[test]
fn every_recorded_case_of_dialect_deepflow_is_equal_to_the_nanosecond() {
    all_are_equal("cases_deepflow.jsonl.gz", 832);
}

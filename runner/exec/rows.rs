//! From what the derivations came to, to the rows and the index of a report.

use std::collections::HashMap;

use artifact_store::ActionKey;
use astra_engine::Nanos;

use crate::derivation::{Hex, PerStep, StepKind};
use crate::recipe::{Point, Workload};
use crate::report::{Index, Row, bus_bandwidth};
use crate::steps::{Context, Finish};

use super::board::Resolved;

/// One row per point; points without a result keep their place.
pub(super) fn rows(context: &Context, points: &[Point], resolved: &[PerStep<Resolved>]) -> Vec<Row> {
    points
        .iter()
        .zip(resolved)
        .map(|(point, resolved)| row(context, point, &resolved[StepKind::Run]))
        .collect()
}

fn row(context: &Context, point: &Point, run: &Resolved) -> Row {
    let mut row = Row {
        name: point.name.clone(),
        axes: point.axes.iter().map(|(_, value)| value.to_string()).collect(),
        ranks: point.workload.ranks(),
        finish_ns: None,
        bus_bandwidth_bytes_per_s: None,
        result: None,
    };
    let done = if let Resolved::Done { record, .. } = run { context.finish_of(record) } else { None };
    if let Some((digest, Finish { time: finish, ranks })) = done {
        row.ranks = Some(ranks);
        row.finish_ns = Some(finish.0);
        row.result = Some(Hex(digest));
        row.bus_bandwidth_bytes_per_s = bandwidth(point, finish);
    }
    row
}

/// That of one collective as the recipe states it: edits change how much is moved, or what else takes time.
fn bandwidth(point: &Point, finish: Nanos) -> Option<f64> {
    match &*point.workload {
        Workload::Collective { collective, ranks, size } if point.edits.is_empty() => {
            bus_bandwidth(*collective, *ranks, size.0, finish)
        }
        _ => None,
    }
}

/// The keys behind each point, distinct keys numbered in the order of the points.
pub(super) fn index(points: &[Point], resolved: &[PerStep<Resolved>]) -> Index {
    let mut index = Index::default();
    let mut positions: HashMap<ActionKey, u32> = HashMap::new();
    for (point, resolved) in points.iter().zip(resolved) {
        let of_steps = PerStep::of(|kind| match &resolved[kind] {
            Resolved::Done { key, .. } => Some(*positions.entry(*key).or_insert_with(|| {
                index.keys.push(Hex(*key));
                (index.keys.len() - 1) as u32
            })),
            _ => None,
        });
        index.points.push((point.name.clone(), of_steps));
    }
    index
}

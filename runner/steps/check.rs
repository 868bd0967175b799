//! Checking all points of a recipe without a store: everything short of simulating.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use artifact_store::Digest;
use astra_engine::Workload;

use crate::error::Result;
use crate::lint;
use crate::recipe::Point;

use super::placement::Placement;
use super::traces::traces;
use super::{Sources, configs, et, hw, run};

/// Derives network, configuration files and traces of every point in memory and checks them against each other.
/// Returns what is worth saying about the input, each thing once.
///
/// # Errors
/// What is wrong with the first point that cannot be simulated, with the point's name.
pub fn check(sources: &Sources, points: &[Point]) -> Result<Vec<String>> {
    let mut notices = Vec::new();
    let mut known = HashMap::new();
    for point in points {
        let found = check_point(sources, point, &mut known)
            .map_err(|e| if points.len() > 1 { e.in_point(&point.name) } else { e })?;
        for notice in found {
            if !notices.contains(&notice) {
                notices.push(notice);
            }
        }
    }
    Ok(notices)
}

/// The traces of the points so far and how those of graphs lie on hardware, by what they are made of.
type Known = HashMap<Digest, (Workload, Option<Placement>)>;

fn check_point(sources: &Sources, point: &Point, known: &mut Known) -> Result<Vec<String>> {
    let (spec, found) = hw::network_spec(sources, point)?;
    let mut notices: Vec<String> = found.iter().map(|notice| format!("{}: {notice}", point.hw)).collect();
    let (workload, placement) = match known.entry(Digest::of(&et::preimage(sources, point)?.encode())) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => {
            let mut traces = traces(sources, point)?;
            let placement = traces.graph.take().map(|graph| {
                let source = et::source_of_notices(point);
                notices.extend(graph.notices.iter().map(|notice| format!("{source}: {notice}")));
                graph.placement
            });
            entry.insert((traces.lowered()?, placement))
        }
    };
    let files = configs::files(Arc::new(spec), point, placement.as_ref())?;
    let network = run::read_network(files.network_yml.as_bytes())?;
    let system = run::read_system(files.system_json.as_bytes())?;
    let (network, system) = run::prepare(&network, &system, &point.engine)?;
    lint::refuse(&lint::lint(&network, &system, workload))?;
    Ok(notices)
}

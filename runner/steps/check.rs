//! Checking all points of a recipe without a store: everything short of simulating.

use std::collections::HashMap;
use std::sync::Arc;

use artifact_store::Digest;
use astra_engine::Workload;

use crate::error::Result;
use crate::lint;
use crate::recipe::Point;

use super::{Sources, configs, et, hw, run};

/// Derives network, configuration files and traces of every point in memory and checks them against each other.
/// Returns what is worth saying about the input, each thing once.
///
/// # Errors
/// What is wrong with the first point that cannot be simulated, with the point's name.
pub fn check(sources: &Sources, points: &[Point]) -> Result<Vec<String>> {
    let mut notices = Vec::new();
    let mut workloads: HashMap<Digest, Workload> = HashMap::new();
    for point in points {
        let mut checked = || {
            let (spec, found) = hw::network_spec(sources, point)?;
            let files = configs::files(Arc::new(spec), point)?;
            let key = Digest::of(&et::preimage(sources, point)?.encode());
            let traces = match workloads.entry(key) {
                std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::hash_map::Entry::Vacant(entry) => {
                    entry.insert(et::lowered(sources, point)?)
                }
            };
            let network = run::read_network(files.network_yml.as_bytes())?;
            let system = run::read_system(files.system_json.as_bytes())?;
            let (network, system) = run::prepare(&network, &system, &point.engine)?;
            lint::refuse(&lint::lint(&network, &system, traces))?;
            Ok(found)
        };
        let found = checked()
            .map_err(|e: crate::Error| if points.len() > 1 { e.in_point(&point.name) } else { e })?;
        for notice in found {
            let notice = format!("{}: {notice}", point.hw);
            if !notices.contains(&notice) {
                notices.push(notice);
            }
        }
    }
    Ok(notices)
}

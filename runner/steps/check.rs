//! Checking all points of a recipe without a store: everything short of simulating.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use artifact_store::Digest;
use astra_engine::Workload;

use crate::decision::{DecisionTable, Demand};
use crate::error::Result;
use crate::recipe::Point;

use super::configs::Decided;
use super::demand::{Demands, Questions};
use super::placement::Placement;
use super::policies::Sessions;
use super::traces::traces;
use super::{Sources, et, hw, policy, run};

/// Derives network, decisions, configuration files and traces of every point in memory and checks them against each other.
/// Returns what is worth saying about the input, each thing once.
///
/// # Errors
/// What is wrong with the first point that cannot be simulated, with the point's name.
pub fn check(sources: &Sources, points: &[Point]) -> Result<Vec<String>> {
    let mut notices: Vec<String> = sources.policy_notices().cloned().collect();
    let mut check = Check {
        sources,
        asked: Demands::of(points, |policy| sources.policy(policy).ok()),
        sessions: Sessions::default(),
        cancel: AtomicBool::new(false),
        traces: HashMap::new(),
        tables: HashMap::new(),
    };
    for point in points {
        let found =
            check.point(point).map_err(|e| if points.len() > 1 { e.in_point(&point.name) } else { e })?;
        for notice in found {
            if !notices.contains(&notice) {
                notices.push(notice);
            }
        }
    }
    Ok(notices)
}

/// What is known of the points so far.
struct Check<'a> {
    sources: &'a Sources,
    asked: Demands,
    sessions: Sessions,
    /// Never set.
    cancel: AtomicBool,
    /// By what they are made of.
    traces: HashMap<Digest, Known>,
    /// By setting, ranks, and the questions or the traces that ask them.
    tables: HashMap<(u32, Option<u32>, Digest), DecisionTable>,
}

struct Known {
    workload: Workload,
    demand: Demand,
    placement: Option<Placement>,
}

impl Check<'_> {
    fn point(&mut self, point: &Point) -> Result<Vec<String>> {
        let sources = self.sources;
        let (spec, found) = hw::network_spec(sources, point)?;
        let mut notices: Vec<String> = found.iter().map(|notice| format!("{}: {notice}", point.hw)).collect();
        let made_of = Digest::of(&et::preimage(sources, point)?.encode());
        let known = match self.traces.entry(made_of) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let mut traces = traces(sources, point)?;
                if let Some((source, warnings)) = et::linted(sources, point, &traces)? {
                    notices.extend(warnings.iter().map(|warning| format!("{source}: {warning}")));
                }
                let placement = traces.graph.take().map(|graph| {
                    let source = et::source_of_notices(point);
                    notices.extend(graph.notices.iter().map(|notice| format!("{source}: {notice}")));
                    graph.placement
                });
                let demand = traces.demand()?;
                entry.insert(Known { workload: traces.lowered()?, demand, placement })
            }
        };
        let Known { workload, demand, placement } = known;
        let policy = sources.policy(&point.policy)?;
        let (questions, asked) = match self.asked.together(point, policy)? {
            Some(questions) => (Arc::clone(&questions), questions.digest),
            None => (Arc::new(Questions::of(policy, demand.questions())), made_of),
        };
        let shared = (point.setting, point.workload.ranks(), asked);
        let table = match self.tables.entry(shared) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let placement = placement.as_ref();
                entry.insert(policy::table(
                    &self.sessions,
                    policy,
                    &spec,
                    point,
                    placement,
                    &questions.list,
                    &self.cancel,
                )?)
            }
        };
        let decided = Decided::of(&spec, point, placement.as_ref(), demand, table)?;
        notices.extend(decided.notices().map(|notice| format!("policy: {notice}")));
        let files = decided.files();
        let network = run::read_network(files.network_yml.as_bytes())?;
        let system = run::read_system(files.system_json.as_bytes())?;
        let (network, system) = run::prepare(&network, &system, &point.engine)?;
        let warnings = run::linted(point, &network, &system, workload)?;
        notices.extend(warnings.iter().map(|warning| format!("traces: {warning}")));
        Ok(notices)
    }
}

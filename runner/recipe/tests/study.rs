//! The figures that examples/README.md states, simulated from the example files.

use super::super::{Point, Recipe, Workload};
use crate::astrasim::{AlgorithmLists, ConfigRequest, SystemFile, SystemOptions, decide, layout, write};
use crate::hw::Document;
use astra_engine::{Bytes, InvolvedDims, Micros, Node, NodeKind, RemoteMemory, TraceBuilder, simulate};
use astra_policy::Collective;
use std::path::Path;

/// When the last rank of a point with one all-reduce finishes, in nanoseconds.
fn finish_ns(point: &Point, examples: &Path) -> u64 {
    let Workload::Collective { collective: Collective::AllReduce, ranks, size } = *point.workload else {
        panic!("one all-reduce")
    };
    let hardware = std::fs::read(examples.join(&*point.hw)).unwrap();
    let (spec, _) = Document::parse(&hardware, &point.hw).unwrap().network_spec(&point.hw_patches).unwrap();
    let request = ConfigRequest { ranks, axes: point.layout.axes.clone(), ..ConfigRequest::default() };
    let layout = layout(&spec, &request).unwrap();
    let (dialect, chosen) = (point.engine.dialect, &point.policy.collectives);
    let lists = AlgorithmLists::of(|c| decide(&spec, &layout, dialect, chosen, &point.system, c)).unwrap();
    let files = write(&layout, &lists, &spec.sys_options, &point.system);
    let (file, _) = SystemFile::parse(files.system_json.as_bytes(), "system.json").unwrap();
    let options = SystemOptions::default();
    let system = file.system(point.engine.dialect, &options, RemoteMemory::None).unwrap();
    let (collective, group) = (astra_engine::CollectiveType::AllReduce, None);
    let involved = InvolvedDims::default();
    let kind = NodeKind::Collective { collective, size: Bytes(size.0), group, involved };
    let mut trace = TraceBuilder::new();
    trace.push(0, "all_reduce", Node { kind, cpu: false, duration: Micros(0) }, &[]);
    let workload = astra_engine::Workload::uniform(trace.build().unwrap(), ranks);
    simulate(&layout.network(point.engine.network), &system, &workload).unwrap().finish().0
}

fn example(name: &str) -> Vec<(String, u64)> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let recipe = Recipe::load(&examples.join(name)).unwrap();
    recipe.points().unwrap().iter().map(|point| (point.name.clone(), finish_ns(point, &examples))).collect()
}

#[test]
fn the_published_switch_figures_come_out_to_the_microsecond() {
    let finished: Vec<u64> = example("switch-vs-torus.json").iter().map(|(_, ns)| *ns).collect();
    assert_eq!(finished[..5], [24_376, 56_712, 121_360, 250_520, 509_080]);
    let microseconds: Vec<u64> = finished[..5].iter().map(|ns| (ns + 500) / 1000).collect();
    assert_eq!(microseconds, [24, 57, 121, 251, 509]);
}

#[test]
fn rings_in_two_dimensions_take_the_times_of_the_readme() {
    let finished: Vec<u64> = example("switch-vs-torus.json").iter().map(|(_, ns)| *ns).collect();
    assert_eq!(finished[5..], [5_210, 12_416, 15_408, 28_752, 35_788]);
}

#[test]
fn the_h100_example_takes_the_time_of_the_readme() {
    assert_eq!(example("h100-allreduce.json"), [("h100-allreduce".to_owned(), 373_356)]);
}

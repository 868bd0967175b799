//! Messages per second of the event path for single collectives on one-dimensional rings.
//!
//! `cargo bench -p astra-engine [-- FILTER]` prints one line per run: the least time of three, in seconds of
//! CPU time where the system tells it (Linux) and of wall time elsewhere.

use astra_engine::{
    Algorithm, Bytes, CollectiveType, Dimension, GbPerSec, GibPerSec, InvolvedDims, Micros, Network,
    NetworkModel, Node, NodeKind, System, Topology, TraceBuilder, Workload, simulate,
};
use std::time::{Duration, Instant};

fn main() {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    for (algorithm, ranks) in
        [(Algorithm::Ring, 256), (Algorithm::Ring, 1024), (Algorithm::Direct { window: None }, 256)]
    {
        for &model in NetworkModel::ALL {
            let name = format!("{algorithm} {ranks:>5} ranks {model:<18}");
            if name.contains(&filter) {
                run(&name, algorithm, ranks, model);
            }
        }
    }
}

/// Time this thread has run so far; wall time where that is not known.
fn running_time(start: Instant) -> Duration {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|figures| figures.split(' ').next()?.parse().ok())
        .map_or_else(|| start.elapsed(), Duration::from_nanos)
}

fn run(name: &str, algorithm: Algorithm, ranks: u32, model: NetworkModel) {
    let dimension =
        Dimension { topology: Topology::Ring, npus: ranks, bandwidth: GibPerSec(50.0), latency_ns: 500.0 };
    let network = Network { model, dimensions: vec![dimension] };
    let system = System {
        preferred_dataset_splits: 4,
        local_mem_bw: GbPerSec(1600.0),
        all_reduce: vec![algorithm],
        ..System::default()
    };
    let kind = NodeKind::Collective {
        collective: CollectiveType::AllReduce,
        size: Bytes(64 << 20),
        group: None,
        involved: InvolvedDims::default(),
    };
    let mut builder = TraceBuilder::new();
    builder.push(1, "all_reduce", Node { kind, cpu: false, duration: Micros(0) }, &[]);
    let workload = Workload::uniform(builder.build().expect("one node is a trace"), ranks);
    let start = Instant::now();
    let mut least = Duration::MAX;
    let mut counts = (0, 0);
    for _ in 0..3 {
        let before = running_time(start);
        let report = simulate(&network, &system, &workload).expect("the collective finishes");
        least = least.min(running_time(start) - before);
        counts = (report.messages, report.events);
    }
    let (messages, events) = counts;
    println!(
        "{name} {:>8.3} s  {messages:>9} messages  {:>6.2} M messages/s  {:>6.1} ns/event",
        least.as_secs_f64(),
        messages as f64 / least.as_secs_f64() / 1e6,
        least.as_secs_f64() * 1e9 / events as f64,
    );
}

//! CPU time and peak memory of the workloads that the original simulator was measured on, with and without
//! shortcuts, beside its figures.
//!
//! `cargo bench -p astra-engine [-- FILTER]` prints one line per run. Every run is a process of its own, so that
//! its peak memory is known; it is started as `… --run CASE SHORTCUTS`. Both figures come from Linux' `/proc`;
//! elsewhere time is wall time and memory is not shown.

use astra_engine::{
    Algorithm, Bytes, CollectiveOptimization, CollectiveType, Dimension, GbPerSec, GibPerSec, GroupId,
    InvolvedDims, Micros, Network, NetworkModel, Node, NodeKind, Options, Rank, System, Topology, Trace,
    TraceBuilder, Workload, simulate_with,
};
use std::collections::BTreeMap;
use std::process::{Command, ExitCode};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// What the original took for a case: CPU seconds and, where it was noted, peak memory in MB. Measured with the
/// ASTRA-sim analytical binaries (release build of commit 518bd51) on a machine with two cores.
struct Original {
    seconds: f64,
    megabytes: Option<f64>,
}

const fn original(seconds: f64) -> Option<Original> {
    Some(Original { seconds, megabytes: None })
}

const fn with_memory(seconds: f64, megabytes: f64) -> Option<Original> {
    Some(Original { seconds, megabytes: Some(megabytes) })
}

const AWARE: NetworkModel = NetworkModel::CongestionAware;
const UNAWARE: NetworkModel = NetworkModel::CongestionUnaware;
const RING: Algorithm = Algorithm::Ring;
const DIRECT: Algorithm = Algorithm::Direct { window: None };

/// A workload, the same on every rank but for groups.
#[derive(Clone, Copy)]
enum Work {
    /// All-reduces one after the other.
    AllReduces(u64),
    /// Computations one after the other.
    Chain(u64),
    /// Computations that do not depend on each other.
    Independent(u64),
    /// Computations and all-reduces in turn, one after the other, the all-reduces in groups along the dimensions.
    Lines(u64),
}

struct Case {
    name: &'static str,
    model: NetworkModel,
    /// Sizes of the dimensions, which are rings.
    npus: &'static [u32],
    algorithm: Algorithm,
    work: Work,
    original: Option<Original>,
    /// Too long without shortcuts.
    shortcuts_only: bool,
}

const fn case(
    name: &'static str,
    model: NetworkModel,
    npus: &'static [u32],
    algorithm: Algorithm,
    work: Work,
    original: Option<Original>,
) -> Case {
    Case { name, model, npus, algorithm, work, original, shortcuts_only: false }
}

/// A case with more messages than anyone would wait for.
const fn beyond(name: &'static str, model: NetworkModel, npus: &'static [u32], algorithm: Algorithm) -> Case {
    Case { shortcuts_only: true, ..case(name, model, npus, algorithm, Work::AllReduces(1), None) }
}

const CASES: &[Case] = &[
    case("ring 256", AWARE, &[256], RING, Work::AllReduces(1), original(1.6)),
    case("ring 256", UNAWARE, &[256], RING, Work::AllReduces(1), original(1.0)),
    case("ring 512", AWARE, &[512], RING, Work::AllReduces(1), original(8.7)),
    case("ring 512", UNAWARE, &[512], RING, Work::AllReduces(1), original(4.0)),
    case("ring 1024", AWARE, &[1024], RING, Work::AllReduces(1), with_memory(46.0, 357.0)),
    case("ring 1024", UNAWARE, &[1024], RING, Work::AllReduces(1), with_memory(26.0, 357.0)),
    case("direct 256", AWARE, &[256], DIRECT, Work::AllReduces(1), original(10.5)),
    case("direct 256", UNAWARE, &[256], DIRECT, Work::AllReduces(1), original(5.6)),
    case("8 x 100000 chained nodes", UNAWARE, &[8], RING, Work::Chain(100_000), with_memory(14.0, 978.0)),
    case("8 x 3000 independent nodes", UNAWARE, &[8], RING, Work::Independent(3000), original(53.0)),
    case("8 x 10000 all-reduces", AWARE, &[8], RING, Work::AllReduces(10_000), original(9.9)),
    case("8 x 10000 all-reduces", UNAWARE, &[8], RING, Work::AllReduces(10_000), original(6.6)),
    case("16 x 16 x 16", UNAWARE, &[16, 16, 16], RING, Work::AllReduces(1), with_memory(9.9, 241.0)),
    case("32 x 32 x 32", UNAWARE, &[32, 32, 32], RING, Work::AllReduces(1), None),
    case("8 x 8 x 8", AWARE, &[8, 8, 8], RING, Work::AllReduces(1), None),
    case("8 x 8 x 8 direct", AWARE, &[8, 8, 8], DIRECT, Work::AllReduces(1), None),
    case("16 x 16 x 16", AWARE, &[16, 16, 16], RING, Work::AllReduces(1), None),
    case("16 x 16 x 16, in lines", AWARE, &[16, 16, 16], RING, Work::Lines(60), None),
    case("16 x 16 x 16, in lines", UNAWARE, &[16, 16, 16], RING, Work::Lines(60), None),
    beyond("ring 32768", AWARE, &[32768], RING),
    beyond("direct 1024", AWARE, &[1024], DIRECT),
    beyond("direct 4096", UNAWARE, &[4096], DIRECT),
];

/// The system counts running time in steps of some milliseconds.
const LONG_ENOUGH: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [run, case, shortcuts] = &arguments[..]
        && run == "--run"
    {
        return run_here(case, shortcuts);
    }
    let filter = arguments.iter().find(|argument| !argument.starts_with('-')).cloned().unwrap_or_default();
    println!(
        "{:<28} {:<7} {:<9} {:>9} {:>7} {:>11} {:>9} {:>8} {:>7}",
        "case", "network", "shortcuts", "CPU s", "ratio", "messages", "M msg/s", "peak MB", "ratio"
    );
    for (index, case) in CASES.iter().enumerate().filter(|(_, case)| case.name.contains(&filter)) {
        for shortcuts in [true, false] {
            if shortcuts || !case.shortcuts_only {
                print_line(index, case, shortcuts);
            }
        }
    }
    ExitCode::SUCCESS
}

/// Runs a case in a process of its own and prints its line.
fn print_line(index: usize, case: &Case, shortcuts: bool) {
    let this = std::env::current_exe().expect("the system knows the running program");
    let output = Command::new(this)
        .args(["--run", &index.to_string(), &shortcuts.to_string()])
        .output()
        .expect("the program can start itself");
    let text = String::from_utf8_lossy(&output.stdout);
    let figures: Vec<f64> = text.split_whitespace().filter_map(|figure| figure.parse().ok()).collect();
    let &[seconds, messages, megabytes] = &figures[..] else {
        println!("{}: {}", case.name, String::from_utf8_lossy(&output.stderr));
        return;
    };
    let ratio =
        |original: Option<f64>, here: f64| original.map_or(String::new(), |o| format!("{:.0}", o / here));
    println!(
        "{:<28} {:<7} {:<9} {seconds:>9.5} {:>7} {messages:>11} {:>9.1} {megabytes:>8.1} {:>7}",
        case.name,
        case.model.as_str().trim_start_matches("congestion_"),
        if shortcuts { "yes" } else { "no" },
        ratio(case.original.as_ref().map(|o| o.seconds), seconds),
        messages / seconds / 1e6,
        ratio(case.original.as_ref().and_then(|o| o.megabytes), megabytes),
    );
}

/// Runs a case until the clock can tell its time, and prints seconds and messages of one run and the peak memory
/// in MB.
fn run_here(case: &str, shortcuts: &str) -> ExitCode {
    let index = case.parse::<usize>().ok();
    let (Some(case), Ok(shortcuts)) = (index.and_then(|index| CASES.get(index)), shortcuts.parse()) else {
        eprintln!("--run takes the number of a case and true or false");
        return ExitCode::FAILURE;
    };
    let (network, system, workload) = inputs(case);
    let (options, stop) = (Options { shortcuts }, AtomicBool::new(false));
    let start = Instant::now();
    let mut runs = 1;
    let (seconds, messages) = loop {
        let before = running_time(start);
        let mut messages = 0;
        for _ in 0..runs {
            let report = simulate_with(&options, &network, &system, &workload, &stop);
            messages = report.expect("the workload finishes").messages;
        }
        let took = running_time(start) - before;
        if took >= LONG_ENOUGH {
            break (took.as_secs_f64() / f64::from(runs), messages);
        }
        runs *= 4;
    };
    println!("{seconds} {messages} {}", peak_megabytes());
    ExitCode::SUCCESS
}

fn inputs(case: &Case) -> (Network, System, Workload) {
    let dimension =
        |&npus| Dimension { topology: Topology::Ring, npus, bandwidth: GibPerSec(50.0), latency_ns: 500.0 };
    let network = Network::new(case.model, case.npus.iter().map(dimension).collect());
    let system = System {
        preferred_dataset_splits: 4,
        collective_optimization: CollectiveOptimization::LocalBwAware,
        local_mem_bw: GbPerSec(1600.0),
        all_reduce: vec![case.algorithm; case.npus.len()],
        ..System::default()
    };
    let workload = workload(&network, case.work);
    (network, system, workload)
}

fn all_reduce(group: Option<GroupId>) -> NodeKind {
    NodeKind::Collective {
        collective: CollectiveType::AllReduce,
        size: Bytes(64 << 20),
        group,
        involved: InvolvedDims::default(),
    }
}

fn workload(network: &Network, work: Work) -> Workload {
    let ranks = network.ranks().expect("the ranks fit");
    let compute = NodeKind::Compute { work: None };
    let one = |count, chained, kind| Workload::uniform(trace(count, chained, |_| kind), ranks);
    match work {
        Work::AllReduces(count) => one(count, true, all_reduce(None)),
        Work::Chain(count) => one(count, true, compute),
        Work::Independent(count) => one(count, false, compute),
        Work::Lines(count) => in_lines(network, ranks, count),
    }
}

/// Every rank has a trace of its own, with the groups of the lines that it is in.
fn in_lines(network: &Network, ranks: u32, count: u64) -> Workload {
    let mut groups = BTreeMap::new();
    let mut groups_of_rank = vec![Vec::new(); ranks as usize];
    let mut stride = 1;
    for &Dimension { npus, .. } in &network.dimensions {
        for first in (0..ranks).filter(|rank| (rank / stride).is_multiple_of(npus)) {
            let members: Vec<Rank> = (0..npus).map(|index| Rank(first + index * stride)).collect();
            let group = GroupId::new(groups.len() as u32 + 1).expect("the groups are few");
            members.iter().for_each(|member| groups_of_rank[member.0 as usize].push(group));
            groups.insert(group, members);
        }
        stride *= npus;
    }
    let kind = |groups: &[GroupId], id: u64| match id % 2 {
        0 => all_reduce(Some(groups[id as usize / 2 % groups.len()])),
        _ => NodeKind::Compute { work: None },
    };
    let traces = groups_of_rank.iter().map(|groups| trace(count, true, |id| kind(groups, id)));
    Workload { traces: traces.collect(), trace_of_rank: (0..ranks).collect(), groups }
}

/// Nodes from id 1 on, one after the other or all at once.
fn trace(count: u64, chained: bool, kind: impl Fn(u64) -> NodeKind) -> Trace {
    let mut builder = TraceBuilder::new();
    for id in 1..=count {
        let before = [id - 1];
        let dependencies = if chained && id > 1 { &before[..] } else { &[] };
        builder.push(id, "node", Node { kind: kind(id), cpu: false, duration: Micros(1) }, dependencies);
    }
    builder.build().expect("the nodes are a trace")
}

/// Time this thread has run so far; wall time where that is not known.
fn running_time(start: Instant) -> Duration {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|figures| figures.split(' ').next()?.parse().ok())
        .map_or_else(|| start.elapsed(), Duration::from_nanos)
}

/// The most memory the process has held, in MB; NaN where that is not known.
fn peak_megabytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = |line: &str| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok();
    status.lines().find_map(kilobytes).map_or(f64::NAN, |kilobytes| kilobytes * 1024.0 / 1e6)
}

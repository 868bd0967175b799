//! What a timeline shows, and that viewers can read it.

mod validator;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use astra_engine::{
    Algorithm, Bytes, CollectiveType, Dimension, Error, GbPerSec, GibPerSec, GroupId, InvolvedDims, Micros,
    Nanos, Network, NetworkModel, Node, NodeKind, Rank, System, Topology, TraceBuilder, Workload,
    simulate_observed,
};
use serde_json::json;

use super::{RankSet, Selection, Timeline};
use validator::{Shown, validate};

const IDLE: (&str, Node, &[u64]) = ("idle", compute(1), &[]);

const fn gpu(kind: NodeKind, micros: u64) -> Node {
    Node { kind, cpu: false, duration: Micros(micros) }
}

const fn compute(micros: u64) -> Node {
    gpu(NodeKind::Compute { work: None }, micros)
}

const fn send(to: u32, size: u64, tag: u32) -> Node {
    gpu(NodeKind::Send { to: Rank(to), size: Bytes(size), tag }, 0)
}

const fn recv(from: u32, size: u64, tag: u32) -> Node {
    gpu(NodeKind::Recv { from: Rank(from), size: Bytes(size), tag }, 0)
}

fn collective(collective: CollectiveType, size: u64, group: Option<u32>) -> Node {
    let group = group.and_then(GroupId::new);
    gpu(NodeKind::Collective { collective, size: Bytes(size), group, involved: InvolvedDims::default() }, 0)
}

/// Nodes with ids from 1 on, their names, and the ids each depends on.
fn workload(ranks: &[&[(&str, Node, &[u64])]]) -> Workload {
    let trace = |nodes: &&[(&str, Node, &[u64])]| {
        let mut builder = TraceBuilder::new();
        for (id, (name, node, dependencies)) in (1..).zip(nodes.iter()) {
            builder.push(id, name, *node, dependencies);
        }
        builder.build().unwrap()
    };
    Workload {
        traces: ranks.iter().map(trace).collect(),
        trace_of_rank: (0..ranks.len() as u32).collect(),
        groups: BTreeMap::new(),
    }
}

fn network(model: NetworkModel, topology: Topology, npus: u32) -> Network {
    Network::new(model, vec![Dimension { topology, npus, bandwidth: GibPerSec(50.0), latency_ns: 500.0 }])
}

fn ring(npus: u32) -> Network {
    network(NetworkModel::CongestionUnaware, Topology::Ring, npus)
}

/// One split, local memory at 100 GB/s, endpoint delay 10.
fn system(algorithm: Algorithm) -> System {
    System {
        preferred_dataset_splits: 1,
        local_mem_bw: GbPerSec(100.0),
        all_reduce: vec![algorithm],
        all_gather: vec![algorithm],
        all_to_all: vec![algorithm],
        ..System::default()
    }
}

/// The timeline of a simulation that finishes, as text.
fn text_of(selection: Selection, network: &Network, system: &System, workload: &Workload) -> String {
    let stop = AtomicBool::new(false);
    let mut timeline = Timeline::new(Vec::new(), selection, workload, &stop);
    simulate_observed(network, system, workload, &stop, &mut timeline).unwrap();
    String::from_utf8(timeline.end(None).unwrap()).unwrap()
}

fn shown(selection: Selection, network: &Network, system: &System, workload: &Workload) -> Shown {
    validate(&text_of(selection, network, system, workload)).unwrap()
}

/// Computations, collectives, a message there and one back on a ring of four: `docs/timeline.md` shows it.
fn slots() -> Workload {
    let all_reduce = collective(CollectiveType::AllReduce, 400_000, None);
    let all_gather = collective(CollectiveType::AllGather, 100_000, None);
    workload(&[
        &[
            ("first", compute(2), &[]),
            ("second", compute(1), &[]),
            ("reduce", all_reduce, &[]),
            ("there", send(1, 1000, 7), &[]),
            ("back", recv(1, 2000, 8), &[]),
            ("last", compute(1), &[5]),
            ("gather", all_gather, &[3, 2]),
        ],
        &[
            ("there", recv(0, 1000, 7), &[]),
            ("back", send(0, 2000, 8), &[1]),
            ("reduce", all_reduce, &[]),
            ("gather", all_gather, &[3]),
        ],
        &[("reduce", all_reduce, &[]), ("gather", all_gather, &[1])],
        &[("reduce", all_reduce, &[]), ("gather", all_gather, &[1])],
    ])
}

#[test]
fn nodes_are_shown_when_they_ran_and_messages_inside_their_receives() {
    let shown = shown(Selection::ALL_NODES, &ring(4), &system(Algorithm::Ring), &slots());
    let (compute, communication, receives) = ("compute", "communication", "receives");
    assert_eq!(
        shown.on("rank 0", compute),
        [(0, 2000, "first"), (2000, 3000, "second"), (30_905, 31_905, "last")]
    );
    assert_eq!(
        shown.on("rank 0", communication),
        [(0, 23_242, "reduce"), (23_242, 23_760, "there"), (23_760, 30_368, "gather")]
    );
    assert_eq!(shown.on("rank 0", receives), [(0, 30_905, "back"), (30_368, 30_905, "message")]);
    assert_eq!(
        shown.on("rank 1", communication),
        [(0, 23_242, "reduce"), (23_242, 30_368, "gather"), (30_368, 30_905, "back")]
    );
    assert_eq!(shown.on("rank 1", receives), [(0, 23_760, "there"), (23_242, 23_760, "message")]);
    assert_eq!(shown.on("rank 2", communication), [(0, 23_242, "reduce"), (23_242, 30_368, "gather")]);
    assert_eq!(shown.on("rank 3", communication), [(0, 23_242, "reduce"), (23_242, 30_886, "gather")]);
    assert_eq!(shown.intervals.len(), 15 + 2);
    let arrow =
        |from: &str, sent, to: &str, received: u64| [(from.to_owned(), sent), (to.to_owned(), received - 1)];
    assert_eq!(
        shown.arrows,
        [arrow("rank 0", 23_242, "rank 1", 23_760), arrow("rank 1", 30_368, "rank 0", 30_905)]
    );
}

#[test]
fn arguments_say_what_a_node_is() {
    let pair = collective(CollectiveType::AllReduce, 1 << 20, Some(3));
    let load = gpu(NodeKind::MemoryLoad(Bytes(10)), 0);
    let cpu = Node { cpu: true, ..compute(1) };
    let all: &[(&str, Node, &[u64])] =
        &[("", pair, &[]), ("on the host", cpu, &[]), ("quoted \"\u{1}\\ü", compute(1), &[])];
    let mut workload = workload(&[all, all, &[IDLE], &[("load", load, &[])]]);
    workload.groups.insert(GroupId::new(3).unwrap(), vec![Rank(1), Rank(0)]);
    let timing = astra_engine::MemoryTiming { latency: Nanos(100), bytes_per_ns: 3 };
    let system =
        System { remote_memory: astra_engine::RemoteMemory::PerNpu(timing), ..system(Algorithm::Ring) };
    let shown = shown(Selection::ALL_NODES, &ring(4), &system, &workload);
    let args = |name: &str| &shown.args[shown.intervals.iter().position(|i| i.name == name).unwrap()];
    assert_eq!(
        args("all_reduce"),
        &json!({ "node": 1, "collective": "all_reduce", "bytes": 1 << 20, "group": 3, "ranks": "1, 0" })
    );
    assert_eq!(args("quoted \"\u{1}\\ü"), &json!({ "node": 3 }));
    assert_eq!(args("load"), &json!({ "node": 1, "bytes": 10 }));
    assert_eq!(shown.on("rank 1", "CPU"), [(0, 1000, "on the host")]);
    assert_eq!(shown.on("rank 3", "remote memory"), [(0, 103, "load")]);
}

#[test]
fn receives_that_wait_together_have_lanes_of_their_own() {
    let there: &[(&str, Node, &[u64])] =
        &[("c", compute(5), &[]), ("a", send(1, 1000, 1), &[]), ("b", send(1, 1000, 2), &[1])];
    let here: &[(&str, Node, &[u64])] =
        &[("a", recv(0, 1000, 1), &[]), ("b", recv(0, 1000, 2), &[]), ("c", compute(9), &[])];
    let shown = shown(
        Selection::ALL_NODES,
        &ring(4),
        &system(Algorithm::Ring),
        &workload(&[there, here, &[IDLE], &[IDLE]]),
    );
    assert_eq!(shown.on("rank 1", "receives"), [(0, 518, "a"), (0, 518, "message")]);
    assert_eq!(shown.on("rank 1", "receives 2"), [(0, 5518, "b"), (5000, 5518, "message")]);
}

#[test]
fn a_message_that_was_there_before_its_receive_has_an_arrow_too() {
    let there: &[(&str, Node, &[u64])] = &[("a", send(1, 1000, 1), &[])];
    let here: &[(&str, Node, &[u64])] = &[("c", compute(9), &[]), ("a", recv(0, 1000, 1), &[1])];
    let workload = workload(&[there, here, &[IDLE], &[IDLE]]);
    let shown = shown(Selection::ALL_NODES, &ring(4), &system(Algorithm::Ring), &workload);
    assert_eq!(shown.on("rank 1", "receives"), [(9000, 9000, "a")]);
    assert_eq!(shown.arrows, [[("rank 0".to_owned(), 0), ("rank 1".to_owned(), 9000)]]);
}

#[test]
fn chunks_are_shown_by_dimension_and_do_not_overlap() {
    let dimension =
        |topology, npus| Dimension { topology, npus, bandwidth: GibPerSec(50.0), latency_ns: 500.0 };
    let network = Network::new(
        NetworkModel::CongestionUnaware,
        vec![dimension(Topology::Ring, 2), dimension(Topology::Switch, 4)],
    );
    let both = |algorithm| vec![algorithm; 2];
    let system = System {
        preferred_dataset_splits: 4,
        active_chunks_per_dimension: 2,
        all_reduce: both(Algorithm::Ring),
        ..System::default()
    };
    let one: &[(&str, Node, &[u64])] =
        &[("reduce", collective(CollectiveType::AllReduce, 1 << 20, None), &[])];
    let workload = workload(&[one; 8]);
    let selection = Selection { chunks: true, ..Selection::ALL_NODES };
    let text = text_of(selection, &network, &system, &workload);
    let shown = validate(&text).unwrap();
    let threads = shown.threads("rank 5");
    assert_eq!(
        threads.into_iter().collect::<Vec<_>>(),
        [
            "chunks in dimension 0",
            "chunks in dimension 0, 2",
            "chunks in dimension 1",
            "chunks in dimension 1, 2",
            "communication"
        ]
    );
    let first = shown.on("rank 5", "chunks in dimension 0")[0];
    assert_eq!((first.0, first.2), (0, "all_reduce, chunk 0"));
    assert!(text.contains(r#""algorithm":"ring""#));
    let without = text_of(Selection::ALL_NODES, &network, &system, &workload);
    assert_eq!(validate(&without).unwrap().intervals.len(), 8);
}

#[test]
fn links_are_shown_one_message_at_a_time() {
    let network = network(NetworkModel::CongestionAware, Topology::Switch, 4);
    let system = system(Algorithm::Direct { window: None });
    let one: &[(&str, Node, &[u64])] = &[("swap", collective(CollectiveType::AllToAll, 400_000, None), &[])];
    let workload = workload(&[one; 4]);
    let select = |ranks| Selection { links: true, ranks, ..Selection::ALL_NODES };
    let all = shown(select(None), &network, &system, &workload);
    let links = "links of dimension 0";
    assert_eq!(
        all.on(links, "rank 0 → switch 4"),
        [(10, 1872, "0 → 1"), (1872, 3734, "0 → 2"), (3734, 5596, "0 → 3")]
    );
    assert_eq!(
        all.on(links, "switch 4 → rank 0"),
        [(2372, 4234, "3 → 0"), (4234, 6096, "2 → 0"), (6096, 7958, "1 → 0")]
    );
    assert_eq!(all.threads(links).len(), 8);
    let args = |name: &str| &all.args[all.intervals.iter().position(|i| i.name == name).unwrap()];
    assert_eq!(args("0 → 3"), &json!({ "bytes": 100_000, "waited_ns": 3724, "queue": 1 }));
    let some = shown(select(Some(RankSet::parse("0").unwrap())), &network, &system, &workload);
    assert_eq!(some.on(links, "switch 4 → rank 1"), [(2372, 4234, "0 → 1")]);
}

#[test]
fn a_selection_of_ranks_leaves_the_others_and_their_arrows_out() {
    let select = |ranks| Selection { ranks: Some(RankSet::parse(ranks).unwrap()), ..Selection::ALL_NODES };
    let of = |ranks| shown(select(ranks), &ring(4), &system(Algorithm::Ring), &slots());
    let (some, all) = (of("0, 2-3"), of("0-3"));
    assert_eq!(some.processes().into_iter().collect::<Vec<_>>(), ["rank 0", "rank 2", "rank 3"]);
    assert_eq!((some.arrows.len(), all.arrows.len()), (0, 2));
    assert_eq!(some.on("rank 0", "compute"), all.on("rank 0", "compute"));
}

#[test]
fn a_selection_of_times_shows_whole_intervals_that_touch_it() {
    let select = |from, to| Selection { from: Nanos(from), to: Nanos(to), ..Selection::ALL_NODES };
    let of = |from, to| shown(select(from, to), &ring(4), &system(Algorithm::Ring), &slots());
    let late = of(30_500, u64::MAX);
    assert_eq!(late.on("rank 0", "compute"), [(30_905, 31_905, "last")]);
    assert_eq!(late.on("rank 0", "receives"), [(0, 30_905, "back"), (30_368, 30_905, "message")]);
    assert_eq!(late.on("rank 3", "communication"), [(23_242, 30_886, "gather")]);
    assert_eq!(late.arrows.len(), 1);
    let early = of(0, 100);
    assert_eq!(early.on("rank 0", "compute"), [(0, 2000, "first")]);
    // The receive waits already, and its message is not yet under way.
    assert_eq!(early.on("rank 0", "receives"), [(0, 30_905, "back")]);
    assert!(early.arrows.is_empty());
}

#[test]
fn a_run_that_stalls_shows_what_it_waits_for() {
    let stuck = workload(&[&[("work", compute(3), &[]), ("for ever", recv(1, 1, 1), &[])], &[IDLE]]);
    let stop = AtomicBool::new(false);
    let mut timeline = Timeline::new(Vec::new(), Selection::ALL_NODES, &stuck, &stop);
    let Err(Error::Stalled(stall)) =
        simulate_observed(&ring(2), &system(Algorithm::Ring), &stuck, &stop, &mut timeline)
    else {
        panic!("nobody sends");
    };
    let text = String::from_utf8(timeline.end(Some(stall.at)).unwrap()).unwrap();
    let shown = validate(&text).unwrap();
    assert_eq!(shown.on("rank 0", "receives"), [(0, 3000, "for ever")]);
    assert_eq!(shown.args.last().unwrap()["unfinished"], true);
}

#[test]
fn equal_runs_give_equal_text() {
    let text = || text_of(Selection::ALL_NODES, &ring(4), &system(Algorithm::Ring), &slots());
    assert_eq!(text(), text());
}

/// Takes so many bytes and no more.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_stops_the_simulation_and_is_told() {
    let workload = slots();
    for room in [0, 1000] {
        let stop = AtomicBool::new(false);
        let mut timeline = Timeline::new(Full(room), Selection::ALL_NODES, &workload, &stop);
        let _ = simulate_observed(&ring(4), &system(Algorithm::Ring), &workload, &stop, &mut timeline);
        assert!(stop.load(Ordering::Relaxed), "{room}");
        assert_eq!(timeline.end(None).err().map(|e| e.kind()), Some(io::ErrorKind::StorageFull));
    }
}

#[test]
fn ranks_and_times_that_make_no_sense_are_refused() {
    let message = |ranks: &str| RankSet::parse(ranks).unwrap_err().message().to_owned();
    assert_eq!(message("3-1"), "the range `3-1` ends before it begins");
    for wrong in ["", "a", "1-", "-1", "1,,2", "1-2-3", "99999999999"] {
        assert!(message(wrong).contains("is neither a rank nor a range of ranks"), "{wrong}");
    }
    let unknown = |ranks: &str| RankSet::parse(ranks).unwrap().check(4).unwrap_err().message().to_owned();
    assert_eq!(unknown("2-8"), "there is no rank 4: the ranks are 0 to 3");
    assert_eq!(unknown("0,7"), "there is no rank 7: the ranks are 0 to 3");
    let backwards = Selection { from: Nanos(2000), to: Nanos(1999), ..Selection::ALL_NODES };
    assert_eq!(
        backwards.check_times().unwrap_err().message(),
        "a timeline from 2.000 us to 1.999 us ends before it begins"
    );
}

#[test]
fn the_validator_finds_what_viewers_would_stumble_over() {
    let good = text_of(Selection::ALL_NODES, &ring(4), &system(Algorithm::Ring), &slots());
    let wrong = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        validate(&good.replacen(from, to, 1)).unwrap_err()
    };
    assert!(wrong(r#""ts":2.000,"dur":1.000"#, r#""ts":1.999,"dur":1.000"#).contains("overlap"));
    assert!(wrong(r#""ts":2.000,"#, r#""ts":2.0001,"#).contains("whole number of nanoseconds"));
    assert!(wrong(r#""ts":2.000,"#, "").contains("ts is not a number"));
    assert!(wrong(r#""ph":"f""#, r#""ph":"s""#).contains("bp"));
    assert!(wrong(r#""id":2"#, r#""id":1"#).contains("3 ends"));
    assert!(wrong(r#""ts":23.759"#, r#""ts":23.760"#).contains("touches nothing"));
    assert!(wrong(r#""name":"thread_name""#, r#""name":"thread_title""#).contains("unknown metadata"));
    assert!(
        wrong(r#""process_name","args":{"name":"rank 1"}"#, r#""process_name","args":{"name":"rank 0"}"#)
            .contains("one name")
    );
}

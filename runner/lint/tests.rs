//! Every rule by an example that breaks it, and examples that break none.

use std::collections::BTreeMap;

use astra_engine::{
    Algorithm, Bytes, CollectiveType, Dimension, GibPerSec, GroupId, InvolvedDims, Micros, Network,
    NetworkModel, Node, NodeKind, Rank, System, Topology, Trace, TraceBuilder, Work, Workload,
};

use super::{Finding, Rule, Severity, lint, refuse};

fn network(npus: &[u32]) -> Network {
    let dimension = |&npus: &u32| Dimension {
        topology: Topology::Ring,
        npus,
        bandwidth: GibPerSec(50.0),
        latency_ns: 500.0,
    };
    Network::new(NetworkModel::CongestionUnaware, npus.iter().map(dimension).collect())
}

fn system(algorithms: &[&str]) -> System {
    let list: Vec<Algorithm> = algorithms.iter().map(|name| name.parse().unwrap()).collect();
    System {
        preferred_dataset_splits: 4,
        all_reduce: list.clone(),
        all_gather: list.clone(),
        reduce_scatter: list.clone(),
        all_to_all: list,
        ..System::default()
    }
}

fn node(kind: NodeKind) -> Node {
    Node { kind, cpu: false, duration: Micros(1) }
}

fn compute() -> Node {
    node(NodeKind::Compute { work: None })
}

fn collective(collective: CollectiveType, bytes: u64, group: Option<u32>) -> Node {
    let group = group.map(|number| GroupId::new(number).unwrap());
    node(NodeKind::Collective { collective, size: Bytes(bytes), group, involved: InvolvedDims::default() })
}

fn all_reduce() -> Node {
    collective(CollectiveType::AllReduce, 1 << 20, None)
}

fn send(to: u32, bytes: u64, tag: u32) -> Node {
    node(NodeKind::Send { to: Rank(to), size: Bytes(bytes), tag })
}

fn recv(from: u32, bytes: u64, tag: u32) -> Node {
    node(NodeKind::Recv { from: Rank(from), size: Bytes(bytes), tag })
}

fn trace(nodes: &[Node]) -> Trace {
    let mut builder = TraceBuilder::new();
    for (id, node) in (10..).zip(nodes) {
        builder.push(id, &format!("n{id}"), *node, &[]);
    }
    builder.build().unwrap()
}

fn per_rank(ranks: &[&[Node]]) -> Workload {
    Workload {
        traces: ranks.iter().map(|nodes| trace(nodes)).collect(),
        trace_of_rank: (0..ranks.len() as u32).collect(),
        groups: BTreeMap::new(),
    }
}

fn everywhere(nodes: &[Node], ranks: u32) -> Workload {
    Workload::uniform(trace(nodes), ranks)
}

fn grouped(mut workload: Workload, groups: &[(u32, &[u32])]) -> Workload {
    let members = |ranks: &[u32]| ranks.iter().map(|&rank| Rank(rank)).collect();
    workload.groups = groups.iter().map(|&(g, ranks)| (GroupId::new(g).unwrap(), members(ranks))).collect();
    workload
}

/// The rules and texts of the errors; warnings are marked.
fn found(findings: &[Finding]) -> Vec<(Rule, String)> {
    let text = |f: &Finding| match f.severity {
        Severity::Error => f.to_string(),
        severity => format!("{}: {f}", severity.as_str()),
    };
    findings.iter().map(|f| (f.rule, text(f))).collect()
}

#[track_caller]
fn assert_one(findings: &[Finding], rule: Rule, text: &str) {
    match &found(findings)[..] {
        [(found_rule, found_text)] => {
            assert_eq!(*found_rule, rule);
            assert!(found_text.contains(text), "{found_text}");
        }
        other => panic!("expected one finding of {rule:?}, got {other:?}"),
    }
}

#[test]
fn sound_simulations_have_no_findings() {
    let ring = system(&["ring"]);
    assert_eq!(lint(&network(&[4]), &ring, &everywhere(&[all_reduce(), compute()], 4)), []);
    let pipeline = per_rank(&[&[send(1, 8, 5)], &[recv(0, 8, 5), send(2, 8, 5)], &[recv(1, 8, 5)]]);
    assert_eq!(lint(&network(&[3]), &System::default(), &pipeline), []);
    let groups = per_rank(&[
        &[collective(CollectiveType::AllReduce, 64, Some(1))],
        &[collective(CollectiveType::AllReduce, 64, Some(1))],
        &[compute()],
    ]);
    assert_eq!(lint(&network(&[3]), &ring, &grouped(groups, &[(1, &[1, 0])])), []);
}

#[test]
fn groups_with_ranks_in_common_have_messages_with_different_tags() {
    let ring = system(&["ring"]);
    let both = |one: Option<u32>, other: Option<u32>, members: [&[u32]; 2], settings: &System| {
        let nodes = [one, other].map(|group| collective(CollectiveType::AllReduce, 4_000_004, group));
        let groups: Vec<(u32, &[u32])> =
            [one, other].into_iter().zip(members).filter_map(|(group, of)| Some((group?, of))).collect();
        let used = |rank: u32, at: usize| members[at].contains(&rank) || [one, other][at].is_none();
        let trace_of = |rank| -> Vec<Node> {
            (0..2).filter(|at| used(rank, *at)).map(|at| nodes[at]).chain([compute()]).collect()
        };
        let ranks: Vec<Vec<Node>> = (0..4).map(trace_of).collect();
        let ranks: Vec<&[Node]> = ranks.iter().map(Vec::as_slice).collect();
        lint(&network(&[4]), settings, &grouped(per_rank(&ranks), &groups))
    };
    let common: [&[u32]; 2] = [&[1, 2, 3], &[0, 1, 2, 3]];
    assert_one(
        &both(Some(5), Some(505), common, &ring),
        Rule::GroupTags,
        "warning: rank 1, node 11 `n11`: messages of communicator group 505 have the tags of communicator group 5: the ids 5 \
         and 505 differ by a multiple of 500",
    );
    assert_one(
        &both(None, Some(500), common, &ring),
        Rule::GroupTags,
        "the tags of all ranks: the ids 0 and 500",
    );
    assert_eq!(both(Some(5), Some(506), common, &ring), []);
    assert_eq!(both(Some(5), Some(505), [&[0, 1], &[1, 2]], &ring), []);
    let splits = |splits| System { preferred_dataset_splits: splits, ..ring.clone() };
    assert_eq!(both(Some(5), Some(6), common, &splits(500_000)), []);
    assert_one(
        &both(Some(5), Some(6), common, &splits(1_000_001)),
        Rule::GroupTags,
        "messages of communicator group 6 have tags of communicator group 5: with 1000001 and 1000001 chunks",
    );
}

#[test]
fn as_many_traces_as_ranks() {
    let findings = lint(&network(&[4]), &system(&["ring"]), &everywhere(&[all_reduce()], 3));
    assert_one(&findings, Rule::Workload, "3 rank(s), the network has 4");
}

#[test]
fn a_list_longer_than_the_network_is_refused_even_when_unused() {
    let findings = lint(&network(&[4]), &system(&["ring", "ring"]), &everywhere(&[compute()], 4));
    assert_one(&findings, Rule::System, "2 algorithms for all_reduce, but the network has 1 dimension");
}

#[test]
fn a_list_shorter_than_the_network_would_shrink_the_collective() {
    let net = network(&[4, 2]);
    let findings = lint(&net, &system(&["ring"]), &everywhere(&[all_reduce(), all_reduce()], 8));
    assert_one(&findings, Rule::Algorithm, "rank 0, node 10 `n10`: the all_reduce list has 1 algorithm(s)");
    assert!(findings[0].to_string().ends_with("(and one more node)"), "{}", findings[0]);
    assert_eq!(lint(&net, &system(&["oneRing"]), &everywhere(&[all_reduce()], 8)), []);
    assert_eq!(lint(&net, &system(&["ring"]), &everywhere(&[compute()], 8)), []);
}

#[test]
fn limits_of_algorithms_count_only_where_a_trace_uses_them() {
    let halving = system(&["halvingDoubling"]);
    assert_eq!(lint(&network(&[6]), &halving, &everywhere(&[compute()], 6)), []);
    let findings = lint(&network(&[6]), &halving, &everywhere(&[all_reduce()], 6));
    assert_one(&findings, Rule::Algorithm, "halvingDoubling needs a power of two, there are 6 members");
    let all_to_all = everywhere(&[collective(CollectiveType::AllToAll, 64, None)], 4);
    let findings = lint(&network(&[4]), &halving, &all_to_all);
    assert_one(&findings, Rule::Algorithm, "halvingDoubling cannot carry out all_to_all");
    let findings = lint(&network(&[4]), &system(&["direct0"]), &everywhere(&[all_reduce()], 4));
    assert_one(&findings, Rule::Algorithm, "direct0");
    let spanning = system(&["oneHalvingDoubling"]);
    let findings = lint(&network(&[4, 3]), &spanning, &everywhere(&[all_reduce()], 12));
    assert_one(&findings, Rule::Algorithm, "there are 12 members");
}

#[test]
fn a_dimension_that_is_not_involved_has_no_limits() {
    let only_first = |kind| NodeKind::Collective {
        collective: kind,
        size: Bytes(64),
        group: None,
        involved: InvolvedDims::from_flags(&[true, false]),
    };
    let workload = everywhere(&[node(only_first(CollectiveType::AllReduce))], 12);
    assert_eq!(lint(&network(&[4, 3]), &system(&["ring", "halvingDoubling"]), &workload), []);
}

#[test]
fn a_used_collective_needs_a_list() {
    let system = System { all_gather: vec![], ..system(&["ring"]) };
    let gather = collective(CollectiveType::AllGather, 64, None);
    let findings = lint(&network(&[4]), &system, &everywhere(&[all_reduce(), gather], 4));
    assert_one(&findings, Rule::Algorithm, "node 11 `n11`: the system names no algorithm for all_gather");
    let barrier = everywhere(&[collective(CollectiveType::Barrier, 1, None)], 4);
    assert_one(&lint(&network(&[4]), &system, &barrier), Rule::Algorithm, "barrier is not simulated");
}

#[test]
fn an_all_gather_is_at_least_as_large_as_it_has_chunks() {
    let gather = |bytes| everywhere(&[collective(CollectiveType::AllGather, bytes, None)], 4);
    let ring = system(&["ring"]);
    assert_eq!(lint(&network(&[4]), &ring, &gather(4)), []);
    assert_one(&lint(&network(&[4]), &ring, &gather(3)), Rule::Size, "cannot be cut into 4 chunks");
}

#[test]
fn groups_exist_and_contain_the_ranks_that_use_them() {
    let use_group = [collective(CollectiveType::AllReduce, 64, Some(7))];
    let ring = system(&["ring"]);
    let findings = lint(&network(&[4]), &ring, &everywhere(&use_group, 4));
    assert_one(&findings, Rule::Group, "communicator group 7 is not defined");
    let workload = grouped(everywhere(&use_group, 4), &[(7, &[0, 1, 3])]);
    assert_one(
        &lint(&network(&[4]), &ring, &workload),
        Rule::Group,
        "rank 2, node 10 `n10`: the rank is not a member",
    );
    let alone = grouped(per_rank(&[&use_group, &[compute()]]), &[(7, &[0])]);
    assert_one(&lint(&network(&[2]), &ring, &alone), Rule::Group, "its group has one member");
    let workload = grouped(everywhere(&use_group, 4), &[(7, &[0, 9])]);
    assert_one(&lint(&network(&[4]), &ring, &workload), Rule::Workload, "lists rank 9");
}

#[test]
fn a_group_is_one_ring_of_its_members() {
    let use_group = [collective(CollectiveType::AllReduce, 64, Some(7))];
    let workload = grouped(per_rank(&[&use_group, &use_group, &use_group, &[compute()]]), &[(7, &[0, 1, 2])]);
    assert_one(
        &lint(&network(&[4]), &system(&["halvingDoubling"]), &workload),
        Rule::Algorithm,
        "there are 3 members",
    );
    assert_one(&lint(&network(&[4]), &system(&["doubleBinaryTree"]), &workload), Rule::Algorithm, "group 7");
    // Of a list of several the group takes none, but `ring`.
    assert_eq!(lint(&network(&[2, 2]), &system(&["halvingDoubling", "doubleBinaryTree"]), &workload), []);
}

#[test]
fn all_members_take_part_in_the_same_collectives() {
    let other_size = collective(CollectiveType::AllReduce, 2048, None);
    let workload = per_rank(&[&[all_reduce()], &[all_reduce()], &[other_size]]);
    let findings = lint(&network(&[3]), &system(&["ring"]), &workload);
    assert_one(
        &findings,
        Rule::CollectivesAgree,
        "rank 2, node 10 `n10`: takes part in 1 all_reduce of 2048 bytes over all ranks, rank 0 in 0",
    );
    let workload = per_rank(&[&[all_reduce()], &[all_reduce(), all_reduce()]]);
    assert_one(
        &lint(&network(&[2]), &system(&["ring"]), &workload),
        Rule::CollectivesAgree,
        "rank 1, node 10",
    );
}

#[test]
fn peers_are_other_ranks_of_the_network() {
    let none = System::default();
    for (node, text) in [
        (send(4, 8, 0), "the network has no rank 4"),
        (recv(u32::MAX, 8, 0), "the network has no rank 4294967295"),
        (send(0, 8, 0), "from a rank to itself"),
        (send(1, 8, 1 << 31), "tag 2147483648 is 2^31 or more"),
    ] {
        let findings = lint(&network(&[2]), &none, &per_rank(&[&[node], &[compute()]]));
        assert_one(&findings, Rule::Peer, text);
    }
    let findings = lint(&network(&[2]), &none, &per_rank(&[&[send(1, 0, 0)], &[recv(0, 0, 0)]]));
    assert_one(&findings, Rule::Size, "0 bytes");
    assert_eq!(findings[0].repeats, 1);
}

#[test]
fn a_congestion_aware_switch_returns_a_message_to_its_sender() {
    let mut switch = network(&[2]);
    switch.model = NetworkModel::CongestionAware;
    switch.dimensions[0].topology = Topology::Switch;
    let workload = per_rank(&[&[send(0, 8, 0), recv(0, 8, 0)], &[compute()]]);
    assert_eq!(lint(&switch, &System::default(), &workload), []);
}

#[test]
fn receives_need_sends_and_sends_should_be_received() {
    let none = System::default();
    let pair = |a: &[Node], b: &[Node]| lint(&network(&[2]), &none, &per_rank(&[a, b]));
    let findings = pair(&[compute()], &[recv(0, 8, 3), recv(0, 8, 3)]);
    assert_one(
        &findings,
        Rule::MessagesMatch,
        "rank 1, node 10 `n10`: waits for 2 message(s) of 8 bytes with tag 3 from rank 0, which sends 0",
    );
    let findings = pair(&[send(1, 8, 3), send(1, 8, 3)], &[recv(0, 8, 3)]);
    assert_one(&findings, Rule::MessagesMatch, "warning: rank 0, node 10 `n10`: sends 2 message(s)");
    // The simulator takes tags modulo 500,000,000.
    assert_eq!(pair(&[send(1, 8, 500_000_003)], &[recv(0, 8, 3)]), []);
}

#[test]
fn a_receive_says_what_is_sent_instead() {
    let none = System::default();
    let pair = |a: Node, b: Node| lint(&network(&[2]), &none, &per_rank(&[&[a], &[b]]));
    let findings = pair(send(1, 16, 3), recv(0, 8, 3));
    let texts = found(&findings);
    assert!(
        texts.iter().any(|(_, t)| t.ends_with("with this tag it sends 16 bytes, and sizes have to be equal"))
    );
    let findings = pair(send(1, 8, 4), recv(0, 8, 3));
    let texts = found(&findings);
    assert!(
        texts.iter().any(|(_, t)| t.ends_with("it sends this size with tag 4, and tags have to be equal"))
    );
    // The message that nobody receives is a warning, so there is one error.
    let error = refuse(&findings).unwrap_err().to_string();
    assert!(error.starts_with("rank 1, node 10 `n10`: waits for 1 message(s)"), "{error}");
}

#[test]
fn many_mismatches_are_counted_after_the_first() {
    let receives: Vec<_> = (0..50).map(|tag| recv(0, 8, tag)).collect();
    let findings = lint(&network(&[2]), &System::default(), &per_rank(&[&[compute()], &receives]));
    assert_eq!(findings.len(), 21);
    assert_eq!(findings[20].message, "30 more of rule `messages-match`");
}

#[test]
fn warnings_reach_the_caller_and_stop_nothing() {
    let sends = [send(1, 8, 3), send(1, 8, 3)];
    let findings = lint(&network(&[2]), &System::default(), &per_rank(&[&sends, &[recv(0, 8, 3)]]));
    let notices = refuse(&findings).unwrap();
    let texts: Vec<String> = notices.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        ["rank 0, node 10 `n10`: sends 2 message(s) of 8 bytes with tag 3 to rank 1, which receives 1\n    \
          why: a receive without its send never completes; a message that nobody receives takes its time on the way and is \
          lost\n    \
          fix: give each receive one send with the same peers, tag and size"]
    );
    assert_eq!(refuse(&[]).unwrap(), []);
}

#[test]
fn a_refusal_lists_five_problems_with_the_reason_once_and_counts_the_rest() {
    let refused = |count: u32| {
        let receives: Vec<_> = (0..count).map(|tag| recv(0, 8, tag)).collect();
        let findings = lint(&network(&[2]), &System::default(), &per_rank(&[&[compute()], &receives]));
        refuse(&findings).unwrap_err().to_string()
    };
    let one = refused(1);
    assert!(one.lines().nth(1).unwrap().starts_with("    why: a receive without"), "{one}");
    assert!(one.lines().nth(2).unwrap().starts_with("    fix: give each"), "{one}");
    let five = refused(5);
    let lines: Vec<&str> = five.lines().collect();
    assert_eq!((lines.len(), lines[0]), (8, "5 problems"));
    assert!(lines[1].starts_with("  rank 1, node 10 `n10`: waits for 1 message(s) of 8 bytes with tag 0"));
    assert!(lines[7].contains("with tag 4"), "{five}");
    let seven = refused(7);
    assert_eq!((seven.lines().count(), seven.lines().last()), (9, Some("  and 2 more")));
}

#[test]
fn nodes_the_simulator_cannot_execute_are_named() {
    let roofline = System { roofline_enabled: true, ..system(&["ring"]) };
    let on_cpu = Node { cpu: true, ..all_reduce() };
    for (system, node, text) in [
        (&System::default(), node(NodeKind::Metadata), "metadata nodes cannot be simulated"),
        (&System::default(), node(NodeKind::MemoryLoad(Bytes(8))), "memory"),
        (&roofline, compute(), "num_ops and tensor_size"),
        (&roofline, on_cpu, "cannot be a CPU operation"),
    ] {
        let mut findings = lint(&network(&[2]), system, &everywhere(&[node], 2));
        findings.retain(|finding| finding.severity == Severity::Error);
        assert_one(&findings, Rule::Node, text);
    }
    let work = Some(Work { ops: 1, bytes: Bytes(1) });
    let workload = everywhere(&[node(NodeKind::Compute { work }), Node { cpu: true, ..compute() }], 2);
    let findings = lint(&network(&[2]), &roofline, &workload);
    assert_one(&findings, Rule::Report, "warning: rank 0, node 11 `n11`: a computation on the CPU");
}

#[test]
fn a_replay_sends_nothing_and_needs_nothing() {
    let replay = System { replay_only: true, ..System::default() };
    assert_eq!(lint(&network(&[2]), &replay, &everywhere(&[all_reduce(), recv(9, 0, 0)], 2)), []);
}

#[test]
fn a_network_that_cannot_be_simulated_is_a_finding() {
    let mut bad = network(&[4]);
    bad.dimensions[0].bandwidth = GibPerSec(0.0);
    assert_one(
        &lint(&bad, &system(&["ring"]), &everywhere(&[all_reduce()], 4)),
        Rule::Network,
        "dimension 0: bandwidth",
    );
}

//! What DeepFlow makes of small graphs, written out.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use astra_store::et::graph::{ConvertOptions, convert, deepflow_manifest};
use astra_store::et::manifest;
use serde_json::{Value as Json, json};

use crate::small::{
    ONE, all_reduce, assert_listing, compute, converted, faithful, graph, join, laid_out, listing, parse,
    transfer, with,
};

#[test]
fn a_stage_executes_its_nodes_in_the_order_of_a_queue() {
    let nodes = [
        compute("a", 0, &[]),
        compute("b", 0, &[0]),
        compute("c", 0, &[0]),
        compute("d", 0, &[1, 2]),
        compute("e", 0, &[]),
    ];
    let expected = "rank 0
        0 a_0 5 us
        1 e_4 5 us
        2 b_1 5 us after [0]
        3 c_2 5 us after [0]
        4 d_3 5 us after [3, 2]";
    let found = faithful(&with(graph(1, nodes), "roots", json!([0, 4])));
    // One rank is two, because ASTRA-sim's networks have at least two.
    assert_listing(&found, &format!("{expected}\n{}", expected.replace("rank 0", "rank 1")));
}

#[test]
fn a_transfer_is_a_send_and_a_receive_on_every_replica() {
    let nodes = [compute("a", 0, &[]), transfer("x", 64, &[0]), compute("b", 1, &[1])];
    assert_listing(
        &faithful(&graph(2, nodes)),
        "rank 0
           0 a_0 5 us
           1 x_send_dp0 64 B to 1 tag 1 after [0]
         rank 1
           0 b_2 5 us after [1]
           1 x_recv_dp0 64 B from 0 tag 1
         rank 2
           0 a_0 5 us
           1 x_send_dp1 64 B to 3 tag 1 after [0]
         rank 3
           0 b_2 5 us after [1]
           1 x_recv_dp1 64 B from 2 tag 1",
    );
}

#[test]
fn waiting_for_another_stage_without_a_transfer_or_for_one_of_no_bytes_is_a_control_message() {
    let nodes = [
        compute("a", 0, &[]),
        compute("b", 1, &[0]),
        transfer("x", 0, &[0]),
        compute("c", 1, &[2]),
        compute("d", 2, &[0]),
    ];
    assert_listing(
        &faithful(&graph(1, nodes)),
        "rank 0
           0 pipeline_send_control 1 B to 1 tag 1 after [3]
           1 x_send_control 1 B to 1 tag 2 after [3]
           2 pipeline_send_control 1 B to 2 tag 3 after [3]
           3 a_0 5 us
         rank 1
           0 pipeline_recv_control 1 B from 0 tag 1
           1 x_recv_control 1 B from 0 tag 2
           2 b_1 5 us after [0]
           3 c_3 5 us after [1]
         rank 2
           0 pipeline_recv_control 1 B from 0 tag 3
           1 d_4 5 us after [0]",
    );
}

#[test]
fn a_stage_receives_a_transfer_once_however_many_wait_for_it() {
    let nodes = [
        compute("a", 0, &[]),
        transfer("x", 64, &[0]),
        compute("b", 1, &[1]),
        compute("c", 1, &[1]),
        compute("d", 0, &[1]),
    ];
    assert_listing(
        &faithful(&graph(1, nodes)),
        "rank 0
           0 a_0 5 us
           1 d_4 5 us after [0]
           2 x_send_dp0 64 B to 1 tag 1 after [0]
         rank 1
           0 b_2 5 us after [2]
           1 c_3 5 us after [2]
           2 x_recv_dp0 64 B from 0 tag 1",
    );
}

#[test]
fn collectives_inside_a_replica_have_groups_from_1000_and_labels_by_group() {
    let nodes = [
        join("start", &[]),
        compute("a", 0, &[0]),
        compute("a", 1, &[0]),
        compute("a", 2, &[0]),
        compute("a", 3, &[0]),
        all_reduce("g", "tp", 0, &[1]),
        all_reduce("g", "tp", 1, &[2]),
        all_reduce("g", "tp", 2, &[3]),
        all_reduce("g", "tp", 3, &[4]),
    ];
    let graph = laid_out(1, &[("tp", 2), ("cp", 2)], nodes);
    let converted = converted(&graph, &ConvertOptions::FAITHFUL);
    assert_eq!(converted.groups, BTreeMap::from([(1000, vec![0, 1]), (1001, vec![2, 3])]));
    assert_eq!(converted.axes, Some(vec!["tp".to_owned(), "cp".to_owned()]));
    assert_listing(
        &listing(&converted),
        "rank 0
           0 a_1 5 us
           1 g type 0 777 B group 1000 after [0]
         rank 1
           0 a_2 5 us
           1 g type 0 777 B group 1000 after [0]
         rank 2
           0 a_3 5 us
           1 g_1 type 0 777 B group 1001 after [0]
         rank 3
           0 a_4 5 us
           1 g_1 type 0 777 B group 1001 after [0]",
    );
}

#[test]
fn collectives_between_replicas_have_the_group_of_their_stage_and_every_replica_groups_of_its_own() {
    let nodes = [
        compute("a", 0, &[]),
        compute("b", 1, &[]),
        all_reduce("grad", "dp", 0, &[0]),
        all_reduce("g", "tp", 0, &[0]),
        all_reduce("g", "tp", 1, &[1]),
    ];
    let converted = converted(&laid_out(2, &[("tp", 2), ("dp", 2)], nodes), &ConvertOptions::FAITHFUL);
    let groups = [(1, vec![0, 2]), (2, vec![1, 3]), (1000, vec![0, 1]), (1001, vec![2, 3])];
    assert_eq!(converted.groups, BTreeMap::from(groups));
    assert_listing(
        &listing(&converted),
        "rank 0
           0 a_0 5 us
           1 grad_2_dp0 type 0 777 B group 1 after [0]
           2 g type 0 777 B group 1000 after [0]
         rank 1
           0 b_1 5 us
           1 g type 0 777 B group 1000 after [0]
         rank 2
           0 a_0 5 us
           1 grad_2_dp1 type 0 777 B group 1 after [0]
           2 g type 0 777 B group 1001 after [0]
         rank 3
           0 b_1 5 us
           1 g type 0 777 B group 1001 after [0]",
    );
}

#[test]
fn what_waits_for_a_collective_does_not_wait_for_what_that_has_waited_for() {
    let nodes = [
        compute("a", 0, &[]),
        all_reduce("g", "dp", 0, &[0]),
        all_reduce("h", "dp", 0, &[1]),
        compute("b", 0, &[2]),
        compute("c", 0, &[0, 2]),
    ];
    let replica = "0 a_0 5 us
        1 g_1_dpR type 0 777 B group 1 after [0]
        2 h_2_dpR type 0 777 B group 1 after [1]
        3 b_3 5 us after [2, 1]
        4 c_4 5 us after [0, 2, 1]";
    let expected = ["0", "1"].map(|rank| format!("rank {rank}\n{}", replica.replace('R', rank))).join("\n");
    // A collective with a hardware id that waits for another one with an id does not look behind it; b and c do.
    assert_listing(&faithful(&graph(2, nodes)), &expected);
}

#[test]
fn joins_and_nodes_without_hardware_pass_their_parents_on_and_gaps_in_hardware_ids_close() {
    let mut nowhere = compute("v", 0, &[1]);
    nowhere.as_object_mut().unwrap().remove("hw");
    let nodes = [compute("a", 3, &[]), join("j", &[0]), nowhere, compute("b", 3, &[2]), compute("c", 9, &[])];
    assert_listing(
        &faithful(&graph(1, nodes)),
        "rank 0
           0 a_0 5 us
           1 b_3 5 us after [0]
         rank 1
           0 c_4 5 us",
    );
}

#[test]
fn durations_are_rounded_to_even_microseconds_and_profiles_have_one_for_each_replica() {
    let nodes = [0.5e-6, 1.5e-6, 2.5e-6, 3.4e-6].map(|s| with(compute("a", 0, &[]), "seconds", json!(s)));
    let one = faithful(&graph(1, nodes));
    for (line, micros) in one.lines().skip(1).zip([0, 2, 2, 3]) {
        assert!(line.ends_with(&format!(" {micros} us")), "{line}");
    }
    let profile = with(compute("a", 0, &[]), "seconds", json!([1e-6, 7e-6]));
    assert_listing(&faithful(&graph(2, [profile])), "rank 0\n0 a_0 1 us\nrank 1\n0 a_0 7 us");
}

#[test]
fn a_single_rank_stays_alone_when_asked_to() {
    let alone = graph(1, [compute("a", 0, &[])]);
    let options = ConvertOptions { duplicate_single_rank: false, ..ConvertOptions::default() };
    assert_listing(&listing(&converted(&alone, &options)), "rank 0\n0 a_0 5 us");
}

#[test]
fn groups_inside_replicas_do_not_take_the_numbers_of_stages() {
    let mut nodes: Vec<Json> = (0..1100).map(|hw| compute("a", hw, &[])).collect();
    nodes.extend((0..2).map(|hw| all_reduce("g", "tp", hw, &[hw])));
    let many = laid_out(2, &[("tp", 2), ("lp", 550), ("dp", 2)], nodes);
    let groups = converted(&many, &ConvertOptions::FAITHFUL).groups;
    assert_eq!((groups.len(), &groups[&1000], &groups[&1101]), (1102, &vec![999, 2099], &vec![0, 1]));
    assert_eq!(groups[&1102], [1100, 1101]);
}

/// Stages in a ring of transfers, collectives along two axes, and two replicas.
fn mixed() -> Json {
    let mut nodes = Vec::new();
    for layer in 0..6_u32 {
        for hw in 0..4 {
            let first = layer * 12 + hw * 3;
            let before = if layer == 0 { vec![] } else { vec![(layer - 1) * 12 + (hw + 3) % 4 * 3 + 2] };
            nodes.push(compute("f", hw, &before));
            nodes.push(all_reduce("g", if layer % 2 == 0 { "tp" } else { "dp" }, hw, &[first]));
            nodes.push(transfer("x", u64::from(layer) * 100, &[first, first + 1]));
        }
    }
    laid_out(2, &[("tp", 2), ("lp", 2), ("dp", 2)], nodes)
}

#[test]
fn the_number_of_threads_and_the_run_change_nothing() {
    let parsed = parse(&mixed()).unwrap();
    for options in [ConvertOptions::FAITHFUL, ConvertOptions::default()] {
        let alone = convert(&parsed, &options, ONE).unwrap();
        let together = convert(&parse(&mixed()).unwrap(), &options, NonZeroUsize::new(7).unwrap()).unwrap();
        assert_eq!(alone.bundle.files, together.bundle.files);
        assert_eq!(alone.bundle.file_of_rank, together.bundle.file_of_rank);
        assert_eq!(alone.groups, together.groups);
    }
}

#[test]
fn chains_of_a_hundred_thousand_nodes_are_no_problem() {
    let length = 100_000_u32;
    let mut nodes = vec![compute("a", 0, &[])];
    // Whoever waits at the end of the joins must not walk all of them.
    nodes.extend((1..length).map(|node| join("j", &[node - 1])));
    nodes.extend((0..length).map(|consumer| compute("b", 0, &[consumer])));
    nodes.extend((0..length).map(|node| compute("c", 0, &[2 * length - 1 + node])));
    let converted = converted(&graph(1, nodes), &ConvertOptions::default());
    assert_eq!(converted.bundle.summaries[0].nodes, 1 + 2 * u64::from(length));
}

#[test]
fn the_manifest_tells_bundles_apart_that_deepflow_s_does_not() {
    let chain = graph(1, [compute("a", 0, &[]), compute("b", 0, &[0])]);
    let apart = graph(1, [compute("a", 0, &[]), compute("b", 0, &[])]);
    let [chain, apart] = [chain, apart].map(|graph| converted(&graph, &ConvertOptions::FAITHFUL));
    let theirs = [&chain, &apart].map(|c| deepflow_manifest(&c.bundle, c.graph_ranks).unwrap());
    let expected = r#"{"npus":1,"ranks":{"0":[["COMP",5],["COMP",5]]},"version":"df-astra-manifest/1"}"#;
    assert_eq!(theirs.map(|text| String::from_utf8(text).unwrap()), [expected; 2]);
    let length = |bytes: &[u8]| format!("{} bytes", bytes.len());
    let ours = [&chain, &apart].map(|c| manifest(&c.bundle, &c.groups, length, ONE).unwrap());
    assert_ne!(ours[0], ours[1]);
}

#[test]
fn the_manifest_says_what_each_file_contains() {
    let found = converted(&mixed(), &ConvertOptions::default());
    let text = manifest(&found.bundle, &found.groups, |bytes| bytes.len().to_string(), ONE).unwrap();
    let again =
        manifest(&found.bundle, &found.groups, |b| b.len().to_string(), NonZeroUsize::new(3).unwrap());
    assert_eq!(text, again.unwrap());
    let json: Json = serde_json::from_slice(&text).unwrap();
    assert_eq!((&json["manifest"], &json["ranks"]), (&json!(2), &json!(8)));
    assert_eq!(json["groups"]["1"], json!([0, 4]));
    let first = &json["files"][0];
    let bytes = found.bundle.files[0].len();
    assert_eq!((&first["ranks"], &first["bytes"]), (&json!([[0, 0]]), &json!(bytes)));
    assert_eq!(first["digest"], bytes.to_string());
    assert_eq!(first["nodes"], json!({ "collective": 6, "compute": 6, "receive": 5, "send": 5 }));
    assert_eq!(first["compute_us"], 30);
    let between = json!({ "type": "all_reduce", "size_bytes": 777, "group": 1, "count": 3 });
    assert_eq!(first["collectives"][0], between);
    // Layers 0 to 4 pass 1 (a control message), 100, 200, 300 and 400 bytes on.
    assert_eq!(first["sends"], json!([{ "rank": 1, "messages": 5, "bytes": 1001, "tags": [2, 50] }]));
    assert_eq!(first["receives"][0]["rank"], 3);
}

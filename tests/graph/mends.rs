//! Each difference from DeepFlow: what DeepFlow does with a graph, and what is done here.

use astra_store::et::graph::{ConvertOptions, convert};
use serde_json::json;

use crate::small::{
    ONE, all_reduce, assert_listing, compute, converted, faithful, graph, join, laid_out, parse, refused,
    transfer, with, with_mend,
};

#[test]
fn a_transfer_waits_for_the_collective_it_comes_from() {
    let nodes = [
        compute("a", 0, &[]),
        all_reduce("g", "tp", 0, &[0]),
        transfer("x", 50, &[1]),
        compute("b", 1, &[2]),
    ];
    let dropped = laid_out(1, &[("tp", 2)], nodes);
    assert_listing(
        &faithful(&dropped),
        "rank 0
           0 a_0 5 us
           1 g type 0 777 B group 1000 after [0]
         rank 1
           0 b_3 5 us",
    );
    assert_listing(
        &with_mend(&dropped, |mends| mends.cross_stage_sources = true),
        "rank 0
           0 a_0 5 us
           1 g type 0 777 B group 1000 after [0]
           2 x_send_dp0 50 B to 1 tag 2 after [1]
         rank 1
           0 b_3 5 us after [1]
           1 x_recv_dp0 50 B from 0 tag 2",
    );
}

#[test]
fn a_transfer_of_a_node_and_its_trailing_collective_is_sent_once_after_both() {
    let nodes = [
        compute("mlp", 0, &[]),
        all_reduce("g", "tp", 0, &[0]),
        transfer("x", 50, &[1, 0]),
        compute("b", 1, &[2]),
    ];
    let early = laid_out(1, &[("tp", 2)], nodes);
    let receiver = "rank 1
           0 b_3 5 us after [1]
           1 x_recv_dp0 50 B from 0 tag 2";
    let sender = "rank 0
           0 mlp_0 5 us
           1 g type 0 777 B group 1000 after [0]";
    let sends = |after| format!("{sender}\n2 x_send_dp0 50 B to 1 tag 2 after {after}\n{receiver}");
    assert_listing(&faithful(&early), &sends("[0]"));
    assert_listing(&with_mend(&early, |mends| mends.cross_stage_sources = true), &sends("[1, 0]"));
}

#[test]
fn two_nodes_that_a_transfer_comes_from_send_its_bytes_once() {
    let nodes = [
        compute("a", 0, &[]),
        compute("b", 0, &[]),
        join("both", &[0, 1]),
        transfer("x", 50, &[0, 1, 2]),
        compute("c", 1, &[3]),
    ];
    let twice = graph(1, nodes);
    assert_eq!(faithful(&twice).matches("x_send").count(), 2);
    assert_listing(
        &with_mend(&twice, |mends| mends.cross_stage_sources = true),
        "rank 0
           0 a_0 5 us
           1 b_1 5 us
           2 x_send_dp0 50 B to 1 tag 3 after [0, 1]
         rank 1
           0 c_4 5 us after [1]
           1 x_recv_dp0 50 B from 0 tag 3",
    );
}

#[test]
fn what_waits_for_a_collective_elsewhere_waits_for_it_and_not_for_what_was_before_it() {
    let nodes = [compute("a", 0, &[]), all_reduce("g", "tp", 0, &[0]), compute("b", 1, &[1])];
    let elsewhere = laid_out(1, &[("tp", 2)], nodes);
    let expected = |after| {
        format!(
            "rank 0
               0 pipeline_send_control 1 B to 1 tag 1 after [{after}]
               1 a_0 5 us
               2 g type 0 777 B group 1000 after [1]
             rank 1
               0 pipeline_recv_control 1 B from 0 tag 1
               1 b_2 5 us after [0]"
        )
    };
    assert_listing(&faithful(&elsewhere), &expected(1));
    assert_listing(&with_mend(&elsewhere, |mends| mends.cross_stage_sources = true), &expected(2));
}

#[test]
fn a_transfer_goes_on_where_another_one_ended_and_joins_on_its_way_count() {
    let nodes = [
        compute("a", 0, &[]),
        join("j", &[0]),
        transfer("x", 7, &[1]),
        transfer("y", 50, &[2]),
        compute("b", 1, &[3]),
    ];
    let chained = graph(1, nodes);
    assert_eq!(faithful(&chained).matches("send").count(), 0);
    let mended = with_mend(&chained, |mends| mends.cross_stage_sources = true);
    assert!(mended.contains("y_send_dp0 50 B to 1 tag 3 after [0]"), "{mended}");
    let local = graph(
        1,
        [
            compute("a", 0, &[]),
            with(transfer("x", 7, &[0]), "hw", json!(0)),
            { transfer("y", 50, &[1]) },
            compute("b", 0, &[2]),
        ],
    );
    assert!(refused(&local).contains("`y` transfers what comes from `x`, which is never executed"));
}

#[test]
fn a_collective_that_is_waited_for_in_two_ways_is_no_cycle() {
    let nodes = [
        compute("a", 0, &[]),
        all_reduce("g", "dp", 0, &[0]),
        transfer("x", 50, &[1]),
        all_reduce("h", "dp", 0, &[1, 2]),
    ];
    let twice = graph(2, nodes);
    assert!(refused(&twice).contains("`h` waits for `g` both directly and through a transfer"));
    let mended = with_mend(&twice, |mends| mends.repeated_dependencies = true);
    assert!(mended.contains("2 h_3_dp0 type 0 777 B group 1 after [1]"), "{mended}");
}

#[test]
fn a_data_parallel_collective_of_one_replica_is_passed_through() {
    let nodes = [compute("a", 0, &[]), all_reduce("g", "dp", 0, &[0]), compute("b", 0, &[1])];
    let single = graph(1, nodes);
    assert!(refused(&single).contains("nodes[2]: `b` waits for `g` (node 1), a data-parallel collective"));
    let mended = with_mend(&single, |mends| mends.single_rank_collectives = true);
    assert!(mended.starts_with("rank 0\n  0 a_0 5 us\n  1 b_2 5 us after [0]\n"), "{mended}");
    let unused = graph(1, [compute("a", 0, &[]), all_reduce("g", "dp", 0, &[0])]);
    assert_eq!(faithful(&unused), with_mend(&unused, |mends| mends.single_rank_collectives = true));
}

#[test]
fn a_collective_along_an_axis_of_one_is_passed_through_and_one_along_no_axis_is_refused() {
    let nodes = |axis| [compute("a", 0, &[]), all_reduce("g", axis, 0, &[0]), compute("b", 0, &[1])];
    let alone = laid_out(1, &[("tp", 2), ("cp", 1)], nodes("cp"));
    assert!(faithful(&alone).contains("1 g type 0 777 B group 1000 after [0]"));
    let mended = with_mend(&alone, |mends| mends.single_rank_collectives = true);
    assert!(mended.starts_with("rank 0\n  0 a_0 5 us\n  1 b_2 5 us after [0]\n"), "{mended}");
    let refusal = |graph| convert(&parse(&graph).unwrap(), &ConvertOptions::default(), ONE).unwrap_err();
    let misspelt = refusal(laid_out(1, &[("tp", 2), ("cp", 1)], nodes("tpp")));
    assert_eq!(misspelt.to_string(), "nodes[1].axis: found `tpp`, expected one of the layout's: tp, cp");
    assert_eq!(misspelt.hint_text(), Some("did you mean `tp`?"));
    let nowhere = refusal(graph(1, nodes("tp"))).to_string();
    assert!(nowhere.contains("found `tp`, but the graph has no layout"), "{nowhere}");
}

#[test]
fn hardware_on_which_only_collectives_run_gets_a_rank() {
    let nodes = [compute("a", 0, &[]), all_reduce("g", "dp", 5, &[0])];
    let alone = graph(2, nodes);
    assert!(refused(&alone).contains("nothing computes on hardware id 5"));
    assert_listing(
        &with_mend(&alone, |mends| mends.collective_only_stages = true),
        "rank 0
           0 pipeline_send_control 1 B to 1 tag 1 after [1]
           1 a_0 5 us
         rank 1
           0 pipeline_recv_control 1 B from 0 tag 1
           1 g_1_dp0 type 0 777 B group 2 after [0]
         rank 2
           0 pipeline_send_control 1 B to 3 tag 2 after [1]
           1 a_0 5 us
         rank 3
           0 pipeline_recv_control 1 B from 2 tag 2
           1 g_1_dp1 type 0 777 B group 2 after [0]",
    );
}

#[test]
fn a_placeholder_is_passed_through() {
    let placeholder = with(compute("p", 0, &[0]), "placeholder", json!(true));
    let nodes = graph(1, [compute("a", 0, &[]), placeholder, compute("b", 0, &[1])]);
    assert!(refused(&nodes).contains("`b` waits for `p` (node 1), a placeholder"));
    let mended = with_mend(&nodes, |mends| mends.placeholders = true);
    assert!(mended.starts_with("rank 0\n  0 a_0 5 us\n  1 b_2 5 us after [0]\n"), "{mended}");
}

#[test]
fn a_collective_waits_for_what_a_transfer_with_a_hardware_id_brings() {
    let transfer = with(transfer("x", 50, &[0]), "hw", json!(0));
    let nodes = [compute("a", 0, &[]), transfer, all_reduce("g", "dp", 1, &[1]), compute("b", 1, &[])];
    let before = graph(2, nodes);
    assert!(refused(&before).contains("`g` waits for the transfer `x`, which has a hardware id"));
    let mended = with_mend(&before, |mends| mends.transfers_before_collectives = true);
    assert!(mended.contains("1 g_2_dp0 type 0 777 B group 2 after [2]"), "{mended}");
}

#[test]
fn nodes_that_no_root_reaches_are_executed() {
    let nodes = graph(1, [compute("a", 0, &[]), compute("u", 0, &[]), compute("b", 0, &[0, 1])]);
    let from_a = with(nodes, "roots", json!([0]));
    assert!(refused(&from_a).contains("`b` waits for `u` (node 1), which no root reaches"));
    let mended = with_mend(&from_a, |mends| mends.unreached_nodes = true);
    assert!(
        mended.starts_with("rank 0\n  0 a_0 5 us\n  1 u_1 5 us\n  2 b_2 5 us after [1, 0]\n"),
        "{mended}"
    );
}

#[test]
fn a_collective_that_is_not_simulated_is_refused_instead_of_reduced() {
    let broadcast = with(all_reduce("g", "tp", 0, &[0]), "kind", json!("all_reduc"));
    let unknown = laid_out(1, &[("tp", 2)], [compute("a", 0, &[]), broadcast]);
    assert!(faithful(&unknown).contains("g type 0 777 B"));
    let error = convert(&parse(&unknown).unwrap(), &ConvertOptions::default(), ONE).unwrap_err();
    let message = "nodes[1].kind: found `all_reduc`, expected one of all_reduce, all_gather, reduce_scatter, \
                   all_to_all, pipeline, none";
    assert_eq!(error.to_string(), message);
    assert_eq!(error.hint_text(), Some("did you mean `all_reduce`?"));
}

#[test]
fn control_messages_have_tags_that_no_node_has() {
    let x = with(transfer("x", 0, &[0]), "op", json!(1));
    let nodes = [compute("a", 0, &[]), compute("b", 1, &[0]), x, compute("c", 1, &[2])];
    let meeting = graph(1, nodes);
    let tags = |listing: &str| -> Vec<String> {
        let sends = listing.lines().filter(|line| line.contains(" to 1 "));
        sends
            .map(|line| line.split(' ').skip_while(|word| *word != "tag").nth(1).unwrap().to_owned())
            .collect()
    };
    assert_eq!(tags(&faithful(&meeting)), ["1", "1"]);
    assert_eq!(tags(&with_mend(&meeting, |mends| mends.control_tags = true)), ["4", "1"]);
}

#[test]
fn a_group_of_another_size_than_the_collective_says_is_noticed_once_for_each_axis() {
    let collective = |name, axis, hw| with(all_reduce(name, axis, hw, &[hw]), "participants", json!(4));
    let nodes =
        [compute("a", 0, &[]), compute("b", 1, &[]), collective("g", "tp", 0), collective("g", "tp", 1)];
    let converted = converted(&laid_out(1, &[("tp", 2)], nodes), &ConvertOptions::default());
    let notices: Vec<String> = converted.notices.iter().map(ToString::to_string).collect();
    assert_eq!(notices.len(), 1, "{notices:?}");
    let expected = "nodes[2].participants: `g` has 4 participants, but 2 ranks lie along axis `tp`; it is simulated with \
                    2 (2 collectives of this axis differ)";
    assert_eq!(notices[0], expected);
}

#[test]
fn a_hardware_id_outside_the_layout_is_noticed_with_the_one_it_is_taken_for() {
    let nodes = [
        compute("a", 0, &[]),
        compute("b", 3, &[]),
        all_reduce("g", "tp", 0, &[0]),
        all_reduce("g", "tp", 3, &[1]),
    ];
    let notices = |size: u32| -> Vec<String> {
        let graph = laid_out(1, &[("tp", size)], nodes.clone());
        converted(&graph, &ConvertOptions::default()).notices.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        notices(2),
        ["layout: hardware id 3 lies outside, where ids go from 0 to 1; groups take it for id 1"]
    );
    assert_eq!(notices(4), [""; 0]);
}

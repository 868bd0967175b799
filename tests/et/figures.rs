//! The bytes of a few traces, written out: whoever changes the encoding changes every digest in every store.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use astra_engine::CollectiveType;
use astra_store::et::build::{NodeIds, Pipeline, Sequence, SequenceItem, SingleCollective};
use astra_store::et::{Bundle, Node, NodeType, Reader, Writer, manifest};

const METADATA: &[u8] = b"\x07\x0a\x050.0.4";

fn assert_bytes(found: &[u8], messages: &[&[u8]]) {
    let mut expected = METADATA.to_vec();
    for message in messages {
        expected.push(message.len() as u8);
        expected.extend_from_slice(message);
    }
    assert_eq!(found, expected, "\nfound    {}\nexpected {}", found.escape_ascii(), expected.escape_ascii());
}

#[test]
fn a_collective_is_written_with_its_zeros() {
    let bundle = SingleCollective {
        name: "x".into(),
        kind: CollectiveType::AllReduce,
        size_bytes: 4096,
        ranks: 2,
        ids: NodeIds::Rank,
    };
    let bundle = bundle.build().unwrap();
    // The type of the collective is 0 and is there; the id of the first rank is 0 and is not.
    let attributes =
        b"R\x0e\x0a\x09is_cpu_op\xd8\x01\x00R\x0d\x0a\x09comm_typeH\x00R\x0e\x0a\x09comm_sizeH\x80\x20";
    let first = [&b"\x12\x01x\x18\x07"[..], attributes].concat();
    assert_bytes(&bundle.files[0], &[&first]);
    assert_bytes(&bundle.files[1], &[&[b"\x08\x01", &first[..]].concat()]);
}

#[test]
fn a_delay_is_a_packed_control_dependency() {
    let item = SequenceItem {
        name: "a".into(),
        kind: CollectiveType::AllToAll,
        size_bytes: 10,
        delay_ns: 3_000,
        after: vec![],
    };
    let bundle = Sequence { ranks: 1, items: vec![item] }.build().unwrap();
    let delay = b"\x12\x0bdelay_0_3us\x18\x04\x38\x03R\x0e\x0a\x09is_cpu_op\xd8\x01\x00";
    let collective = b"\x08\x01\x12\x03a_0\x18\x07\x22\x01\x00R\x0e\x0a\x09is_cpu_op\xd8\x01\x00\
        R\x0d\x0a\x09comm_typeH\x06R\x0d\x0a\x09comm_sizeH\x0a";
    assert_bytes(&bundle.files[0], &[delay, collective]);
}

#[test]
fn one_microbatch_through_two_idle_stages_is_a_send_and_a_receive() {
    let bundle = Pipeline { compute_ns: vec![0, 0], microbatches: 1, message_bytes: 1 }.build().unwrap();
    let send = b"\x12\x0dpipeline_send\x18\x05R\x0d\x0a\x09comm_sizeH\x01R\x0c\x0a\x08comm_dst8\x01\
        R\x0c\x0a\x08comm_tag8\x00R\x0e\x0a\x09is_cpu_op\xd8\x01\x00";
    let recv = b"\x12\x0dpipeline_recv\x18\x06R\x0d\x0a\x09comm_sizeH\x01R\x0c\x0a\x08comm_src8\x00\
        R\x0c\x0a\x08comm_tag8\x00R\x0e\x0a\x09is_cpu_op\xd8\x01\x00";
    assert_bytes(&bundle.files[0], &[send]);
    assert_bytes(&bundle.files[1], &[recv]);
}

#[test]
fn every_field_survives_the_round_trip() {
    let mut node =
        Node::collective(u64::MAX, "é", CollectiveType::ReduceScatter, i64::MAX, Some(9)).after([3, 1]);
    node.data_deps = vec![1 << 40];
    node.start_time_micros = 5;
    node.inputs = Some(astra_store::et::Tensors { values: "v".into(), ..Default::default() });
    node.kind = NodeType::Metadata as i32;
    let mut writer = Writer::new(Vec::new()).unwrap();
    writer.node(&node).unwrap();
    let bytes = writer.finish().unwrap();
    let read: Vec<Node> = Reader::from_bytes("x", &bytes).unwrap().map(Result::unwrap).collect();
    assert_eq!(read, [node]);
}

fn written(bundle: &Bundle) -> Vec<u8> {
    manifest(bundle, &BTreeMap::new(), |bytes| bytes.len().to_string(), NonZeroUsize::MIN).unwrap()
}

#[test]
fn the_manifest_lists_files_with_their_ranks_and_is_the_same_every_time() {
    let bundle = Pipeline { compute_ns: vec![1_000; 2], microbatches: 2, message_bytes: 64 }.build().unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&written(&bundle)).unwrap();
    assert_eq!(manifest["ranks"], 2);
    assert_eq!(manifest["files"][1]["ranks"], serde_json::json!([[1, 1]]));
    assert_eq!(manifest["files"][0]["nodes"], serde_json::json!({ "compute": 2, "send": 2 }));
    assert_eq!(manifest["files"][0]["bytes"], bundle.files[0].len());
    let item = SequenceItem {
        name: "a".into(),
        kind: CollectiveType::AllGather,
        size_bytes: 10,
        delay_ns: 0,
        after: vec![],
    };
    let sequence = Sequence { ranks: 5, items: vec![item.clone(), item] };
    let manifest = written(&sequence.build().unwrap());
    assert_eq!(manifest, written(&sequence.build().unwrap()));
    let text = String::from_utf8(manifest).unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
    let expected = serde_json::json!([{ "type": "all_gather", "size_bytes": 10, "group": null, "count": 2 }]);
    assert_eq!(parsed["files"][0]["collectives"], expected);
    assert_eq!(parsed["files"][0]["ranks"], serde_json::json!([[0, 4]]));
}

#[test]
fn existing_files_become_a_bundle_in_which_equal_ones_are_kept_once() {
    let pipeline =
        Pipeline { compute_ns: vec![1_000; 3], microbatches: 1, message_bytes: 64 }.build().unwrap();
    let (first, last) = (pipeline.files[0].clone(), pipeline.files[2].clone());
    let named = |(rank, bytes)| (Bundle::file_name("p", rank), bytes);
    let files = (0..).zip([first.clone(), last.clone(), first.clone()]).map(named);
    let bundle = Bundle::from_files(files).unwrap();
    assert_eq!((&bundle.files[..], &bundle.file_of_rank[..]), (&[first.clone(), last][..], &[0, 1, 0][..]));
    assert_eq!(bundle.summaries[0], pipeline.summaries[0]);

    let cut = first[..first.len() - 1].into();
    let error = Bundle::from_files((0..).zip([first, cut]).map(named)).unwrap_err().to_string();
    assert!(error.starts_with("p.1.et: byte "), "{error}");
    assert!(Bundle::from_files([]).is_err());
}

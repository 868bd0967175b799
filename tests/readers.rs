//! The readers of other people's files, fed with anything: they give a value or an error, and never panic.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use astra_engine::{CollectiveType, Dialect, NetworkModel, RemoteMemory};
use astra_store::astrasim::{
    NetworkFile, SystemFile, SystemOptions, read_groups, read_per_node, read_remote_memory,
};
use astra_store::et::graph::{ConvertOptions, Graph, Mends, convert};
use astra_store::et::{Node, Reader, Writer, lower_bundle, lower_custom};
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// A trace with every kind of node.
fn trace() -> Vec<u8> {
    let mut writer = Writer::new(Vec::new()).unwrap();
    for node in [
        Node::compute(1, "k", 3),
        Node::collective(2, "c", CollectiveType::AllReduce, 1 << 20, Some(7)).after([1]),
        Node::send(3, "s", 1, 1000, 5),
        Node::recv(4, "r", 1, 1000, 5).after([1, 3]),
    ] {
        writer.node(&node).unwrap();
    }
    writer.finish().unwrap()
}

const NETWORK: &str =
    "topology: [Ring, Switch]\nnpus_count: [4, 2]\nbandwidth: [50.0, 25]\nlatency: [500, 1e3]\n";

const SYSTEM: &str = r#"{"scheduling-policy": "LIFO", "endpoint-delay": 10, "preferred-dataset-splits": 4,
  "all-reduce-implementation": ["ring", "direct4"], "local-mem-bw": 1600.5, "model-shared-bus": 1, "L": 3,
  "all-to-all-implementation-custom": ["custom/a2a"], "roofline-enabled": true}"#;

const MEMORY: &str = r#"{"memory-type": "PER_NODE_MEMORY_EXPANSION", "remote-mem-bw": 3, "num-nodes": 2, "num-npus-per-node": 4}"#;

const GRAPH: &str = r#"{"astra_graph": 1, "replicas": 2, "roots": [0], "info": {},
  "layout": {"axes": [{"axis": "tp", "size": 2, "stride": 1}, {"axis": "dp", "size": 2}], "span": 4},
  "nodes": [{"type": "compute", "name": "a", "op": 3, "hw": 0, "seconds": [1e-6, 2], "parents": [], "children": [1, 2]},
            {"type": "communication", "name": "x", "kind": "pipeline", "bytes": 10.5, "parents": [0], "children": [3]},
            {"type": "communication", "name": "g", "kind": "all_reduce", "bytes": 8, "axis": "dp", "participants": 2,
             "parents": [0], "children": []},
            {"type": "join", "name": "j", "parents": [1], "children": [4]},
            {"type": "compute", "name": "b", "hw": 1, "seconds": 0, "parents": [3], "children": []}]}"#;

/// What can happen to a file.
#[derive(Clone, Debug)]
enum Damage {
    Replace(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    CutOff(Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let words = [
        "[",
        "]",
        "{",
        "}",
        ":",
        "-",
        "\n",
        " ",
        "null",
        "1e999",
        "-1",
        "99999999999999999999",
        "\"",
        "&a",
        "*a",
        "\u{feff}",
    ];
    let word = select(words.map(|word| word.as_bytes().to_vec()).to_vec());
    prop_oneof![
        3 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        3 => (any::<Index>(), word).prop_map(|(at, word)| Damage::Insert(at, word)),
        2 => (any::<Index>(), 1..20_usize).prop_map(|(at, count)| Damage::Remove(at, count)),
        1 => any::<Index>().prop_map(Damage::CutOff),
    ]
}

fn damaged(bytes: &[u8], damages: &[Damage]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for damage in damages {
        let place = |at: &Index| at.index(bytes.len() + 1);
        match damage {
            Damage::Replace(at, byte) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Damage::Replace(..) => {}
            Damage::Insert(at, word) => {
                let at = place(at);
                bytes.splice(at..at, word.iter().copied());
            }
            Damage::Remove(at, count) => {
                let at = place(at);
                let end = (at + count).min(bytes.len());
                bytes.drain(at..end);
            }
            Damage::CutOff(at) => {
                let at = place(at);
                bytes.truncate(at);
            }
        }
    }
    bytes
}

fn read_trace(bytes: &[u8]) {
    if let Ok(reader) = Reader::from_bytes("t", bytes) {
        reader.for_each(drop);
    }
    let _ = lower_bundle("t", &[bytes], &[0, 0], &BTreeMap::new());
    let _ = lower_custom("t", bytes);
}

fn read_network(bytes: &[u8]) {
    if let Ok((file, _)) = NetworkFile::parse(bytes, "n.yml") {
        for &model in NetworkModel::ALL {
            let _ = file.network(model).check();
        }
    }
}

fn read_system(bytes: &[u8]) {
    let Ok((file, _)) = SystemFile::parse(bytes, "s.json") else { return };
    for &dialect in Dialect::ALL {
        let system = file.system(dialect, &SystemOptions::default(), RemoteMemory::None);
        let _ = system.map(|system| system.check(2));
    }
}

fn read_graph(bytes: &[u8]) {
    if let Ok(graph) = Graph::parse(bytes, "g.json") {
        for mends in [Mends::ALL, Mends::NONE] {
            let options = ConvertOptions { mends, ..ConvertOptions::default() };
            // A damaged number may ask for more ranks than a test should write.
            if graph.replicas() < 1000 {
                let _ = convert(&graph, &options, NonZeroUsize::MIN);
            }
        }
    }
}

fn read_others(bytes: &[u8]) {
    let _ = read_groups(bytes, "g.json");
    let _ = read_remote_memory(bytes, "m.json");
    let _ = read_per_node(bytes, "p.yml");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_are_read_or_refused(damages in prop::collection::vec(damage(), 1..5)) {
        read_trace(&damaged(&trace(), &damages));
        read_network(&damaged(NETWORK.as_bytes(), &damages));
        read_system(&damaged(SYSTEM.as_bytes(), &damages));
        read_graph(&damaged(GRAPH.as_bytes(), &damages));
        read_others(&damaged(MEMORY.as_bytes(), &damages));
        read_others(&damaged(br#"{"1": [0, 3], "12": [1]}"#, &damages));
        read_others(&damaged(b"3: custom/a\n12: custom/b\n", &damages));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_trace(&bytes);
        read_network(&bytes);
        read_system(&bytes);
        read_graph(&bytes);
        read_others(&bytes);
    }
}

#[test]
fn what_is_not_damaged_is_read() {
    assert_eq!(Reader::from_bytes("t", &trace()).unwrap().count(), 4);
    assert!(NetworkFile::parse(NETWORK.as_bytes(), "n.yml").is_ok());
    assert!(SystemFile::parse(SYSTEM.as_bytes(), "s.json").is_ok());
    let graph = Graph::parse(GRAPH.as_bytes(), "g.json").unwrap();
    assert_eq!(convert(&graph, &ConvertOptions::default(), NonZeroUsize::MIN).unwrap().bundle.ranks(), 4);
    assert!(read_remote_memory(MEMORY.as_bytes(), "m.json").is_ok());
}

//! Short walks against long ones, and how long they are.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::roles;
use super::*;

/// A node whose parents are some of the three before it.
fn node(position: usize, choice: (u8, u8, u32, bool)) -> Value {
    let (what, before, hw, own_hw) = choice;
    let parents: Vec<usize> = (0..3)
        .filter(|bit| before & (1 << bit) != 0)
        .filter_map(|bit| position.checked_sub(bit + 1))
        .collect();
    let mut node = match what {
        0..3 => json!({ "type": "compute", "seconds": 1e-6, "hw": hw }),
        3..5 => json!({ "type": "communication", "kind": "all_reduce", "bytes": 8, "axis": "tp" }),
        5 => json!({ "type": "communication", "kind": "pipeline", "bytes": 8 }),
        _ => json!({ "type": "join" }),
    };
    // A collective without hardware id needs a neighbour with one.
    let neighbours = parents.contains(&0);
    if what == 3 || what == 4 && !neighbours || what == 5 && own_hw {
        node["hw"] = json!(hw);
    }
    node["name"] = json!(format!("n{position}"));
    node["parents"] = json!(parents);
    node
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn short_walks_find_what_long_ones_find(
        choices in prop::collection::vec((0..9_u8, 0..8_u8, 0..3_u32, any::<bool>()), 1..40),
        mend in any::<bool>(),
    ) {
        let mends = if mend { Mends::ALL } else { Mends::NONE };
        let mut nodes = vec![json!({ "type": "compute", "name": "n", "seconds": 0, "hw": 0 })];
        nodes.extend((1..).zip(choices).map(|(position, choice)| node(position, choice)));
        let layout = json!({ "axes": [{ "axis": "tp", "size": 3 }] });
        let text = json!({ "astra_graph": 1, "layout": layout, "nodes": nodes }).to_string();
        let graph = Graph::parse(text.as_bytes(), "g.json").unwrap();
        let Ok(roles) = roles::assign(&graph, &mends) else { return Ok(()) };
        let short = find(&graph, &roles, &mends);
        for longest in [0, 2] {
            let mut shortcuts = Shortcuts::of(&graph, &roles, &mends, longest);
            if longest == 0 {
                shortcuts.reaches = Reaches::unknown(&graph);
            }
            let mut long = Walk::new(&graph, &roles, &mends, shortcuts);
            let walked = long.find_all();
            prop_assert_eq!(short.is_ok(), walked.is_ok());
            let (Ok(short), Ok(())) = (&short, walked) else { continue };
            for node in graph.nodes() {
                prop_assert_eq!(short.local.row(node.at()), long.found.local.row(node.at()));
                prop_assert_eq!(short.crossing.row(node.at()), long.found.crossing.row(node.at()));
            }
        }
    }
}

/// How many nodes a conversion of a graph looks at, and how many nodes and edges it has.
fn work(nodes: &[String], mends: &Mends) -> (usize, usize) {
    let layout = r#"{"axes":[{"axis":"tp","size":2}]}"#;
    let text = format!(r#"{{"astra_graph":1,"layout":{layout},"nodes":[{}]}}"#, nodes.join(","));
    let graph = Graph::parse(text.as_bytes(), "g.json").unwrap();
    let roles = roles::assign(&graph, mends).unwrap();
    let mut walk = Walk::new(&graph, &roles, mends, Shortcuts::of(&graph, &roles, mends, LONGEST));
    walk.find_all().unwrap();
    (walk.looked_at, graph.node_count() + graph.edge_count())
}

/// `starts` computations, rungs of three parents each that begin with all of them, and on each rung a `consumer`.
fn ladder(starts: usize, rungs: usize, rung: &str, consumer: &str) -> Vec<String> {
    let start =
        (0..starts).map(|at| format!(r#"{{"type":"compute","name":"s","seconds":1e-6,"hw":{}}}"#, at % 2));
    let node = |what: &str, parents: Vec<usize>| format!(r#"{{{what},"name":"n","parents":{parents:?}}}"#);
    let rungs = (0..rungs).flat_map(|at| {
        // Rungs and consumers alternate.
        let place = |before: usize| starts + 2 * (at - before);
        let parents = if at < 3 { (0..starts).collect() } else { (1..=3).map(place).collect() };
        [node(rung, parents), node(consumer, vec![place(0)])]
    });
    start.chain(rungs).collect()
}

const JOIN: &str = r#""type":"join""#;
const TRANSFER: &str = r#""type":"communication","kind":"pipeline","bytes":8"#;
const COMPUTE: &str = r#""type":"compute","seconds":1e-6,"hw":0"#;
const COLLECTIVE: &str = r#""type":"communication","kind":"all_reduce","bytes":8,"axis":"tp","hw":0"#;

#[test]
fn a_ladder_of_joins_is_not_climbed_by_each_of_its_consumers() {
    for mends in [Mends::ALL, Mends::NONE] {
        for consumer in [COMPUTE, COLLECTIVE] {
            let (looked_at, size) = work(&ladder(2, 100_000, JOIN, consumer), &mends);
            assert!(looked_at <= size, "{consumer}: {looked_at} of {size}");
        }
    }
}

#[test]
fn nor_is_one_of_transfers_or_one_that_begins_with_more_than_a_list_holds() {
    let (looked_at, size) = work(&ladder(2, 10_000, TRANSFER, COMPUTE), &Mends::ALL);
    assert!(looked_at <= 2 * size, "{looked_at} of {size}");
    // Every consumer waits for every start: that much has to be written.
    let starts = LONGEST + 6;
    let (looked_at, size) = work(&ladder(starts, 1000, JOIN, COMPUTE), &Mends::ALL);
    assert!(looked_at <= 1000 * (3 * starts + 4), "{looked_at} of {size}");
}

#[test]
fn nor_is_one_of_collectives_on_other_stages() {
    let mends = Mends { collective_only_stages: true, ..Mends::NONE };
    for stages in [1, 3] {
        let mut nodes = ladder(1, 10_000, COLLECTIVE, COMPUTE);
        // The rungs run on one stage after the other, and all consumers on a further one.
        for (at, rung) in nodes.iter_mut().skip(1).step_by(2).enumerate() {
            *rung = rung.replace(r#""hw":0"#, &format!(r#""hw":{}"#, 1 + at % stages));
        }
        nodes[0] = nodes[0].replace(r#""hw":0"#, r#""hw":1"#);
        let (looked_at, size) = work(&nodes, &mends);
        assert!(looked_at <= 2 * size, "{stages} stages: {looked_at} of {size}");
    }
}

#[test]
fn more_dependencies_than_memory_holds_are_refused_with_the_way_out() {
    let layout = r#"{"axes":[{"axis":"tp","size":2}]}"#;
    let refused = |between: &str| {
        let mut nodes = vec![format!(r#"{{{COMPUTE},"name":"s"}}"#); 20];
        nodes.push(format!(r#"{{{between},"name":"all","parents":{:?}}}"#, (0..20).collect::<Vec<_>>()));
        nodes.extend(vec![format!(r#"{{{COMPUTE},"name":"c","parents":[20]}}"#); 20]);
        let text = format!(r#"{{"astra_graph":1,"layout":{layout},"nodes":[{}]}}"#, nodes.join(","));
        let graph = Graph::parse(text.as_bytes(), "g.json").unwrap();
        let roles = roles::assign(&graph, &Mends::ALL).unwrap();
        let mut walk =
            Walk::new(&graph, &roles, &Mends::ALL, Shortcuts::of(&graph, &roles, &Mends::ALL, LONGEST));
        walk.most_dependencies = 100;
        walk.find_all().err()
    };
    for between in [JOIN, TRANSFER] {
        let error = refused(between).unwrap();
        assert_eq!(error.to_string(), "nodes[26]: tasks up to `c` wait for more than 100 others together");
        assert!(error.hint_text().is_some_and(|hint| hint.contains("a compute node of 0 seconds")));
    }
    assert!(refused(COMPUTE).is_none());
}

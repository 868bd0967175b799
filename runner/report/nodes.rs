//! When each node of each rank ran, as CSV.

use std::fmt::Write;

use astra_engine::{NodeRecord, NodeTimes, Rank, Workload};

/// One line per node that is complete under the heading `rank,node,name,start_ns,end_ns`, by rank and node id.
pub fn nodes_csv(workload: &Workload, record: &NodeRecord) -> String {
    let mut text = "rank,node,name,start_ns,end_ns\n".to_owned();
    for rank in 0..workload.trace_of_rank.len() as u32 {
        let trace = workload.trace(Rank(rank));
        for index in 0..trace.len() as u32 {
            let Some(NodeTimes { start, end }) = record.times(Rank(rank), index) else { continue };
            let (id, name) = (trace.id(index), field(trace.name(index)));
            let line = writeln!(text, "{rank},{id},{name},{},{}", start.0, end.0);
            line.expect("writing to memory cannot fail");
        }
    }
    text
}

/// A field, quoted where it has to be.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use astra_engine::{Micros, Nanos, Node, NodeKind, NodeOf, Observer, TraceBuilder};

    use super::*;

    #[test]
    fn every_node_has_a_line_and_awkward_names_are_quoted() {
        let node = Node { kind: NodeKind::Compute { work: None }, cpu: false, duration: Micros(1) };
        let mut builder = TraceBuilder::new();
        builder.push(7, "plain", node, &[]);
        builder.push(3, "a, \"b\"", node, &[]);
        let workload = Workload::uniform(builder.build().unwrap(), 1);
        let mut record = NodeRecord::new(&workload);
        for (index, start, end) in [(0, 0, 1000), (1, 1000, 2000)] {
            let node = NodeOf { rank: Rank(0), index, id: 0, name: "", node: &node };
            record.node_began(&node, Nanos(start));
            record.node_ended(&node, Nanos(end));
        }
        let csv = nodes_csv(&workload, &record);
        assert_eq!(csv, "rank,node,name,start_ns,end_ns\n0,3,\"a, \"\"b\"\"\",0,1000\n0,7,plain,1000,2000\n");
    }
}

//! When each node of each rank ran, as CSV.

use std::fmt::Write;

use astra_engine::{NodeTimes, Rank, Workload};

/// One line per node under the heading `rank,node,name,start_ns,end_ns`, by rank and node id.
pub fn nodes_csv(workload: &Workload, times: &[Vec<NodeTimes>]) -> String {
    let mut text = "rank,node,name,start_ns,end_ns\n".to_owned();
    for (rank, times) in (0..).zip(times) {
        let trace = workload.trace(Rank(rank));
        for (index, NodeTimes { start, end }) in (0..).zip(times) {
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
    use astra_engine::{Micros, Nanos, Node, NodeKind, TraceBuilder};

    use super::*;

    #[test]
    fn every_node_has_a_line_and_awkward_names_are_quoted() {
        let node = Node { kind: NodeKind::Compute { work: None }, cpu: false, duration: Micros(1) };
        let mut builder = TraceBuilder::new();
        builder.push(7, "plain", node, &[]);
        builder.push(3, "a, \"b\"", node, &[]);
        let workload = Workload::uniform(builder.build().unwrap(), 1);
        let times = |start, end| NodeTimes { start: Nanos(start), end: Nanos(end) };
        let csv = nodes_csv(&workload, &[vec![times(0, 1000), times(1000, 2000)]]);
        assert_eq!(csv, "rank,node,name,start_ns,end_ns\n0,3,\"a, \"\"b\"\"\",0,1000\n0,7,plain,1000,2000\n");
    }
}

//! A drawing as Graphviz text.

use std::io::{self, Write};

use super::selection::Drawing;

/// Writes a drawing for `dot`: ranks as clusters, messages dashed.
///
/// # Errors
/// What the output reports.
pub fn write_dot(drawing: &Drawing, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "digraph traces {{\n  node [shape=box, style=filled, fontname=\"sans-serif\", fontsize=10];"
    )?;
    for of_rank in drawing.boxes.chunk_by(|a, b| a.rank == b.rank) {
        let rank = of_rank[0].rank;
        writeln!(out, "  subgraph cluster_{rank} {{\n    label=\"rank {rank}\";")?;
        for node in of_rank {
            let lines: Vec<String> = node.lines.iter().map(|line| escaped(line)).collect();
            let label = lines.join("\\n");
            writeln!(
                out,
                "    n{}_{} [fillcolor={}, label=\"{label}\"];",
                node.rank, node.node, node.colour
            )?;
        }
        writeln!(out, "  }}")?;
    }
    for edge in &drawing.edges {
        let (from, to) = (&drawing.boxes[edge.from], &drawing.boxes[edge.to]);
        let style = if edge.message { " [style=dashed, constraint=false]" } else { "" };
        writeln!(out, "  n{}_{} -> n{}_{}{style};", from.rank, from.node, to.rank, to.node)?;
    }
    writeln!(out, "}}")
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::et::Node;
    use crate::et::draw::{RankTrace, select};

    #[test]
    fn boxes_stand_in_their_rank_and_messages_are_dashed() {
        let traces = [
            RankTrace { rank: 0, nodes: vec![Node::send(0, "s\"1\\", 1, 64, 3)] },
            RankTrace { rank: 1, nodes: vec![Node::recv(4, "r", 0, 64, 3)] },
        ];
        let mut out = Vec::new();
        write_dot(&select(&traces, None, 9).unwrap(), &mut out).unwrap();
        let expected = r#"digraph traces {
  node [shape=box, style=filled, fontname="sans-serif", fontsize=10];
  subgraph cluster_0 {
    label="rank 0";
    n0_0 [fillcolor=khaki, label="s\\\"1\\\\\nrank 0, id 0\nsend\ndst 1\ntag 3\nbytes 64"];
  }
  subgraph cluster_1 {
    label="rank 1";
    n1_4 [fillcolor=lightsalmon, label="r\nrank 1, id 4\nrecv\nsrc 0\ntag 3\nbytes 64"];
  }
  n0_0 -> n1_4 [style=dashed, constraint=false];
}
"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

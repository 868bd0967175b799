//! A drawing as SVG, without any program beside this one.

use std::io::{self, Write};

use super::layout::Layout;
use super::selection::{Drawing, NodeBox};

const BOX_WIDTH: usize = 190;
const LINE_HEIGHT: usize = 13;
const GAP_X: usize = 24;
const GAP_Y: usize = 40;
const MARGIN: usize = 16;

/// Lines longer than this many characters are cut to fit their box.
const LONGEST_LINE: usize = 28;

/// Writes a drawing as SVG: what waits stands below what it waits for, messages are dashed.
///
/// # Errors
/// What the output reports.
pub fn write_svg(drawing: &Drawing, out: &mut dyn Write) -> io::Result<()> {
    let layout = Layout::of(drawing);
    let most_lines = drawing.boxes.iter().map(|node| node.lines.len()).max().unwrap_or(1);
    let sheet = Sheet { layout: &layout, box_height: most_lines * LINE_HEIGHT + 8 };
    let (width, height) = sheet.size();
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"10\">"
    )?;
    writeln!(
        out,
        "<defs><marker id=\"end\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" \
         orient=\"auto\"><path d=\"M0 0L8 4L0 8z\"/></marker></defs>"
    )?;
    for edge in &drawing.edges {
        let ((x1, y1), (x2, y2)) = (sheet.bottom(edge.from), sheet.top(edge.to));
        let bend = (y1 + y2) / 2;
        let dashes = if edge.message { " stroke-dasharray=\"5 3\"" } else { "" };
        writeln!(
            out,
            "<path d=\"M{x1} {y1}C{x1} {bend} {x2} {bend} {x2} {y2}\" fill=\"none\" stroke=\"#444\" \
             marker-end=\"url(#end)\"{dashes}/>"
        )?;
    }
    for (at, node) in drawing.boxes.iter().enumerate() {
        sheet.write_box(at, node, out)?;
    }
    writeln!(out, "</svg>")
}

struct Sheet<'a> {
    layout: &'a Layout,
    box_height: usize,
}

impl Sheet<'_> {
    fn size(&self) -> (usize, usize) {
        let along = |count: usize, size: usize, gap: usize| 2 * MARGIN + count * (size + gap);
        (along(self.layout.width, BOX_WIDTH, GAP_X), along(self.layout.height, self.box_height, GAP_Y))
    }

    /// The upper left corner of a box.
    fn corner(&self, at: usize) -> (usize, usize) {
        let (layer, column) = self.layout.place[at];
        (MARGIN + column * (BOX_WIDTH + GAP_X), MARGIN + layer * (self.box_height + GAP_Y))
    }

    fn top(&self, at: usize) -> (usize, usize) {
        let (x, y) = self.corner(at);
        (x + BOX_WIDTH / 2, y)
    }

    fn bottom(&self, at: usize) -> (usize, usize) {
        let (x, y) = self.top(at);
        (x, y + self.box_height)
    }

    fn write_box(&self, at: usize, node: &NodeBox, out: &mut dyn Write) -> io::Result<()> {
        let (x, y) = self.corner(at);
        writeln!(
            out,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{BOX_WIDTH}\" height=\"{}\" rx=\"3\" fill=\"{}\" stroke=\"#333\"/>",
            self.box_height, node.colour
        )?;
        write!(out, "<text text-anchor=\"middle\"><title>{}</title>", escaped(&node.lines.join("\n")))?;
        for (number, line) in (1..).zip(&node.lines) {
            let (middle, baseline) = (x + BOX_WIDTH / 2, y + number * LINE_HEIGHT);
            write!(out, "<tspan x=\"{middle}\" y=\"{baseline}\">{}</tspan>", escaped(&cut(line)))?;
        }
        writeln!(out, "</text>")
    }
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(LONGEST_LINE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::et::Node;
    use crate::et::draw::{RankTrace, select};

    fn svg(nodes: Vec<Node>) -> String {
        let drawing = select(&[RankTrace { rank: 0, nodes }], None, 99).unwrap();
        let mut out = Vec::new();
        write_svg(&drawing, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// The corners of the boxes, in the order of their ids.
    fn corners(svg: &str) -> Vec<(usize, usize)> {
        let number = |line: &str, name: &str| {
            let start = line.find(&format!("{name}=\"")).unwrap() + name.len() + 2;
            line[start..].split('"').next().unwrap().parse().unwrap()
        };
        let boxes = svg.lines().filter(|line| line.starts_with("<rect"));
        boxes.map(|line| (number(line, " x"), number(line, " y"))).collect()
    }

    #[test]
    fn what_waits_stands_below_and_no_two_boxes_overlap() {
        let nodes = vec![
            Node::compute(0, "a<b>&c", 1),
            Node::compute(1, "b", 1).after([0]),
            Node::compute(2, "c", 1).after([0]),
            Node::compute(3, "d", 1).after([1, 2]),
        ];
        let text = svg(nodes);
        let found = corners(&text);
        let [a, b, c, d] = found[..] else { panic!("{found:?}") };
        assert!(a.1 < b.1 && b.1 == c.1 && c.1 < d.1, "{found:?}");
        assert!(b.0.abs_diff(c.0) > BOX_WIDTH);
        assert!(text.contains("a&lt;b&gt;&amp;c") && !text.contains("<b>"));
        assert_eq!(text.matches("<path d=\"M").count(), 1 + 4);
    }

    #[test]
    fn nodes_in_a_circle_can_be_drawn_too() {
        let text = svg(vec![Node::compute(0, "a", 1).after([1]), Node::compute(1, "b", 1).after([0])]);
        assert_eq!(corners(&text).len(), 2);
    }
}

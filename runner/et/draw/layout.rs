//! Where boxes go: a column of layers, each box below everything it waits for, near what it is connected with.
//!
//! Layers by the longest path, then a few sweeps that put each box at the average place of its neighbours; in time linear in
//! the edges for each sweep. Ranks stand side by side.

use super::selection::Drawing;

/// Layer and place within the layer of each box.
pub(super) struct Layout {
    /// By box.
    pub(super) place: Vec<(usize, usize)>,
    /// How many boxes the widest layer has.
    pub(super) width: usize,
    /// How many layers there are.
    pub(super) height: usize,
}

const SWEEPS: usize = 4;

impl Layout {
    pub(super) fn of(drawing: &Drawing) -> Self {
        let layer = layers(drawing);
        let height = layer.iter().max().map_or(0, |last| last + 1);
        let mut rows: Vec<Vec<usize>> = vec![Vec::new(); height];
        (0..drawing.boxes.len()).for_each(|at| rows[layer[at]].push(at));
        let mut place = vec![0.0; drawing.boxes.len()];
        settle(&rows, &mut place);
        let mut neighbours: Vec<Vec<usize>> = vec![Vec::new(); drawing.boxes.len()];
        for edge in &drawing.edges {
            neighbours[edge.from].push(edge.to);
            neighbours[edge.to].push(edge.from);
        }
        for _ in 0..SWEEPS {
            for row in &mut rows {
                let wanted = |at: usize| {
                    let near = &neighbours[at];
                    let sum: f64 = near.iter().map(|&other| place[other]).sum();
                    if near.is_empty() { place[at] } else { sum / near.len() as f64 }
                };
                let mut keyed: Vec<(u32, f64, usize)> =
                    row.iter().map(|&at| (drawing.boxes[at].rank, wanted(at), at)).collect();
                keyed.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)));
                *row = keyed.into_iter().map(|(.., at)| at).collect();
                settle(std::slice::from_ref(row), &mut place);
            }
        }
        let mut places = vec![(0, 0); drawing.boxes.len()];
        for (layer, row) in rows.iter().enumerate() {
            row.iter().enumerate().for_each(|(column, &at)| places[at] = (layer, column));
        }
        let width = rows.iter().map(Vec::len).max().unwrap_or(0);
        Self { place: places, width, height }
    }
}

/// Places of the boxes of each row, around the middle.
fn settle(rows: &[Vec<usize>], place: &mut [f64]) {
    for row in rows {
        let middle = row.len() as f64 / 2.0;
        row.iter().enumerate().for_each(|(column, &at)| place[at] = column as f64 + 0.5 - middle);
    }
}

/// The length of the longest path to each box. Edges that close a circle are not followed.
fn layers(drawing: &Drawing) -> Vec<usize> {
    let boxes = drawing.boxes.len();
    let mut layer = vec![0; boxes];
    let mut waiting = vec![0_usize; boxes];
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); boxes];
    for edge in &drawing.edges {
        waiting[edge.to] += 1;
        children[edge.from].push(edge.to);
    }
    let mut done = vec![false; boxes];
    let mut ready: Vec<usize> = (0..boxes).filter(|&at| waiting[at] == 0).collect();
    let mut next = 0;
    loop {
        while let Some(at) = ready.pop() {
            if std::mem::replace(&mut done[at], true) {
                continue;
            }
            for &child in &children[at] {
                if done[child] {
                    continue;
                }
                layer[child] = layer[child].max(layer[at] + 1);
                waiting[child] -= 1;
                if waiting[child] == 0 {
                    ready.push(child);
                }
            }
        }
        // What is left waits in a circle: the first of it begins.
        while next < boxes && done[next] {
            next += 1;
        }
        if next == boxes {
            return layer;
        }
        ready.push(next);
    }
}

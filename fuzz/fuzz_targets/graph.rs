//! Any bytes as a graph; what can be read is converted as DeepFlow does it, and mended.

#![no_main]

use std::num::NonZeroUsize;

use astra_store::et::graph::{ConvertOptions, Graph, convert};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(graph) = Graph::parse(bytes, "g.json") else { return };
    // More ranks than that only take longer to write.
    if graph.replicas() > 100 {
        return;
    }
    for options in [ConvertOptions::FAITHFUL, ConvertOptions::default()] {
        let _ = convert(&graph, &options, NonZeroUsize::MIN);
    }
});

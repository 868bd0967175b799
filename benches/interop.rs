//! What a known result costs a Python program, at 10, 1,000 and 100,000 stored results: through the module for DeepFlow, and as
//! its peer by reading a `cache.json` of as many results, which is what DeepFlow does for every hit.
//!
//!     cargo bench --bench interop [-- DIRECTORY]
//!
//! Everything is made below the directory, the system's temporary one if none is given. Needs `python3`.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot do its work has failed")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use artifact_store::{Options, Store};
use astra_store::serve::Server;
use serde_json::{Value, json};

/// Commits gather what so many threads have to keep.
const THREADS: u64 = 64;

fn main() {
    let place = std::env::args().nth(1).filter(|arg| !arg.starts_with('-'));
    let place = place.map_or_else(std::env::temp_dir, PathBuf::from);
    for results in [10, 1_000, 100_000] {
        let directory = tempfile::tempdir_in(&place).unwrap();
        let began = Instant::now();
        fill(&directory.path().join("store"), results);
        println!("{results} results, simulated and kept in {:.1} s", began.elapsed().as_secs_f64());
        measure(directory.path(), results);
    }
}

/// Simulates so many all-reduces and keeps them.
fn fill(store: &Path, results: u64) {
    let store = Store::open(store, &Options::default()).unwrap();
    let next = AtomicU64::new(1);
    thread::scope(|scope| {
        for _ in 0..THREADS.min(results) {
            scope.spawn(|| {
                let mut server = Server::new(Some(store.clone())).unwrap();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number > results {
                        break;
                    }
                    let answer = server.answer(point(1024 * number).to_string().as_bytes());
                    let answer: Value = serde_json::from_str(&answer).unwrap();
                    assert_eq!(answer["ok"]["hit"], false, "{answer}");
                }
            });
        }
    });
}

/// The request that the module makes of the hardware of its tests.
fn point(size_bytes: u64) -> Value {
    json!({
        "do": "point",
        "hardware": {
            "parallelism": { "tp": 4 },
            "network": { "dimensions": [{
                "id": "ring", "size": "auto", "parallelisms": ["tp"],
                "topology": { "type": "Ring", "bandwidth": 53_687_091_200.0, "latency": 500e-9 },
            }] },
            "execution_backend": { "model": "astra", "astra": { "sys_options": { "preferred_dataset_splits": 4 } } },
        },
        "ranks": 4,
        "workload": { "kind": "collective", "collective": "all_reduce", "size_bytes": size_bytes },
        "engine": { "dialect": "deepflow" },
    })
}

fn measure(directory: &Path, results: u64) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/interop.py");
    let status = Command::new("python3")
        .args(["-B", script, &results.to_string()])
        .current_dir(directory)
        .env("ASTRA_STORE", directory.join("store"))
        .env("ASTRA_STORE_BINARY", env!("CARGO_BIN_EXE_astra-store"))
        .status()
        .unwrap();
    assert!(status.success());
}

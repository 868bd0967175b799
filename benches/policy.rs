//! Decisions per second: a policy in its helper process, loaded into this one, and linked in; and what policies add to a cold
//! build of 10,000 points.
//!
//! Peers in the same run: for a single question a byte through `cat` and back, which no process on two pipes can beat; for
//! the others the linked-in policy, which needs no interface at all; for builds the same build with all algorithms fixed in
//! the recipe, so that nobody is asked.
//!
//!     cargo bench --bench policy

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot do its work has failed")]

use std::hint::black_box;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use astra_policy::Request;
use astra_store::policy::{Isolation, Limits, SHIPPED, Session, Source, sample_questions};
use serde_json::json;

fn main() {
    let questions: Vec<Request> = decided().into_iter().cycle().take(20_000).collect();
    println!("policy `topology`, {} questions, best of 5", questions.len());
    let library = library();
    let cat = rate(2_000, || cat_round_trips(2_000));
    let helper = Isolation::Helper(PathBuf::from(env!("CARGO_BIN_EXE_astra-store")));
    let linked = all_at_once(&mut open(Source::Shipped(SHIPPED[0]), helper.clone()), &questions);
    let in_process = all_at_once(&mut open(library.clone(), Isolation::InProcess), &questions);
    let mut session = open(library.clone(), helper.clone());
    let batched = all_at_once(&mut session, &questions);
    let single = rate(2_000, || {
        for question in &questions[..2_000] {
            black_box(session.ask(std::slice::from_ref(question)).unwrap());
        }
    });
    let opening = rate(20, || {
        for _ in 0..20 {
            drop(open(library.clone(), helper.clone()));
        }
    });
    report("helper process, all at once", batched, "of linked in", linked);
    report("helper process, one by one", single, "of a byte through `cat`", cat);
    report("loaded into this process", in_process, "of linked in", linked);
    println!("{:<30} {linked:>12.0} /s", "linked in");
    println!("{:<30} {cat:>12.0} /s", "a byte through `cat` and back");
    println!("{:<30} {:>12.2} ms", "starting and ending a helper", 1e3 / opening);
    sweep();
}

const HARDWARE: &str = "\
parallelism: { tp: 8 }
network:
  dimensions:
    - id: switch
      parallelisms: [tp]
      size: auto
      topology: { type: Switch, bandwidth: 1e9, latency: 1e-6, util: 1.0 }
";

/// Builds of 100 sizes at 100 bandwidths that no store has seen, whose policies decide the same, so that all else is equal. In
/// turns that begin with another one each time, because the machine is not the same all the time. One point of another
/// bandwidth is built before: keeping the library is the price of a new plugin, not of a sweep, and has a line of its own.
fn sweep() {
    println!("\ncold build of 10,000 points, least of 8 in turns");
    let policies = [
        ("fixed in the recipe", json!({ "collectives": { "all_reduce": "halvingDoubling" } })),
        ("the default", json!({})),
        ("linked in, asked by size", json!({ "plugin": "fixed", "config": "* = halvingDoubling" })),
        ("library in a helper, by size", json!({ "plugin": "./libtopology.so" })),
    ];
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(scratch.path().join("hw.yaml"), HARDWARE).unwrap();
    std::fs::copy(library_file(), scratch.path().join("libtopology.so")).unwrap();
    let sizes: Vec<u64> = (1..=100).map(|i| i << 16).collect();
    let bandwidths: Vec<u64> = (1..=100).map(|i| i * 10_000_000_000).collect();
    let (mut first, mut least) = ([Duration::MAX; 4], [Duration::MAX; 4]);
    for round in 0..8 {
        for turn in 0..policies.len() {
            let index = (round + turn) % policies.len();
            let policy = &policies[index].1;
            let recipe = |sweep| {
                json!({
                    "recipe": 1,
                    "name": "bench",
                    "hw": "hw.yaml",
                    "workload": { "kind": "collective", "collective": "all_reduce", "ranks": 8, "size": 1 },
                    "policy": policy,
                    "sweep": sweep,
                })
            };
            let grid =
                json!({ "workload.size": sizes, "hw.network.dimensions.0.topology.bandwidth": bandwidths });
            let store = scratch.path().join(format!("store-{round}"));
            let build = |sweep, steps: &str| {
                std::fs::write(scratch.path().join("recipe.json"), recipe(sweep).to_string()).unwrap();
                let mut build = Command::new(env!("CARGO_BIN_EXE_astra-store"));
                build.current_dir(scratch.path()).arg("--store").arg(&store).args(["build", "recipe.json"]);
                let started = Instant::now();
                let output = build.output().unwrap();
                let took = started.elapsed();
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(said.contains(steps), "{said}");
                took
            };
            first[index] = build(json!({}), "5 executed").min(first[index]);
            least[index] = build(json!({ "grid": grid }), "10400 executed").min(least[index]);
            std::fs::remove_dir_all(&store).unwrap();
        }
    }
    let megabytes = std::fs::metadata(library_file()).unwrap().len() as f64 / 1e6;
    println!(
        "building one point in a new store, least of 8: {:.0} ms; with a library of {megabytes:.1} MB: {:.0} ms",
        1e3 * first[0].as_secs_f64(),
        1e3 * first[3].as_secs_f64()
    );
    for ((what, _), took) in policies.iter().zip(least) {
        let ratio = took.as_secs_f64() / least[0].as_secs_f64();
        println!("{what:<30} {:>12.0} ms   {:>+5.1} %", 1e3 * took.as_secs_f64(), 100.0 * (ratio - 1.0));
    }
}

fn report(what: &str, rate: f64, of: &str, peer: f64) {
    println!("{what:<30} {rate:>12.0} /s   {:>5.1} % {of}", 100.0 * rate / peer);
}

/// The sample questions for which the policy has an answer.
fn decided() -> Vec<Request> {
    let mut session = open(Source::Shipped(SHIPPED[0]), Isolation::InProcess);
    sample_questions().into_iter().filter(|q| session.ask(std::slice::from_ref(q)).is_ok()).collect()
}

fn open(source: Source, isolation: Isolation) -> Session {
    Session::open(source, "", isolation, Limits::default()).unwrap()
}

/// The policy as a plugin, built as this benchmark is.
fn library() -> Source {
    let bytes = std::fs::read(library_file()).unwrap();
    Source::Library { name: "libtopology.so".to_owned(), bytes: bytes.into() }
}

fn library_file() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("standalone");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--release", "--offline", "--quiet", "-p", "astra-policy-topology"]);
    cargo.args(["--example", "topology", "--target-dir"]).arg(&target);
    assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
    target.join("release/examples/libtopology.so")
}

fn all_at_once(session: &mut Session, questions: &[Request]) -> f64 {
    rate(questions.len(), || {
        black_box(session.ask(questions).unwrap());
    })
}

/// The best of five runs, as things per second.
fn rate(things: usize, mut run: impl FnMut()) -> f64 {
    let best = (0..5).map(|_| {
        let started = Instant::now();
        run();
        started.elapsed()
    });
    things as f64 / best.min().unwrap_or(Duration::MAX).as_secs_f64()
}

fn cat_round_trips(count: usize) {
    let mut cat = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut to, mut from) = (cat.stdin.take().unwrap(), cat.stdout.take().unwrap());
    for _ in 0..count {
        let mut byte = [7];
        to.write_all(&byte).unwrap();
        from.read_exact(&mut byte).unwrap();
    }
    drop(to);
    cat.wait().unwrap();
}

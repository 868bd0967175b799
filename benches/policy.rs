//! Decisions per second: a policy in its helper process, loaded into this one, and linked in.
//!
//! Peers in the same run: for a single question a byte through `cat` and back, which no process on two pipes can beat; for
//! the others the linked-in policy, which needs no interface at all.
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
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("standalone");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--release", "--offline", "--quiet", "-p", "astra-policy-topology"]);
    cargo.args(["--example", "topology", "--target-dir"]).arg(&target);
    assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
    let bytes = std::fs::read(target.join("release/examples/libtopology.so")).unwrap();
    Source::Library { name: "libtopology.so".to_owned(), bytes: bytes.into() }
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

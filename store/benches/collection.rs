//! Collection of a large store, opening after a kill, two writers against one. Prints figures.
//!
//! `cargo bench -p artifact-store --bench collection [-- DIRECTORY [BLOBS]]`: the stores are made below the directory, the
//! system's temporary one if none is given; with a million blobs if no number is.

use artifact_store::{
    ActionKey, ActionRecord, Blob, Closure, GcPolicy, NewAction, Options, Output, OutputKind, Provenance,
    Publication, Root, Store,
};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const AT_ONCE: GcPolicy =
    GcPolicy { grace: Duration::ZERO, keep_last: NonZeroUsize::MIN, older_than: None, max_bytes: None };

/// Plays a part in another process: what, and the directory of the store.
const PART: &str = "STORE_BENCH_PART";

fn main() -> Outcome {
    if let Ok(part) = std::env::var(PART) {
        let (part, directory) = part.split_once(' ').ok_or("no directory")?;
        return match part {
            "collect" => collect(Path::new(directory)),
            "write" => write_until_killed(Path::new(directory)),
            writer => write_a_share(Path::new(directory), writer.parse()?),
        };
    }
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let directory = arguments.next().map_or_else(std::env::temp_dir, Into::into);
    let blobs = arguments.next().map_or(Ok(1_000_000), |number| number.parse())?;
    let scratch = tempfile::Builder::new().prefix("store-bench").tempdir_in(directory)?;
    collection(&scratch.path().join("collection"), blobs)?;
    open_after_kill(&scratch.path().join("killed"))?;
    two_writers(scratch.path())
}

fn start(part: &str, directory: &Path) -> Outcome<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env(PART, format!("{part} {}", directory.display()));
    Ok(command)
}

fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut noise = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut noise);
    noise
}

/// A step with three small outputs.
fn step(number: u64) -> Publication {
    let blobs: Vec<Blob> = (0..3).map(|n| Blob::new(bytes(100, 3 * number + n))).collect();
    let outputs = blobs.iter().enumerate().map(|(i, blob)| {
        (i.to_string(), Output { digest: blob.digest(), len: blob.len(), kind: OutputKind::Blob })
    });
    let record = ActionRecord { outputs: outputs.collect() };
    let action = NewAction::new(format!("step {number}").into_bytes(), record, Provenance::default());
    Publication { blobs, action: Some(action), ..Publication::default() }
}

/// Half of the steps belong to builds of a thousand steps that have roots; the others belong to nobody.
fn collection(directory: &Path, blobs: u64) -> Outcome {
    let store = Store::open(directory, &Options::default())?;
    let steps = blobs / 3;
    let mut keys: Vec<ActionKey> = Vec::new();
    for number in 0..steps {
        let step = step(number);
        if number % 2 == 0 {
            keys.extend(step.action.as_ref().map(|action| *action.key()));
        }
        store.publish(step);
        if keys.len() == 1000 || number + 1 == steps {
            let closure = Blob::new(Closure::new(std::mem::take(&mut keys), vec![]).encode());
            let root = Root::now(closure.digest(), OutputKind::Closure);
            let roots = vec![(format!("build/{number}"), root)];
            store.publish(Publication { blobs: vec![closure], roots, ..Publication::default() });
        }
    }
    store.flush()?;
    println!("a store of {} blobs in {steps} records, half of them dead:", store.stats()?.blobs);
    drop(store);
    // In a process of its own, whose memory is its own.
    start("collect", directory)?.status()?.success().then_some(()).ok_or("the collection failed")?;
    Ok(())
}

fn collect(directory: &Path) -> Outcome {
    let store = Store::open(directory, &Options::default())?;
    let (planning, plan) = timed(|| Ok(store.plan_collection(&AT_ONCE)?))?;
    let planned = processor();
    let (collecting, report) = timed(|| Ok(store.collect(plan)?))?;
    println!(
        "  planned in {:.2} s ({planned:.2} s of processor); {} blobs and {} records deleted in {:.2} s ({:.2} s of processor) \
         in {} changes, the longest {:.0} ms; peak memory {}",
        planning.as_secs_f64(),
        report.removed.blobs.count,
        report.removed.actions.count,
        collecting.as_secs_f64(),
        processor() - planned,
        report.changes,
        report.longest_change.as_secs_f64() * 1e3,
        peak_memory(),
    );
    let (again, report) = timed(|| Ok(store.collect(store.plan_collection(&AT_ONCE)?)?))?;
    println!(
        "  again, with nothing to do: {:.2} s, {} deleted",
        again.as_secs_f64(),
        report.removed.blobs.count
    );
    let keys =
        (0..10_000).step_by(2).map(|number| ActionKey::of_preimage(format!("step {number}").as_bytes()));
    let keys: Vec<ActionKey> = keys.collect();
    let hits = || -> Outcome<f64> {
        let before = processor();
        keys.iter().try_for_each(|key| -> Outcome {
            store.hit(key)?.map(drop).ok_or("a step is gone")?;
            Ok(())
        })?;
        Ok((processor() - before) * 1e6 / keys.len() as f64)
    };
    let (_, without) = (hits()?, hits()?);
    let session = store.session()?;
    let (first, again) = (hits()?, hits()?);
    println!(
        "  a hit, in µs of processor: {without:.0} without a lease, {first:.0} when leased, {again:.0} when leased before"
    );
    drop(session);
    drop(store);
    let (compacting, done) = timed(|| Ok(Store::compact(directory, &Options::default())?))?;
    println!("  compacted in {:.2} s: {done:?}", compacting.as_secs_f64());
    Ok(())
}

/// Processor time of this process so far, all threads, where the system tells: what a machine that others use does not
/// distort.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    // A tick is 10 ms on every system that has this file.
    ticks.sum::<f64>() / 100.0
}

/// The most memory this process has had, where the system tells.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |value| value.trim().to_owned())
}

fn write_until_killed(directory: &Path) -> Outcome {
    let store = Store::open(directory, &Options::default())?;
    for number in 0u64.. {
        store.publish(Publication {
            blobs: vec![Blob::new(bytes(1 << 20, number))],
            ..Publication::default()
        });
        if number == 1000 {
            store.flush()?;
            println!("full");
        }
    }
    Ok(())
}

fn open_after_kill(directory: &Path) -> Outcome {
    let mut writer = start("write", directory)?.stdout(Stdio::piped()).spawn()?;
    let mut full = [0; 5];
    std::io::Read::read_exact(writer.stdout.as_mut().ok_or("no output")?, &mut full)?;
    std::thread::sleep(Duration::from_millis(300));
    writer.kill()?;
    writer.wait()?;
    let size = std::fs::metadata(directory.join("store.redb"))?.len() as f64 / 1e9;
    let (took, store) = timed(|| Ok(Store::open(directory, &Options::default())?))?;
    println!(
        "a store of {size:.1} GB, opened after its writer was killed: {:.1} ms",
        took.as_secs_f64() * 1e3
    );
    drop(store);
    Ok(())
}

const STEPS: u64 = 20_000;

fn write_a_share(directory: &Path, writer: u64) -> Outcome {
    let store = Store::open(directory, &Options::default())?;
    let _session = store.session()?;
    for number in 0..STEPS {
        let step = step((writer << 32) + number);
        let key = *step.action.as_ref().ok_or("a step without action")?.key();
        if store.hit(&key)?.is_none() {
            let claim = store.claim(&key)?;
            store.publish(Publication { claim, ..step });
        }
    }
    Ok(store.flush()?)
}

fn two_writers(scratch: &Path) -> Outcome {
    let rate = |name: &str, writers: u64| -> Outcome<f64> {
        let directory = scratch.join(name);
        drop(Store::open(&directory, &Options::default())?);
        let (took, ()) = timed(|| {
            let children = (0..writers).map(|n| Ok(start(&n.to_string(), &directory)?.spawn()?));
            for mut child in children.collect::<Outcome<Vec<_>>>()? {
                child.wait()?.success().then_some(()).ok_or("a writer failed")?;
            }
            Ok(())
        })?;
        Ok((writers * STEPS) as f64 / took.as_secs_f64())
    };
    let (one, two) = (rate("one", 1)?, rate("two", 2)?);
    println!(
        "steps of three small outputs, looked up, claimed and published: one process {one:.0}/s, two {two:.0}/s"
    );
    Ok(())
}

fn timed<T>(run: impl FnOnce() -> Outcome<T>) -> Outcome<(Duration, T)> {
    let start = Instant::now();
    let value = run()?;
    Ok((start.elapsed(), value))
}

//! How fast blobs go in and out, next to hashing and compressing alone and to a plain file; how fast small steps are published;
//! how fast membership is asked. Prints tables.
//!
//! `cargo bench -p artifact-store --bench blobs [-- DIRECTORY]`: the store and the plain files are made below the
//! directory, the system's temporary one if none is given.

use artifact_store::{
    ActionRecord, Blob, Closure, Digest, NewAction, Options, Output, OutputKind, Provenance, Publication,
    Store,
};
use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let directory = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let directory = directory.map_or_else(std::env::temp_dir, Into::into);
    let scratch = tempfile::Builder::new().prefix("store-bench").tempdir_in(directory)?;
    blobs(scratch.path())?;
    small_steps(scratch.path())?;
    membership(scratch.path())?;
    Ok(())
}

/// Bytes that cannot be compressed, or that compress like text of numbers does.
fn bytes(len: usize, seed: u64, compressible: bool) -> Vec<u8> {
    let mut noise = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut noise);
    if compressible {
        noise.iter_mut().for_each(|byte| *byte = b"0123456789abcdef"[usize::from(*byte % 16)]);
    }
    noise
}

fn blobs(scratch: &Path) -> Outcome {
    println!(
        "MB/s (10^6 bytes); put: until committed, in one run of publications; get: a freshly opened store"
    );
    println!(
        "{:>9} {:>6} {:>5} | {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} | {:>10} {:>10} {:>8}",
        "size",
        "count",
        "kind",
        "blake3",
        "b3+zstd",
        "put",
        "get",
        "write",
        "read",
        "put/b3+z",
        "put/write",
        "disk"
    );
    for (size, count) in
        [(64, 20_000), (4 << 10, 10_000), (64 << 10, 1_000), (1 << 20, 100), (16 << 20, 8), (64 << 20, 3)]
    {
        for compressible in [false, true] {
            blob_row(scratch, size, count, compressible)?;
        }
    }
    Ok(())
}

fn blob_row(scratch: &Path, size: usize, count: u64, compressible: bool) -> Outcome {
    let contents: Vec<Arc<[u8]>> = (0..count).map(|seed| bytes(size, seed, compressible).into()).collect();
    let total = size as f64 * count as f64 / 1e6;
    let rate = |took: Duration| total / took.as_secs_f64();
    let place = tempfile::tempdir_in(scratch)?;

    let (hash, digests) = timed(|| Ok(contents.iter().map(|c| Digest::of(c)).collect::<Vec<_>>()))?;
    let (press, ()) = timed(|| {
        let (mut compressor, mut room) = (zstd::bulk::Compressor::new(1)?, vec![0; size]);
        for content in &contents {
            black_box(Digest::of(content));
            // As the store does: no room means that it does not pay.
            let _ = black_box(compressor.compress_to_buffer(content, &mut room[..size / 10 * 9]));
        }
        Ok(())
    })?;
    let store_directory = place.path().join("store");
    let store = Store::open(&store_directory, &Options::default())?;
    let (put, ()) = timed(|| {
        for content in &contents {
            store.publish(Publication {
                blobs: vec![Blob::new(Arc::clone(content))],
                ..Publication::default()
            });
        }
        Ok(store.flush()?)
    })?;
    // Closing gives back what the file has grown too far.
    drop(store);
    let disk_bytes = disk_bytes(&store_directory.join("store.redb"))? as f64 / 1e6;
    let store = Store::open(&store_directory, &Options::default())?;
    let (get, ()) = timed(|| {
        digests.iter().try_for_each(|digest| {
            let found = store.get(digest)?.ok_or("a blob is gone")?;
            if found.len() == size { Ok(()) } else { Err("a blob has another length".into()) }
        })
    })?;
    let (write, read) = plain_files(place.path(), &contents)?;
    println!(
        "{size:>9} {count:>6} {:>5} | {:>8.1} {:>8.1} {:>8.1} {:>8.1} {:>8.1} {:>8.1} | {:>9.0}% {:>9.2}x {:>7.2}x",
        if compressible { "text" } else { "noise" },
        rate(hash),
        rate(press),
        rate(put),
        rate(get),
        rate(write),
        rate(read),
        100.0 * press.as_secs_f64() / put.as_secs_f64(),
        write.as_secs_f64() / put.as_secs_f64(),
        disk_bytes / total,
    );
    Ok(())
}

/// What a file takes on disk; it may have holes.
#[cfg(unix)]
fn disk_bytes(file: &Path) -> Outcome<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(file.metadata()?.blocks() * 512)
}

/// What a file takes on disk, as far as this system tells.
#[cfg(not(unix))]
fn disk_bytes(file: &Path) -> Outcome<u64> {
    Ok(file.metadata()?.len())
}

/// One file each, synced; read back through the system's cache.
fn plain_files(place: &Path, contents: &[Arc<[u8]>]) -> Outcome<(Duration, Duration)> {
    // Syncing thousands of files takes minutes and tells no more than a few hundred do.
    let some = &contents[..contents.len().min(500)];
    let scale = contents.len() as f64 / some.len() as f64;
    let name = |i: usize| place.join(format!("plain-{i}"));
    let (write, ()) = timed(|| {
        for (i, content) in some.iter().enumerate() {
            let mut file = File::create(name(i))?;
            file.write_all(content)?;
            file.sync_all()?;
        }
        Ok(())
    })?;
    let (read, ()) = timed(|| {
        for i in 0..some.len() {
            File::open(name(i))?.read_to_end(&mut Vec::new())?;
        }
        Ok(())
    })?;
    Ok((write.mul_f64(scale), read.mul_f64(scale)))
}

fn small_steps(scratch: &Path) -> Outcome {
    let store = Store::open(scratch.join("steps"), &Options::default())?;
    let count = 10_000u32;
    let mut keys = Vec::new();
    let (took, ()) = timed(|| {
        for i in 0..count {
            let blobs = [0u8, 1, 2]
                .map(|n| Blob::new(format!("output {n} of step {i}, a few words long").into_bytes()));
            let outputs = blobs.iter().zip(["a", "b", "c"]).map(|(blob, name)| {
                (name.to_owned(), Output { digest: blob.digest(), len: blob.len(), kind: OutputKind::Blob })
            });
            let record = ActionRecord { outputs: outputs.collect() };
            let preimage = format!("step {i}: {}", "parameter=value ".repeat(20)).into_bytes();
            let provenance = Provenance {
                finished_unix_ms: 1,
                duration_us: 1,
                host: "here".to_owned(),
                ..Default::default()
            };
            let action = NewAction::new(preimage, record, provenance);
            keys.push(*action.key());
            let claim = store.claim(action.key())?;
            let publication =
                Publication { blobs: blobs.into(), action: Some(action), claim, ..Publication::default() };
            store.publish(publication);
        }
        Ok(store.flush()?)
    })?;
    println!(
        "\n{count} steps of three small outputs, claimed and published: {:.0} steps/s",
        rate(count, took)
    );
    let (took, ()) = timed(|| {
        keys.iter().try_for_each(|key| store.hit(key)?.map(drop).ok_or_else(|| "a step is gone".into()))
    })?;
    println!("{count} hits: {:.0} hits/s", rate(count, took));

    let closure = Blob::new(Closure::new(keys, vec![]).encode());
    let output = Output { digest: closure.digest(), len: closure.len(), kind: OutputKind::Closure };
    let record = ActionRecord { outputs: [("all".to_owned(), output)].into() };
    let action = NewAction::new(b"everything".to_vec(), record, Provenance::default());
    let key = *action.key();
    let publication = Publication { blobs: vec![closure], action: Some(action), ..Publication::default() };
    let (publish, ()) = timed(|| Ok(store.publish(publication).wait()?))?;
    // Dropping waits for the look that follows the commit.
    let (look, ()) = timed(|| {
        drop(store);
        Ok(())
    })?;
    let (open, store) = timed(|| Ok(Store::open(scratch.join("steps"), &Options::default())?))?;
    let (hit, found) = timed(|| Ok(store.hit(&key)?))?;
    found.ok_or("the closure is gone")?;
    println!(
        "a closure of {count} steps: published in {:.1} ms, looked through and closed in {:.1} ms; opened in {:.2} ms, \
         hit in {:.3} ms",
        milliseconds(publish),
        milliseconds(look),
        milliseconds(open),
        milliseconds(hit),
    );
    Ok(())
}

fn membership(scratch: &Path) -> Outcome {
    let store = Store::open(scratch.join("membership"), &Options::default())?;
    let count = 50_000u32;
    let blobs: Vec<Blob> = (0..count).map(|i| Blob::new(i.to_le_bytes().to_vec())).collect();
    let digests: Vec<Digest> = blobs.iter().map(Blob::digest).collect();
    store.publish(Publication { blobs, ..Publication::default() }).wait()?;
    let (took, missing) = timed(|| Ok(store.missing(&digests)?))?;
    println!(
        "{count} blobs asked for at once: {:.1} ms, {} missing",
        took.as_secs_f64() * 1e3,
        missing.len()
    );
    Ok(())
}

fn rate(count: u32, took: Duration) -> f64 {
    f64::from(count) / took.as_secs_f64()
}

fn milliseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

fn timed<T>(run: impl FnOnce() -> Outcome<T>) -> Outcome<(Duration, T)> {
    let start = Instant::now();
    let value = run()?;
    Ok((start.elapsed(), value))
}

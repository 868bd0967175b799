//! How fast blobs go in and out, next to hashing and compressing alone and to a plain file; how fast small steps are published;
//! how fast membership is asked. Prints tables.
//!
//! `cargo bench -p artifact-store --bench blobs [-- DIRECTORY [BYTES]]`: the store and the plain files are made below the
//! directory, the system's temporary one if none is given; blobs of at most so many bytes, up to 1 GiB, which takes 4 GB of
//! memory.

use artifact_store::{
    ActionRecord, Blob, Closure, Depth, Digest, NewAction, Options, Output, OutputKind, Provenance,
    Publication, SharedBytes, Store,
};
use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let directory = arguments.next().map_or_else(std::env::temp_dir, Into::into);
    let most = arguments.next().map_or(Ok(1 << 30), |size| size.parse())?;
    let scratch = tempfile::Builder::new().prefix("store-bench").tempdir_in(directory)?;
    blobs(scratch.path(), most)?;
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

fn blobs(scratch: &Path, most: usize) -> Outcome {
    println!(
        "MB/s (10^6 bytes). blake3, b3+zstd: alone, on one core. put: until committed, in one run of publications. get, verify: \
         a freshly opened store.\nwrite, read: a file each, synced. disk: the part of put that writing and syncing what is \
         stored takes as one file. size: of the compacted file, of what zstd\nmakes of each blob alone."
    );
    println!(
        "{:>10} {:>6} {:>5} | {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} | {:>8} {:>9} {:>5} {:>6}",
        "size",
        "count",
        "kind",
        "blake3",
        "b3+zstd",
        "put",
        "get",
        "verify",
        "write",
        "read",
        "put/b3+z",
        "put/write",
        "disk",
        "size"
    );
    let sizes = [
        (100, 20_000),
        (4 << 10, 10_000),
        (64 << 10, 1_000),
        (1 << 20, 100),
        (16 << 20, 8),
        (128 << 20, 2),
        (1 << 30, 1),
    ];
    for (size, count) in sizes.into_iter().filter(|(size, _)| *size <= most) {
        for compressible in [false, true] {
            blob_row(scratch, size, count, compressible)?;
        }
    }
    Ok(())
}

fn blob_row(scratch: &Path, size: usize, count: u64, compressible: bool) -> Outcome {
    let contents: Vec<SharedBytes> = (0..count).map(|seed| bytes(size, seed, compressible).into()).collect();
    let total = size as f64 * count as f64 / 1e6;
    let rate = |took: Duration| total / took.as_secs_f64();
    let place = tempfile::tempdir_in(scratch)?;

    let (hash, digests) = timed(|| Ok(contents.iter().map(|c| Digest::of(c)).collect::<Vec<_>>()))?;
    let (press, compressed) = timed(|| hash_and_compress(&contents, size))?;
    let directory = place.path().join("store");
    let store = Store::open(&directory, &Options::default())?;
    let (put, ()) = timed(|| {
        for content in &contents {
            let blobs = vec![Blob::new(content.clone())];
            store.publish(Publication { blobs, ..Publication::default() });
        }
        Ok(store.flush()?)
    })?;
    let stored = usize::try_from(store.stats()?.stored_bytes)?;
    drop(store);
    let store = Store::open(&directory, &Options::default())?;
    let (get, ()) = timed(|| {
        digests.iter().try_for_each(|digest| {
            let found = store.get(digest)?.ok_or("a blob is gone")?;
            if found.len() == size { Ok(()) } else { Err("a blob has another length".into()) }
        })
    })?;
    drop(store);
    let store = Store::open(&directory, &Options::default())?;
    let (verify, found) = timed(|| Ok(store.verify(Depth::Full)?))?;
    found.findings.is_empty().then_some(()).ok_or("something is wrong with the store")?;
    drop(store);
    Store::compact(&directory, &Options::default())?;
    let file = directory.join("store.redb").metadata()?.len();
    let one_file = one_file(place.path(), &contents, stored)?;
    let (write, read) = plain_files(place.path(), &contents)?;
    println!(
        "{size:>10} {count:>6} {:>5} | {:>7.1} {:>7.1} {:>7.1} {:>7.1} {:>7.1} {:>7.1} {:>7.1} | {:>7.0}% {:>8.2}x {:>4.0}% {:>5.2}x",
        if compressible { "text" } else { "noise" },
        rate(hash),
        rate(press),
        rate(put),
        rate(get),
        rate(verify),
        rate(write),
        rate(read),
        100.0 * press.as_secs_f64() / put.as_secs_f64(),
        write.as_secs_f64() / put.as_secs_f64(),
        100.0 * one_file.as_secs_f64() / put.as_secs_f64(),
        file as f64 / compressed as f64,
    );
    Ok(())
}

/// Does what has to be done with each blob; gives how long what is worth keeping is.
fn hash_and_compress(contents: &[SharedBytes], size: usize) -> Outcome<usize> {
    let (mut compressor, mut room) =
        (zstd::bulk::Compressor::new(1)?, vec![0; zstd::zstd_safe::compress_bound(size)]);
    let mut kept = 0;
    for content in contents {
        black_box(Digest::of(content));
        let len = black_box(compressor.compress_to_buffer(content, &mut room)?);
        kept += len.min(size);
    }
    Ok(kept)
}

/// How long it takes to write and sync so many bytes of the contents as one file.
fn one_file(place: &Path, contents: &[SharedBytes], len: usize) -> Outcome<Duration> {
    let (took, ()) = timed(|| {
        let mut file = File::create(place.join("one"))?;
        let mut left = len;
        for content in contents {
            let part = &content[..content.len().min(left)];
            file.write_all(part)?;
            left -= part.len();
        }
        Ok(file.sync_all()?)
    })?;
    Ok(took)
}

/// One file each, synced; read back through the system's cache.
fn plain_files(place: &Path, contents: &[SharedBytes]) -> Outcome<(Duration, Duration)> {
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

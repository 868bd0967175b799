//! What directories of files take in a store, beside the files and beside a tar of them that zstd has compressed. Prints a
//! table.
//!
//! `cargo bench -p artifact-store --bench bundles [-- DIRECTORY…]`: every directory below these that has files is a bundle,
//! published as a tree; without one, the examples of ASTRA-sim beside the checkout, if they are there.

use artifact_store::{Blob, Compaction, Options, Publication, Store, Tree, TreeEntry};
use std::path::{Path, PathBuf};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Files by name.
type Files = Vec<(String, Vec<u8>)>;

fn main() -> Outcome {
    let mut roots: Vec<PathBuf> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).map(Into::into).collect();
    if roots.is_empty() {
        let examples =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/ref/astra-sim-examples/workload");
        if !examples.is_dir() {
            eprintln!("SKIPPED: {} is not there; name a directory with traces", examples.display());
            return Ok(());
        }
        let kinds = ["all_gather", "all_reduce", "all_to_all", "reduce_scatter"];
        roots.extend(kinds.map(|kind| examples.join(kind)));
    }
    let mut bundles = Vec::new();
    roots.iter().try_for_each(|root| find(root, &mut bundles))?;
    println!(
        "{:>44} {:>6} {:>10} {:>10} {:>10} {:>12}",
        "bundle", "files", "raw", "tar", "tar, zstd", "new in store"
    );
    let scratch = tempfile::tempdir()?;
    let directory = scratch.path().join("store");
    let store = Store::open(&directory, &Options::default())?;
    let mut sum = [0; 4];
    for (name, files) in &bundles {
        let raw: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
        let archive = tar(files);
        let compressed = zstd::bulk::compress(&archive, 3)?.len();
        let before = store.stats()?.stored_bytes;
        publish(&store, files)?;
        let stored = usize::try_from(store.stats()?.stored_bytes - before)?;
        println!(
            "{name:>44} {:>6} {raw:>10} {:>10} {compressed:>10} {stored:>12}",
            files.len(),
            archive.len()
        );
        let row = [raw, archive.len(), compressed, stored];
        sum.iter_mut().zip(row).for_each(|(sum, part)| *sum += part);
    }
    println!("{:>44} {:>6} {:>10} {:>10} {:>10} {:>12}", "all", "", sum[0], sum[1], sum[2], sum[3]);
    drop(store);
    if let Compaction::Done { after, .. } = Store::compact(&directory, &Options::default())? {
        println!("the whole file of the store, with its tables and free pages: {after} bytes");
    }
    Ok(())
}

fn find(directory: &Path, bundles: &mut Vec<(String, Files)>) -> Outcome {
    let mut files = Files::new();
    let mut entries = std::fs::read_dir(directory)?.collect::<std::io::Result<Vec<_>>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        match entry.file_type()?.is_dir() {
            true => find(&entry.path(), bundles)?,
            false => {
                files.push((entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path())?))
            }
        }
    }
    if !files.is_empty() {
        let name = directory.iter().rev().take(2).collect::<Vec<_>>();
        let name = name.iter().rev().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
        bundles.push((name, files));
    }
    Ok(())
}

fn publish(store: &Store, files: &Files) -> Outcome {
    let blobs: Vec<Blob> = files.iter().map(|(_, bytes)| Blob::new(&bytes[..])).collect();
    let entry = |((name, _), blob): (&(String, Vec<u8>), &Blob)| TreeEntry {
        name: name.clone(),
        digest: blob.digest(),
        len: blob.len(),
    };
    let tree = Blob::new(Tree::new(files.iter().zip(&blobs).map(entry).collect())?.encode());
    let blobs = blobs.into_iter().chain([tree]).collect();
    Ok(store.publish(Publication { blobs, ..Publication::default() }).wait()?)
}

/// As long as a tar of these files, and as compressible: a header of 512 bytes each, and content in blocks of 512 bytes.
fn tar(files: &Files) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, bytes) in files {
        let mut header = [0; 512];
        let name = &name.as_bytes()[..name.len().min(100)];
        header[..name.len()].copy_from_slice(name);
        header[100..124].copy_from_slice(b"0000644\x000000000\x000000000\0");
        header[124..136].copy_from_slice(format!("{:011o}\0", bytes.len()).as_bytes());
        header[257..265].copy_from_slice(b"ustar\x0000");
        archive.extend_from_slice(&header);
        archive.extend_from_slice(bytes);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

//! How fast stores travel: push, pull and a push of nothing through a directory, export and import of a bundle, next to
//! plain files and `tar` in the same run. Prints tables, and how many system calls a tenth of it takes per blob.
//!
//! `cargo bench -p artifact-store --bench sharing [-- DIRECTORY [small|text|noise]]`: everything is made below the
//! directory, the system's temporary one if none is given. Takes about 6 GB there.

mod system_calls;

use artifact_store::bundle::{ExportOptions, ImportOptions, export, import};
use artifact_store::remote::{DirectoryRemote, PullOptions, PushOptions, Selection, pull, push};
use artifact_store::{
    ActionKey, ActionRecord, Blob, Closure, NewAction, Options, Output, OutputKind, Provenance, Publication,
    Root, Store,
};
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).peekable();
    if arguments.next_if(|first| first == system_calls::COUNTED).is_some() {
        let (way, directory) = (arguments.next().unwrap_or_default(), arguments.next().unwrap_or_default());
        return system_calls::move_once(&way, Path::new(&directory));
    }
    let directory = arguments.next().map_or_else(std::env::temp_dir, Into::into);
    let only = arguments.next();
    println!(
        "MB/s of 10^6 bytes, not compressed; everything is on disk when the clock stops, except what tar and cp write"
    );
    let all = [("small", Workload::SMALL), ("text", Workload::LARGE_TEXT), ("noise", Workload::LARGE_NOISE)];
    for (_, workload) in all.into_iter().filter(|(word, _)| only.as_ref().is_none_or(|only| only == word)) {
        let scratch = tempfile::Builder::new().prefix("sharing-bench").tempdir_in(&directory)?;
        workload.run(scratch.path())?;
    }
    Ok(())
}

/// Steps of some blobs each, and a list of them all.
struct Workload {
    name: &'static str,
    steps: u32,
    blobs_per_step: u32,
    blob_bytes: usize,
    compressible: bool,
}

impl Workload {
    const SMALL: Self = Self {
        name: "10^5 blobs of 300 bytes of text",
        steps: 20_000,
        blobs_per_step: 5,
        blob_bytes: 300,
        compressible: true,
    };
    const LARGE_TEXT: Self = Self {
        name: "1 GB in blobs of 8 MiB of text",
        steps: 128,
        blobs_per_step: 1,
        blob_bytes: 8 << 20,
        compressible: true,
    };
    const LARGE_NOISE: Self =
        Self { name: "1 GB in blobs of 8 MiB of noise", compressible: false, ..Self::LARGE_TEXT };

    fn run(&self, scratch: &Path) -> Outcome {
        let count = self.steps * self.blobs_per_step;
        println!("\n{}", self.name);
        let store = Store::open(scratch.join("store"), &Options::default())?;
        let (took, top) = timed(|| self.build(&store))?;
        self.row("build", took, None);
        let (took, ()) = timed(|| self.plain_files(&scratch.join("files")))?;
        self.row("the same as plain files", took, None);
        let plain = took;

        let remote = DirectoryRemote::create(scratch.join("remote"))?;
        let all = Selection::everything(&store)?;
        let options = PushOptions::default();
        let (took, report) = timed(|| Ok(push(&store, &all, &remote, &options, &mut |_| {})?))?;
        expect(report.blobs > u64::from(count) && report.left_out.is_empty(), "the push was not whole")?;
        self.row("push", took, Some(("plain files", plain)));
        for (what, selection) in
            [("the root", Selection::roots(&store, &["bench"])?), ("everything", all.clone())]
        {
            let (took, report) = timed(|| Ok(push(&store, &selection, &remote, &options, &mut |_| {})?))?;
            expect(report.blobs + report.actions == 0, "a second push moved something")?;
            println!("    push of nothing, {what:10} {:>9.1} ms", milliseconds(took));
        }
        let (took, report) = timed(|| {
            let options = PushOptions { recheck: true, ..PushOptions::default() };
            Ok(push(&store, &all, &remote, &options, &mut |_| {})?)
        })?;
        expect(report.blobs + report.actions == 0, "a second push moved something")?;
        println!("    push of nothing, rechecking everything {:>6.1} ms", milliseconds(took));

        let pulled = Store::open(scratch.join("pulled"), &Options::default())?;
        let selection = Selection::actions([top]);
        let (took, report) =
            timed(|| Ok(pull(&pulled, &selection, &remote, &PullOptions::default(), &mut |_| {})?))?;
        expect(report.blobs > u64::from(count) && pulled.hit(&top)?.is_some(), "the pull was not whole")?;
        let (copy, ()) = timed(|| copy(&scratch.join("remote"), &scratch.join("copy")))?;
        self.row("pull", took, Some(("cp -r of the remote", copy)));
        let (took, _) =
            timed(|| Ok(pull(&pulled, &selection, &remote, &PullOptions::default(), &mut |_| {})?))?;
        println!("    pull of nothing             {:>9.1} ms", milliseconds(took));
        drop(pulled);
        std::fs::remove_dir_all(scratch.join("copy"))?;
        self.bundle(scratch, &store, &all)?;
        self.system_calls(scratch)
    }

    /// Counted with a tenth of it: counting takes longer than what is counted.
    fn system_calls(&self, scratch: &Path) -> Outcome {
        let tenth = Self { steps: self.steps / 10, ..*self };
        let directory = scratch.join("counted");
        tenth.build(&Store::open(directory.join("store"), &Options::default())?)?;
        tenth.plain_files(&directory.join("files"))?;
        let archive = directory.join("archive.tar");
        run("tar", &["-cf", &archive.to_string_lossy(), "files"], &directory)?;
        system_calls::print(&directory, tenth.steps * tenth.blobs_per_step, &archive)
    }

    fn bundle(&self, scratch: &Path, store: &Store, all: &Selection) -> Outcome {
        let path = scratch.join("bundle");
        let (took, ()) = timed(|| {
            let mut out = BufWriter::new(File::create(&path)?);
            export(store, all, &mut out, &ExportOptions::default(), &mut |_| {})?;
            out.flush()?;
            Ok(out.get_ref().sync_all()?)
        })?;
        let archive = scratch.join("archive.tar");
        let tar = |arguments: &[&str], directory: &Path| timed(|| run("tar", arguments, directory));
        let archive_name = archive.to_string_lossy().into_owned();
        let (made, ()) = tar(&["-cf", &archive_name, "files"], scratch)?;
        self.row("export", took, Some(("tar -c of the plain files", made)));
        let imported = Store::open(scratch.join("imported"), &Options::default())?;
        let (took, report) = timed(|| {
            let input = BufReader::new(File::open(&path)?);
            Ok(import(&imported, input, &ImportOptions::default(), &mut |_| {})?)
        })?;
        expect(report.actions == u64::from(self.steps) + 1, "the import was not whole")?;
        std::fs::create_dir(scratch.join("extracted"))?;
        let (extracted, ()) = tar(&["-xf", &archive_name], &scratch.join("extracted"))?;
        self.row("import", took, Some(("tar -x", extracted)));
        let [bundle, archive] = [&path, &archive].map(|path| path.metadata().map(|m| m.len() as f64 / 1e6));
        println!("    the bundle has {:.1} MB, the archive {:.1} MB", bundle?, archive?);
        Ok(())
    }

    fn row(&self, what: &str, took: Duration, next_to: Option<(&str, Duration)>) {
        let blobs = f64::from(self.steps) * f64::from(self.blobs_per_step);
        let megabytes = blobs * self.blob_bytes as f64 / 1e6;
        let seconds = took.as_secs_f64();
        print!(
            "    {what:24} {seconds:>7.2} s  {:>8.1} MB/s  {:>9.0} blobs/s",
            megabytes / seconds,
            blobs / seconds
        );
        match next_to {
            Some((peer, other)) => println!("  {:.2}x the time of {peer}", seconds / other.as_secs_f64()),
            None => println!(),
        }
    }

    fn content(&self, number: u32) -> Vec<u8> {
        let mut bytes = vec![0; self.blob_bytes];
        blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut bytes);
        if self.compressible {
            bytes.iter_mut().for_each(|byte| *byte = b"0123456789abcdef"[usize::from(*byte % 16)]);
        }
        bytes
    }

    /// Fills a store; gives the action with the list.
    fn build(&self, store: &Store) -> Outcome<ActionKey> {
        let mut keys = Vec::new();
        for step in 0..self.steps {
            let numbers = step * self.blobs_per_step..(step + 1) * self.blobs_per_step;
            let blobs: Vec<Blob> = numbers.map(|number| Blob::new(self.content(number))).collect();
            let outputs =
                blobs.iter().enumerate().map(|(i, blob)| (i.to_string(), output(blob, OutputKind::Blob)));
            let record = ActionRecord { outputs: outputs.collect() };
            let preimage = format!("step {step}: {}", "parameter=value ".repeat(20)).into_bytes();
            let action = NewAction::new(preimage, record, Provenance::default());
            keys.push(*action.key());
            store.publish(Publication { blobs, action: Some(action), ..Publication::default() });
        }
        let top = b"everything".to_vec();
        let key = ActionKey::of_preimage(&top);
        keys.push(key);
        let closure = Blob::new(Closure::new(keys, vec![]).encode());
        let outputs = [("all".to_owned(), output(&closure, OutputKind::Closure))].into();
        let action = NewAction::new(top, ActionRecord { outputs }, Provenance::default());
        let root = Root::now(closure.digest(), OutputKind::Closure);
        let roots = vec![("bench".to_owned(), root)];
        let publication =
            Publication { blobs: vec![closure], action: Some(action), roots, ..Publication::default() };
        store.publish(publication).wait()?;
        Ok(key)
    }

    /// The same bytes in a file each, a thousand to a directory.
    fn plain_files(&self, directory: &Path) -> Outcome {
        for number in 0..self.steps * self.blobs_per_step {
            let part = directory.join((number / 1000).to_string());
            if number % 1000 == 0 {
                std::fs::create_dir_all(&part)?;
            }
            std::fs::write(part.join(number.to_string()), self.content(number))?;
        }
        Ok(())
    }
}

fn output(blob: &Blob, kind: OutputKind) -> Output {
    Output { digest: blob.digest(), len: blob.len(), kind }
}

fn copy(from: &Path, to: &Path) -> Outcome {
    run("cp", &["-r", &from.to_string_lossy(), &to.to_string_lossy()], Path::new("."))
}

fn run(program: &str, arguments: &[&str], directory: &Path) -> Outcome {
    let status = Command::new(program).args(arguments).current_dir(directory).status();
    expect(status.map_err(|e| format!("cannot run {program}: {e}"))?.success(), "it failed")
}

fn expect(holds: bool, else_what: &str) -> Outcome {
    if holds { Ok(()) } else { Err(else_what.into()) }
}

fn milliseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

fn timed<T>(run: impl FnOnce() -> Outcome<T>) -> Outcome<(Duration, T)> {
    let start = Instant::now();
    let value = run()?;
    Ok((start.elapsed(), value))
}

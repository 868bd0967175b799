//! How many system calls moving something takes: each way runs in a process of its own, whose calls `strace` counts.
//! Where there is no `strace`, the system's count of reads and writes stands in, which is most of them but not all.

use crate::{Outcome, expect};
use artifact_store::bundle::{ExportOptions, ImportOptions, export, import};
use artifact_store::remote::{DirectoryRemote, PullOptions, PushOptions, Selection, pull, push};
use artifact_store::{Options, Store};
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;
use std::process::Command;

/// What the first argument of a process is that moves something once, to be counted.
pub(crate) const COUNTED: &str = "counted";

/// The ways to move what is in `store`, in an order in which each finds what it needs.
const WAYS: [&str; 4] = ["push", "pull", "export", "import"];

/// Moves what is in `store` below this directory; beside it appear `remote`, `pulled`, `bundle` and `imported`.
pub(crate) fn move_once(way: &str, directory: &Path) -> Outcome {
    let open = |name| Store::open(directory.join(name), &Options::default());
    let (remote, bundle) = (directory.join("remote"), directory.join("bundle"));
    match way {
        "push" => {
            let store = open("store")?;
            let all = Selection::everything(&store)?;
            push(&store, &all, &DirectoryRemote::create(remote)?, &PushOptions::default(), &mut |_| {})?;
        }
        "pull" => {
            let remote = DirectoryRemote::open(remote)?;
            let all = Selection::everything(&open("store")?)?;
            pull(&open("pulled")?, &all, &remote, &PullOptions::default(), &mut |_| {})?;
        }
        "export" => {
            let store = open("store")?;
            let mut out = BufWriter::new(File::create(bundle)?);
            let all = Selection::everything(&store)?;
            export(&store, &all, &mut out, &ExportOptions::default(), &mut |_| {})?;
            out.flush()?;
        }
        "import" => {
            let input = BufReader::new(File::open(bundle)?);
            import(&open("imported")?, input, &ImportOptions::default(), &mut |_| {})?;
        }
        _ => return Err(format!("`{way}` is none of {WAYS:?}").into()),
    }
    println!("{}", reads_and_writes()?);
    Ok(())
}

/// Prints calls per blob for every way from the store below this directory, beside `tar -x` of as many plain files.
pub(crate) fn print(directory: &Path, blobs: u32, archive: &Path) -> Outcome {
    let program = std::env::current_exe()?;
    let traced = Command::new("strace").arg("-V").output().is_ok();
    let kind =
        if traced { "system calls" } else { "reads and writes (no strace here to count all system calls)" };
    let mut figures = Vec::new();
    for way in WAYS {
        let mut arguments = vec![COUNTED.as_ref(), way.as_ref(), directory.as_os_str()];
        let calls = if traced {
            arguments.insert(0, program.as_os_str());
            count_calls(&arguments, directory)?
        } else {
            let output = Command::new(&program).args(&arguments).output()?;
            expect(output.status.success(), "it failed")?;
            String::from_utf8(output.stdout)?.trim().parse()?
        };
        figures.push((way, calls));
    }
    if traced {
        let extracted = directory.join("extracted");
        std::fs::create_dir(&extracted)?;
        let arguments =
            ["tar".as_ref(), "-xf".as_ref(), archive.as_os_str(), "-C".as_ref(), extracted.as_os_str()];
        figures.push(("tar -x", count_calls(&arguments, directory)?));
    }
    print!("    {kind} per blob:");
    for (way, calls) in figures {
        print!("  {way} {:.1}", calls as f64 / f64::from(blobs));
    }
    println!();
    Ok(())
}

/// The system calls of a command and all its threads.
fn count_calls(arguments: &[&std::ffi::OsStr], directory: &Path) -> Outcome<u64> {
    let table = directory.join("calls");
    let output = Command::new("strace").args(["-f", "-c", "-o"]).arg(&table).args(arguments).output()?;
    expect(output.status.success(), &String::from_utf8_lossy(&output.stderr))?;
    let table = std::fs::read_to_string(table)?;
    // Share of time, seconds, microseconds per call, calls, errors if there were any, name.
    let total = table.lines().find(|line| line.ends_with(" total"));
    let calls = total.and_then(|line| line.split_whitespace().nth(3));
    Ok(calls.ok_or("strace has printed no total")?.parse()?)
}

/// The system's count of what this process has read and written so far.
fn reads_and_writes() -> Outcome<u64> {
    let Ok(counts) = std::fs::read_to_string("/proc/self/io") else { return Ok(0) };
    let of = |name| counts.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    Ok(of("syscr:").unwrap_or(0) + of("syscw:").unwrap_or(0))
}

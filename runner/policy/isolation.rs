//! What the helper process does to itself before it runs code that nobody here wrote, and what it can see of that code's
//! processes.
//!
//! Limits guard against accidents, not against malice: a plugin runs with the user's rights.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use rustix::process::{self, Resource, Rlimit, Signal, WaitOptions};
use rustix::stdio;

/// The pipes to the process that asks, taken away from where a plugin would find them: what it reads from standard input
/// is empty, what it prints goes where errors go.
pub(super) fn take_pipes() -> io::Result<(File, File)> {
    let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    stdio::dup2_stdin(File::open("/dev/null")?)?;
    stdio::dup2_stdout(io::stderr().as_fd())?;
    Ok((input, output))
}

/// Bounds memory and processor time, and forbids writing files and leaving core dumps. Best effort: a limit that the
/// system does not know or already has lower stays as it is.
pub(super) fn limit(memory_bytes: u64, cpu_s: u64) {
    // Of processor time the last limit is a second later: the signal of the first one says what it was.
    let limits = [
        (Resource::As, memory_bytes, memory_bytes),
        (Resource::Cpu, cpu_s, cpu_s.saturating_add(1)),
        (Resource::Fsize, 0, 0),
        (Resource::Core, 0, 0),
    ];
    for (resource, first, last) in limits {
        let known = process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let limit = Rlimit { current: Some(first.min(known)), maximum: Some(last.min(known)) };
        let _ = process::setrlimit(resource, limit);
    }
}

/// Ends this process and its group soon after its parent, the one that asks, has ended, whatever the plugin is doing. The signal that
/// Linux has for this is sent when the *thread* that started a process ends, which says nothing about the asking process.
pub(super) fn end_with(parent: u32) {
    let is_there = move || process::getppid().is_some_and(|p| u32::try_from(p.as_raw_pid()) == Ok(parent));
    thread::spawn(move || {
        while is_there() {
            thread::sleep(Duration::from_secs(1));
        }
        let _ = process::kill_process_group(process::getpgrp(), Signal::KILL);
    });
}

/// Watches for processes that a plugin starts.
#[derive(Debug)]
pub(super) struct Descendants {
    this: process::Pid,
}

impl Descendants {
    /// From now on processes whose parent has ended come back to this one.
    pub(super) fn watch() -> Self {
        let this = process::getpid();
        // Without this a process that outlives its parent is not seen, and that is all.
        #[cfg(target_os = "linux")]
        let _ = process::set_child_subreaper(Some(this));
        Self { this }
    }

    /// Whether this is the process that was watching: a plugin that forks comes back from its call twice.
    pub(super) fn is_this_process(&self) -> bool {
        process::getpid() == self.this
    }

    /// Whether a process was started, running or not.
    pub(super) fn exist(&self) -> bool {
        // No children is an error here.
        process::wait(WaitOptions::NOHANG).is_ok()
    }
}

//! What the helper process does to itself before it runs code that nobody here wrote, and what it can see of that code's
//! processes.
//!
//! Limits guard against accidents, not against malice: a plugin runs with the user's rights.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use rustix::process::{self, Resource, Rlimit, WaitOptions};
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

/// Watches for processes that a plugin starts.
#[derive(Debug)]
pub(super) struct Descendants {
    this: process::Pid,
}

impl Descendants {
    /// From now on processes whose parent has ended come back to this one, and this one ends with the one that asks.
    pub(super) fn watch() -> Self {
        let this = process::getpid();
        #[cfg(target_os = "linux")]
        {
            // Without these a process that outlives its parent is not seen, and that is all.
            let _ = process::set_child_subreaper(Some(this));
            let _ = process::set_parent_process_death_signal(Some(process::Signal::KILL));
        }
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

//! Processes that nobody has a handle of, found in `/proc`. Where there is none they stay unknown.

use std::fs::{self, DirEntry};
use std::path::Path;

use rustix::process::Pid;
#[cfg(target_os = "linux")]
use rustix::process::getpid;

/// The children of this process.
#[cfg(target_os = "linux")]
pub(super) fn children() -> Vec<Pid> {
    let this = getpid().as_raw_pid().to_string();
    those(|entry| {
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // `PID (NAME) STATE PARENT …`, and a name may hold anything.
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?;
        Some(parent == this)
    })
}

/// The processes that work in a directory.
pub(super) fn working_in(directory: &Path) -> Vec<Pid> {
    let Ok(directory) = fs::canonicalize(directory) else { return Vec::new() };
    those(|entry| Some(fs::read_link(entry.path().join("cwd")).ok()? == directory))
}

fn those(wanted: impl Fn(&DirEntry) -> Option<bool>) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pid = |entry: DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        if wanted(&entry)? { Pid::from_raw(pid) } else { None }
    };
    entries.filter_map(|entry| pid(entry.ok()?)).collect()
}

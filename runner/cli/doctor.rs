//! `astra-store doctor`.

use std::path::Path;

use artifact_store::{Health, Store};
use clap::Args;
use serde_json::{Value, json};

use crate::error::{Error, ErrorKind, Result};
use crate::report::format_bytes;

use super::ui::Ui;
use super::{Global, locate, moments};

/// Clocks further apart than this confuse the grace window, and what is the latest.
const CLOCK_TOLERANCE_MS: u64 = 60_000;

/// The times of files move on in steps, by which they lag behind: clocks closer together than this agree.
const TICK_MS: u64 = 10;

/// Less room than this is worth a word: the next build may not fit.
const LITTLE_ROOM_BYTES: u64 = 256 << 20;

/// Look whether the store lies where a store can live: file system, locks, room, clock, versions.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  astra-store doctor

The exit code is 4 when something is wrong. With --read-only nothing is tried that writes. `verify` looks at the content.")]
pub(super) struct DoctorArgs {}

/// What was looked at, what was found, and what is wrong with that.
struct Check {
    name: &'static str,
    found: String,
    problem: Option<String>,
}

impl Check {
    fn good(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, found: found.into(), problem: None }
    }

    fn problem_if(mut self, is_wrong: bool, problem: &str) -> Self {
        self.problem = is_wrong.then(|| problem.to_owned());
        self
    }

    /// What only writing would tell.
    fn untried(name: &'static str) -> Self {
        Self::good(name, "not tried: the store is open for reading only")
    }

    fn failed(name: &'static str, e: &Error) -> Self {
        let problem = e.hint_text().unwrap_or("see the message").to_owned();
        Self { name, found: e.to_string(), problem: Some(problem) }
    }
}

pub(super) fn run(ui: &Ui, global: &Global, _args: &DoctorArgs) -> Result<()> {
    let directory = locate::existing_directory(global)?;
    let options = locate::options(ui, global);
    let health = Health::of(&directory, &options)?;
    let mut checks = vec![
        Check::good("program", format!("astra-store {}", super::version())),
        Check::good("store", directory.display().to_string()),
        Check::good("format", health.format.as_str()),
    ];
    checks.extend(surroundings(&directory, &health, options.untouched));
    // It stays open until all is said: closing a damaged file may end the process.
    let opened = locate::open_at(&directory, &options);
    match opened.as_ref().map(contents) {
        Ok(Ok(found)) => checks.extend(found),
        Ok(Err(e)) => checks.push(Check::failed("content", &e)),
        Err(e) => checks.push(Check::failed("opening", e)),
    }
    print(ui, &checks)?;
    match checks.iter().filter(|check| check.problem.is_some()).count() {
        0 => Ok(()),
        1 => Err(Error::new(ErrorKind::Store, "something is wrong with the store or where it lies")),
        some => Err(Error::new(
            ErrorKind::Store,
            format!("{some} things are wrong with the store or where it lies"),
        )),
    }
}

fn surroundings(directory: &Path, health: &Health, read_only: bool) -> Vec<Check> {
    let system = &health.file_system;
    let name = if system.name.is_empty() { "not told by this system" } else { &system.name };
    let mut checks = vec![Check::good("file system", name).problem_if(
        system.is_network && !read_only,
        "a network file system, whose locks may not hold: keep the store on a local disk",
    )];
    if let Some(free) = system.free_bytes {
        let little = free < LITTLE_ROOM_BYTES && !read_only;
        checks.push(
            Check::good("free space", format_bytes(free)).problem_if(little, "the disk is nearly full"),
        );
    }
    checks.push(match &health.locks {
        None => Check::untried("locks"),
        Some(Ok(true)) => Check::good("locks", "they hold"),
        Some(Ok(false)) => Check::good("locks", "they do not hold")
            .problem_if(true, "two processes would write at once: keep the store on another file system"),
        Some(Err(e)) => Check::failed("locks", &locate::not_opened(e, directory)),
    });
    checks.push(match &health.clock_ahead_ms {
        None => Check::untried("clock"),
        Some(Ok(ahead)) => Check::good("clock", agreement(*ahead))
            .problem_if(ahead.unsigned_abs() > CLOCK_TOLERANCE_MS, "set one of the two"),
        Some(Err(e)) => Check::failed("clock", &locate::not_opened(e, directory)),
    });
    checks
}

fn agreement(ahead_ms: i64) -> String {
    let difference = ahead_ms.unsigned_abs();
    match ahead_ms {
        _ if difference <= TICK_MS => "that of the file system and this machine's agree".to_owned(),
        1.. => format!("that of the file system is {difference} ms ahead of this machine's"),
        _ => format!("that of the file system is {difference} ms behind this machine's"),
    }
}

fn contents(store: &Store) -> Result<Vec<Check>> {
    let latest = store.roots()?.iter().map(|(_, root)| root.updated_unix_ms).max();
    let is_ahead = latest.is_some_and(|latest| latest > moments::unix_ms_now() + CLOCK_TOLERANCE_MS);
    let stats = store.stats()?;
    Ok(vec![
        Check::good("opening", format!("{} blobs, {} records", stats.blobs, stats.actions)),
        Check::good("latest build", latest.map_or_else(|| "none".to_owned(), moments::ago))
            .problem_if(is_ahead, "it lies in the future: a clock was or is wrong"),
    ])
}

fn print(ui: &Ui, checks: &[Check]) -> Result<()> {
    if ui.json() {
        let checks: Vec<Value> = checks
            .iter()
            .map(|check| json!({ "check": check.name, "found": check.found, "problem": check.problem }))
            .collect();
        return ui.json_line(&json!({ "checks": checks }));
    }
    ui.data(|out| {
        for Check { name, found, problem } in checks {
            writeln!(out, "{name:<14}{found}")?;
            if let Some(problem) = problem {
                writeln!(out, "{:<14}problem: {problem}", "")?;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::agreement;

    #[test]
    fn clocks_are_ahead_behind_or_agree_to_a_tick() {
        for (ahead_ms, expected) in
            [(-10, "agree"), (10, "agree"), (-11, "11 ms behind"), (11, "11 ms ahead")]
        {
            let said = agreement(ahead_ms);
            assert!(said.contains(expected), "{ahead_ms}: {said}");
        }
    }
}

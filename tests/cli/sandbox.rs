//! A fresh directory with a store of its own, commands run in it, and what they printed.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};

use serde::Deserialize;
use serde_json::Value;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_astra-store");

/// A directory that is removed at the end of the test. Commands run in it, with the store `store` inside it unless they
/// say otherwise.
pub(crate) struct Sandbox {
    directory: tempfile::TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::Builder::new().prefix("astra-store-test").tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file, and the directories it is in.
    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, contents).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        String::from_utf8(self.bytes(name)).unwrap()
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        let path = self.path(name);
        std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&self.bytes(name)).unwrap()
    }

    /// A command with these arguments, separated by blanks, in a clean environment.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments.split_whitespace()).current_dir(self.directory.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if ["ASTRA_", "DEEPFLOW_", "RAPID_"].iter().any(|prefix| text.starts_with(prefix)) {
                command.env_remove(&name);
            }
        }
        command.env("ASTRA_STORE", self.path("store"));
        command
    }

    /// Runs a command with these arguments to its end.
    pub(crate) fn run(&self, arguments: &str) -> Finished {
        finish(&mut self.command(arguments))
    }

    /// Builds `recipe.json` with further arguments and `--json`; it has to succeed.
    pub(crate) fn build(&self, arguments: &str) -> Build {
        self.run(&format!("build recipe.json --json {arguments}")).succeeds().build()
    }

    /// Starts a build of a recipe whose events can be followed.
    pub(crate) fn start(&self, arguments: &str) -> Running {
        self.start_command(self.command(&format!("build --json {arguments}")))
    }

    /// Starts a command `build --json`.
    pub(crate) fn start_command(&self, mut command: Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Running { child, lines, printed: String::new(), events: Vec::new() }
    }

    /// Names of all files below a directory with their contents.
    pub(crate) fn files(&self, name: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let root = self.path(name);
        walk(&root)
            .into_iter()
            .map(|p| (p.strip_prefix(&root).unwrap().to_owned(), std::fs::read(&p).unwrap()))
            .collect()
    }

    /// What the store holds: its recipes and when they were built, and how many blobs and records. Not how long its
    /// file is: that is written to whenever the store is opened.
    pub(crate) fn holdings(&self) -> Value {
        let mut holdings = self.run("ls --json").succeeds().value();
        holdings["store"].as_object_mut().unwrap().remove("file_bytes").unwrap();
        holdings
    }

    /// Fails unless the store can still be used: what is in it can be listed, and a small recipe built twice.
    pub(crate) fn assert_store_is_good(&self) {
        self.run("ls").succeeds();
        self.write("after/hardware.yaml", crate::study::RING_OF_4);
        self.write("after/recipe.json", crate::study::ONE_ALL_REDUCE.replace("one-all-reduce", "afterwards"));
        self.run("build after/recipe.json").succeeds();
        let again = self.run("build after/recipe.json --json").succeeds().build();
        assert_eq!((again.steps.executed, again.finish_of("afterwards")), (0, 43_000));
    }
}

fn walk(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command) -> Finished {
    let Output { status, stdout, stderr } = command.output().unwrap();
    Finished { command: format!("{command:?}"), status, stdout, stderr: String::from_utf8(stderr).unwrap() }
}

/// A command that ended, and what it printed.
pub(crate) struct Finished {
    command: String,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Finished {
    pub(crate) fn succeeds(self) -> Self {
        self.exits(0)
    }

    /// Fails unless the command ended with this code, and, when that is a failure, said one thing that went wrong.
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{}\n{}\n{}", self.command, self.text(), self.stderr);
        let errors = self.stderr.lines().filter(|line| line.starts_with("error: ")).count();
        assert_eq!(errors, usize::from(code != 0), "{}\n{}", self.command, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}\n{}", self.command, self.stderr);
        self
    }

    /// Fails unless stderr contains each of these.
    pub(crate) fn says(self, fragments: &[&str]) -> Self {
        for fragment in fragments {
            assert!(self.stderr.contains(fragment), "{}\nno {fragment:?} in\n{}", self.command, self.stderr);
        }
        self
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// The one JSON value on stdout.
    pub(crate) fn value(&self) -> Value {
        assert_eq!(self.text().lines().count(), 1, "{}\n{}", self.command, self.text());
        serde_json::from_str(self.text()).unwrap()
    }

    /// The events and the summary of `build --json`.
    pub(crate) fn build(&self) -> Build {
        let lines: Vec<&str> = self.text().lines().collect();
        let (last, events) =
            lines.split_last().unwrap_or_else(|| panic!("{}\n{}", self.command, self.stderr));
        let Summary { recipe, points, steps, elapsed_s } =
            serde_json::from_str(last).unwrap_or_else(|e| panic!("{e}: {last}"));
        let events = events.iter().map(|line| event(line)).collect();
        Build { recipe, points, steps, elapsed_s, events }
    }
}

fn event(line: &str) -> Event {
    serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))
}

/// The last line of `build --json`.
#[derive(Debug, Deserialize)]
struct Summary {
    recipe: String,
    points: Vec<Point>,
    steps: Steps,
    elapsed_s: f64,
}

/// What `build --json` printed.
#[derive(Debug)]
pub(crate) struct Build {
    pub(crate) recipe: String,
    pub(crate) points: Vec<Point>,
    pub(crate) steps: Steps,
    pub(crate) elapsed_s: f64,
    pub(crate) events: Vec<Event>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Point {
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) finish_ns: Option<u64>,
    pub(crate) bus_bandwidth_bytes_per_s: Option<f64>,
    pub(crate) result: Option<String>,
    pub(crate) error: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub(crate) struct Steps {
    pub(crate) executed: u64,
    pub(crate) hit: u64,
    pub(crate) failed: u64,
    pub(crate) would_run: Option<u64>,
    pub(crate) unknown_until_cutoff: Option<u64>,
    pub(crate) hit_upstream: Option<u64>,
}

/// A line of `build --json` before the last one.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Event {
    pub(crate) event: String,
    #[serde(default)]
    pub(crate) step: String,
    #[serde(default)]
    pub(crate) status: String,
    pub(crate) key: Option<String>,
    pub(crate) why: Option<String>,
    pub(crate) finished: Option<u32>,
    pub(crate) ranks: Option<u32>,
}

impl Event {
    fn is_step(&self, status: &str) -> bool {
        self.event == "step" && self.status == status
    }
}

impl Build {
    pub(crate) fn finish_of(&self, point: &str) -> u64 {
        self.point(point).finish_ns.unwrap_or_else(|| panic!("{point} has no result"))
    }

    pub(crate) fn point(&self, name: &str) -> &Point {
        self.points
            .iter()
            .find(|p| p.name == name)
            .unwrap_or_else(|| panic!("no {name:?} in {:?}", self.points))
    }

    /// Names of the points with a status.
    pub(crate) fn points_that(&self, status: &str) -> Vec<&str> {
        self.points.iter().filter(|p| p.status == status).map(|p| p.name.as_str()).collect()
    }

    /// Names, times and digests: what must not depend on who built it and how.
    pub(crate) fn results(&self) -> Vec<(&str, Option<u64>, Option<&str>)> {
        self.points.iter().map(|p| (p.name.as_str(), p.finish_ns, p.result.as_deref())).collect()
    }

    /// How many steps of each kind were executed; kinds of which none was are left out.
    pub(crate) fn executed(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for event in self.events.iter().filter(|e| e.is_step("run")) {
            *counts.entry(event.step.as_str()).or_insert(0) += 1;
        }
        counts
    }

    /// The keys of the steps with a status.
    pub(crate) fn keys(&self, status: &str) -> Vec<&str> {
        keys(&self.events, status)
    }

    /// For every executed step, its kind and why it was executed.
    pub(crate) fn reasons(&self) -> Vec<(&str, &str)> {
        let steps = self.events.iter().filter(|e| e.event == "step");
        steps.filter_map(|e| Some((e.step.as_str(), e.why.as_deref()?))).collect()
    }
}

/// The keys of the steps with a status.
pub(crate) fn keys<'a>(events: &'a [Event], status: &str) -> Vec<&'a str> {
    events.iter().filter(|e| e.is_step(status)).filter_map(|e| e.key.as_deref()).collect()
}

/// A build that goes on.
pub(crate) struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    printed: String,
    /// What it has told so far.
    pub(crate) events: Vec<Event>,
}

impl Running {
    /// Waits until the build has published so many steps; fails when it ends before.
    pub(crate) fn wait_for_executed(&mut self, steps: usize) {
        while keys(&self.events, "run").len() < steps {
            self.next_event();
        }
    }

    /// Waits for the next event of a kind; fails when the build ends before.
    pub(crate) fn wait_for_event(&mut self, kind: &str) -> Event {
        loop {
            let event = self.next_event();
            if event.event == kind {
                return event;
            }
        }
    }

    fn next_event(&mut self) -> Event {
        let line = self.lines.next().expect("the build ended early").unwrap();
        self.printed.push_str(&line);
        self.printed.push('\n');
        self.events.push(event(&line));
        event(&line)
    }

    /// Ends the process as a crash would. What it had told before is in `events` then.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        // The last line may have been cut.
        self.events
            .extend(self.lines.by_ref().map_while(Result::ok).filter_map(|l| serde_json::from_str(&l).ok()));
    }

    /// Sends a signal by its name, as a shell would.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Lets it come to its end.
    pub(crate) fn finish(self) -> Finished {
        let Self { child, lines, mut printed, .. } = self;
        let command = format!("build {}", child.id());
        printed.extend(lines.map(|line| line.unwrap() + "\n"));
        let Output { status, stderr, .. } = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        Finished { command, status, stdout: printed.into_bytes(), stderr }
    }
}

/// Says on stderr, past the capture of test output, that a test could not do its work.
pub(crate) fn skipped(why: &str) {
    std::io::stderr().write_all(format!("SKIPPED: {why}\n").as_bytes()).unwrap();
}

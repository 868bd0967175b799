//! A sandbox with a stand-in for the original simulator, what it is to do, and what must be left afterwards: nothing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::sandbox::{Finished, PROGRAM, Sandbox, finish};
use crate::study::{ONE_ALL_REDUCE, RING_OF_4, with};

/// What the original calls its executable.
pub(crate) const NAME: &str = "AstraSim_Analytical_Congestion_Aware";

/// Long enough for whatever has to happen in the end, on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// The executable, made by the cargo that runs the tests.
fn executable() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let directory = Path::new(PROGRAM).parent().unwrap();
        let profile = match directory.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            other => other,
        };
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--offline", "--quiet", "--example", "fake_sim", "--profile", profile]);
        cargo.arg("--target-dir").arg(directory.parent().unwrap()).current_dir(env!("CARGO_MANIFEST_DIR"));
        let done = cargo.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        directory.join("examples/fake_sim")
    })
}

/// A recipe for it, with further keys of the engine.
pub(crate) fn recipe(engine: &str) -> String {
    let engine = format!(r#""engine": {{ "kind": "astra-sim", "binary": "sim/{NAME}"{engine} }}, "system""#);
    with(ONE_ALL_REDUCE, r#""system""#, &engine)
}

/// A sandbox with the simulator in `sim`, a recipe that uses it, and a directory `tmp` for what is temporary.
pub(crate) struct Fake {
    pub(crate) sandbox: Sandbox,
}

impl Fake {
    /// One that behaves as the words say, a line each.
    pub(crate) fn new(behaviour: &str) -> Self {
        let fake = Self { sandbox: Sandbox::new() };
        fake.behave(behaviour);
        fake.install(NAME);
        std::fs::create_dir(fake.sandbox.path("tmp")).unwrap();
        fake.sandbox.write("hardware.yaml", RING_OF_4);
        fake.sandbox.write("recipe.json", recipe(""));
        fake
    }

    pub(crate) fn behave(&self, behaviour: &str) {
        self.sandbox.write("sim/behaviour", behaviour);
    }

    /// The simulator under a name.
    pub(crate) fn install(&self, name: &str) {
        let path = self.sandbox.path("sim").join(name);
        std::fs::hard_link(executable(), &path)
            .or_else(|_| std::fs::copy(executable(), &path).map(drop))
            .unwrap();
    }

    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = self.sandbox.command(arguments);
        command.env("TMPDIR", self.sandbox.path("tmp"));
        command
    }

    pub(crate) fn run(&self, arguments: &str) -> Finished {
        finish(&mut self.command(arguments))
    }

    /// The value of an event or the summary of `build --json`.
    pub(crate) fn lines(finished: &Finished) -> Vec<Value> {
        finished.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits until the simulator has made a file in its directory.
    pub(crate) fn wait_for(&self, file: &str) {
        let deadline = Instant::now() + SOON;
        while !self.sandbox.path("sim").join(file).exists() {
            assert!(Instant::now() < deadline, "the simulator never made `{file}`");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Directories below `/proc` of processes whose command line names the sandbox, with that line.
    fn processes(&self) -> Vec<(PathBuf, String)> {
        let needle = self.sandbox.path("sim").to_str().unwrap().to_owned();
        let entries = std::fs::read_dir("/proc").unwrap();
        let process = |entry: std::io::Result<std::fs::DirEntry>| {
            let directory = entry.ok()?.path();
            let line = std::fs::read(directory.join("cmdline")).ok()?;
            Some((directory, String::from_utf8_lossy(&line).replace('\0', " ")))
        };
        entries.filter_map(process).filter(|(_, line)| line.contains(&needle)).collect()
    }

    /// Ends the process that started the simulator.
    pub(crate) fn kill_watcher(&self) {
        let (simulator, _) = self.processes().pop().unwrap();
        let status = std::fs::read_to_string(simulator.join("status")).unwrap();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim();
        assert!(Command::new("kill").args(["-s", "KILL", parent]).status().unwrap().success());
    }

    /// Fails unless no process and no temporary file is left, and the store is whole.
    pub(crate) fn assert_nothing_is_left(&self) {
        assert_eq!(self.processes(), Vec::new());
        assert_eq!(self.temporary(), Vec::<PathBuf>::new());
        self.run("verify --full").succeeds();
    }

    /// The same of a build that was killed: what watches over its simulator needs a moment.
    pub(crate) fn assert_nothing_is_left_soon(&self) {
        let deadline = Instant::now() + SOON;
        while !(self.processes().is_empty() && self.temporary().is_empty()) {
            assert!(Instant::now() < deadline, "left: {:?}, {:?}", self.processes(), self.temporary());
            std::thread::sleep(Duration::from_millis(20));
        }
        self.assert_nothing_is_left();
    }

    fn temporary(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.sandbox.path("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

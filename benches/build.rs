//! How long the command takes for a sweep of 10,000 small points: cold, warm, after a change; and beside each figure
//! what the machine, the engine alone or another tool takes for the same, measured in the same run.
//!
//! `cargo bench --bench build [-- DIRECTORY]`: everything is made below the directory, the system's temporary one
//! if none is given. Uses `ninja` where it is installed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use artifact_store::Digest;
use astra_engine::{CollectiveType, Dialect, NetworkModel, RemoteMemory};
use astra_store::astrasim::{
    self, AlgorithmLists, ConfigRequest, PolicyChoices, SystemFile, SystemOptions, SystemOverrides,
};
use astra_store::et::build::{NodeIds, SingleCollective};
use astra_store::et::lower_bundle;
use astra_store::hw::Document;
use serde_json::{Value, json};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const RANKS: u32 = 8;
const SIZES: u64 = 100;
const BANDWIDTHS: u64 = 100;
const POINTS: u64 = SIZES * BANDWIDTHS;
/// One simulation per point; one `et` step per size; `hw`, `policy` and `configs` once per bandwidth.
const STEPS: u64 = POINTS + SIZES + 3 * BANDWIDTHS;

const BANDWIDTH: &str = "network.dimensions.0.topology.bandwidth";

/// Commits gather company for this long, so there are at most so many.
const COMMIT_EVERY: Duration = Duration::from_millis(10);

const HARDWARE: &str = "\
parallelism: { tp: 8 }
network:
  dimensions:
    - id: switch
      parallelisms: [tp]
      size: auto
      topology: { type: Switch, bandwidth: 100e9, latency: 1e-6, util: 1.0 }
";

fn main() -> Outcome {
    let directory = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let directory = directory.map_or_else(std::env::temp_dir, Into::into);
    let scratch = tempfile::Builder::new().prefix("build-bench").tempdir_in(directory)?;
    let bench = Bench { directory: scratch.path().to_owned() };
    fs::write(bench.path("hw.yaml"), HARDWARE)?;
    bench.write_recipe(None)?;
    println!(
        "{POINTS} points: all-reduce of {SIZES} sizes over {RANKS} ranks at {BANDWIDTHS} bandwidths, {} cores",
        cores()
    );

    bench.cold()?;
    bench.warm()?;
    bench.changed()?;
    bench.others()
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

fn size_bytes(i: u64) -> u64 {
    (i + 1) << 16
}

fn bandwidth_bytes_per_s(i: u64) -> u64 {
    (i + 1) * 10_000_000_000
}

struct Bench {
    directory: PathBuf,
}

impl Bench {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The sweep; with the first bandwidth replaced by another.
    fn write_recipe(&self, first_bandwidth: Option<u64>) -> Outcome {
        let sizes: Vec<u64> = (0..SIZES).map(size_bytes).collect();
        let mut bandwidths: Vec<u64> = (0..BANDWIDTHS).map(bandwidth_bytes_per_s).collect();
        bandwidths[0] = first_bandwidth.unwrap_or(bandwidths[0]);
        let recipe = json!({
            "recipe": 1,
            "name": "bench",
            "hw": "hw.yaml",
            "workload": { "kind": "collective", "collective": "all_reduce", "ranks": RANKS, "size": 1 },
            "sweep": { "grid": { "workload.size": sizes, format!("hw.{BANDWIDTH}"): bandwidths } },
        });
        Ok(fs::write(self.path("recipe.json"), recipe.to_string())?)
    }

    /// Runs the command on a store, and its wall time from start to end of the process.
    fn run(&self, store: &str, arguments: &[&str]) -> Outcome<(Duration, Output)> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_astra-store"));
        command.current_dir(&self.directory).arg("--store").arg(self.path(store)).args(arguments);
        timed(&mut command)
    }

    /// Builds the recipe and checks how many steps were executed.
    fn build(&self, store: &str, executed: u64) -> Outcome<Duration> {
        let (took, output) = self.run(store, &["build", "recipe.json"])?;
        let said = String::from_utf8(output.stderr)?;
        match said.contains(&format!("steps: {executed} executed")) {
            true => Ok(took),
            false => Err(format!("{executed} steps should have been executed: {said}").into()),
        }
    }

    fn cold(&self) -> Outcome {
        println!("\ncold build");
        let took = median(3, |round| self.build(&format!("cold-{round}"), STEPS))?;
        let rate = |time: Duration| format!("{:.0} points/s", POINTS as f64 / time.as_secs_f64());
        line("build", took, &rate(took));
        let (events, finish_ns) = self.cold_events()?;
        let engine = self.engine_alone(&finish_ns)?;
        line("  the engine alone, one thread", engine, &rate(engine));
        let ideal = engine.div_f64(cores() as f64);
        line("  spread over all cores", ideal, &format!("build / this = {:.2}", ratio(took, ideal)));
        let commits = (took.as_secs_f64() / COMMIT_EVERY.as_secs_f64()).ceil() as usize;
        let bytes = fs::metadata(self.path("cold-0/store.redb"))?.len();
        let disk = self.write_synced(bytes as usize, commits)?;
        let what = format!(
            "{:.1} MB in {commits} commits; build / this = {:.2}",
            bytes as f64 / 1e6,
            ratio(took, disk)
        );
        line("  the disk alone: write, sync", disk, &what);
        print_events(&events);
        Ok(())
    }

    /// Where the time goes, from the events of one more cold build; and the results.
    fn cold_events(&self) -> Outcome<(Events, Vec<u64>)> {
        let (wall, output) = self.run("cold-events", &["--json", "build", "recipe.json"])?;
        let mut events = Events { wall, steps: BTreeMap::new() };
        let mut finish_ns = Vec::new();
        for event in serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>() {
            let event = event?;
            if event["event"] == "step" {
                let kind = event["step"].as_str().ok_or("a step without kind")?.to_owned();
                let (count, seconds) = events.steps.entry(kind).or_default();
                *count += 1;
                *seconds += event["took_s"].as_f64().ok_or("a step without time")?;
            } else if let Some(points) = event["points"].as_array() {
                finish_ns = points.iter().filter_map(|point| point["finish_ns"].as_u64()).collect();
            }
        }
        Ok((events, finish_ns))
    }

    /// The simulations of all points on one thread, everything but the simulating done before. They have to give
    /// what the build gave.
    fn engine_alone(&self, expected_ns: &[u64]) -> Outcome<Duration> {
        let document = Document::parse(HARDWARE.as_bytes(), "hw.yaml")?;
        let workloads = (0..SIZES).map(|i| workload(size_bytes(i))).collect::<Outcome<Vec<_>>>()?;
        let mut machines = Vec::new();
        for i in 0..BANDWIDTHS {
            let (spec, _) =
                document.network_spec(&[(BANDWIDTH.to_owned(), bandwidth_bytes_per_s(i).into())])?;
            let layout =
                astrasim::layout(&spec, &ConfigRequest { ranks: RANKS, ..ConfigRequest::default() })?;
            let overrides = SystemOverrides::default();
            let chosen = PolicyChoices::new();
            let lists = AlgorithmLists::of(|collective| {
                astrasim::decide(&spec, &layout, Dialect::AstraSim, &chosen, &overrides, collective)
            })?;
            let files = astrasim::write(&layout, &lists, &spec.sys_options, &overrides);
            let (system, _) = SystemFile::parse(files.system_json.as_bytes(), "system.json")?;
            let system = system.system(Dialect::AstraSim, &SystemOptions::default(), RemoteMemory::None)?;
            machines.push((layout.network(NetworkModel::CongestionAware), system));
        }
        let start = Instant::now();
        let mut found_ns = Vec::with_capacity(expected_ns.len());
        // In the order of the points: axes by name, the last one fastest.
        for (network, system) in &machines {
            for workload in &workloads {
                let report = astra_engine::simulate(network, system, workload)?;
                found_ns.push(report.ranks.iter().map(|rank| rank.finish.0).max().unwrap_or(0));
            }
        }
        let took = start.elapsed();
        if found_ns != expected_ns {
            return Err("the engine alone gave other results than the build".into());
        }
        Ok(took)
    }

    /// As many bytes as the store has, appended to a file and synced in as many pieces as there are commits.
    fn write_synced(&self, bytes: usize, pieces: usize) -> Outcome<Duration> {
        let content = vec![0x5a; bytes / pieces];
        let mut file = File::create(self.path("plain"))?;
        let start = Instant::now();
        for _ in 0..pieces {
            file.write_all(&content)?;
            file.sync_data()?;
        }
        Ok(start.elapsed())
    }

    fn warm(&self) -> Outcome {
        println!("\nnothing changed");
        let took = median(10, |_| self.build("cold-0", 0))?;
        line("build", took, "whole process, median of 10");
        let beside = |time| format!("build / this = {:.2}", ratio(took, time));
        let start = median(10, |_| Ok(self.run("cold-0", &["--version"])?.0))?;
        line("  starting the process: --version", start, &beside(start));
        let sources = median(10, |_| {
            let start = Instant::now();
            for name in ["recipe.json", "hw.yaml"] {
                black_box(Digest::of(&fs::read(self.path(name))?));
            }
            Ok(start.elapsed())
        })?;
        line("  reading and hashing the sources", sources, "");
        match self.ninja()? {
            Some(ninja) => line("  ninja, 30,000 edges, no work", ninja, &beside(ninja)),
            None => eprintln!("NOT MEASURED: a ninja build without work, because there is no `ninja` to run"),
        }
        Ok(())
    }

    /// Three edges per point, all up to date. `None` without ninja.
    fn ninja(&self) -> Outcome<Option<Duration>> {
        if Command::new("ninja").arg("--version").output().is_err() {
            return Ok(None);
        }
        let place = self.path("ninja");
        fs::create_dir(&place)?;
        fs::write(place.join("source"), "")?;
        // What a generator makes counts as up to date by its time alone: nothing has to be run first.
        let mut text = "rule step\n  command = cp $in $out\n  generator = 1\n".to_owned();
        for point in 0..POINTS {
            let mut from = "source".to_owned();
            for step in ["hw", "configs", "run"] {
                let to = format!("{step}.{point}");
                text += &format!("build {to}: step {from}\n");
                fs::write(place.join(&to), "")?;
                from = to;
            }
        }
        fs::write(place.join("build.ninja"), text)?;
        let run = |_| {
            let (took, output) = timed(Command::new("ninja").current_dir(&place))?;
            let idle = String::from_utf8(output.stdout)?.contains("no work to do");
            if idle { Ok(took) } else { Err("ninja found work to do".into()) }
        };
        median(5, run).map(Some)
    }

    fn changed(&self) -> Outcome {
        println!("\none of {BANDWIDTHS} bandwidths changed: {SIZES} of {POINTS} points");
        let took = median(3, |round| {
            self.write_recipe(Some(bandwidth_bytes_per_s(BANDWIDTHS + round)))?;
            self.build("cold-0", SIZES + 3)
        })?;
        line("build", took, "");
        self.write_recipe(None)
    }

    fn others(&self) -> Outcome {
        println!("\nother commands");
        for arguments in [&["validate", "recipe.json"][..], &["gc", "--dry-run"], &["show", "bench"]] {
            let took = median(5, |_| Ok(self.run("cold-0", arguments)?.0))?;
            line(&arguments.join(" "), took, "");
        }
        Ok(())
    }
}

/// The traces of one all-reduce as the engine takes them.
fn workload(size_bytes: u64) -> Outcome<astra_engine::Workload> {
    let kind = CollectiveType::AllReduce;
    let single = SingleCollective {
        name: "all_reduce".to_owned(),
        kind,
        size_bytes,
        ranks: RANKS,
        ids: NodeIds::Zero,
    };
    let bundle = single.build()?;
    Ok(lower_bundle("bench", &bundle.files, &bundle.file_of_rank, &BTreeMap::new())?)
}

/// What a build told of its steps: per kind how many and the seconds they took.
struct Events {
    wall: Duration,
    steps: BTreeMap<String, (u64, f64)>,
}

fn print_events(events: &Events) {
    let total = events.wall.as_secs_f64() * cores() as f64;
    println!(
        "where the time goes, of {:.0} ms x {} cores (one build with --json; a step that waits for a core counts):",
        events.wall.as_secs_f64() * 1e3,
        cores()
    );
    let mut rest = total;
    for (kind, (count, seconds)) in &events.steps {
        rest -= seconds;
        println!(
            "  {:<34} {:>9.1} ms {:>5.1} %  {count} steps",
            format!("executing `{kind}`"),
            seconds * 1e3,
            seconds / total * 100.0
        );
    }
    println!(
        "  {:<34} {:>9.1} ms {:>5.1} %",
        "keys, look-ups, commits, idle",
        rest * 1e3,
        rest / total * 100.0
    );
}

fn timed(command: &mut Command) -> Outcome<(Duration, Output)> {
    let start = Instant::now();
    let output = command.output()?;
    let took = start.elapsed();
    match output.status.success() {
        true => Ok((took, output)),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

fn median(rounds: u64, mut round: impl FnMut(u64) -> Outcome<Duration>) -> Outcome<Duration> {
    let mut times = (0..rounds).map(&mut round).collect::<Outcome<Vec<_>>>()?;
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}

fn line(what: &str, time: Duration, more: &str) {
    println!("{what:<36} {:>9.1} ms  {more}", time.as_secs_f64() * 1e3);
}

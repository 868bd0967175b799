//! A stand-in for the original simulator: its options, its lines, its way of opening traces, and true figures, which the
//! built-in engine computes. What else it does is in the file `behaviour` beside its executable, a word per line,
//! because the environment of a simulator is empty.

#![expect(clippy::unwrap_used, reason = "a simulator for tests may fail loudly")]

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::Duration;

use astra_engine::{Dialect, Nanos, NetworkModel, Options, RankReport};
use astra_store::astrasim::{RankLine, Said, SystemOptions};
use astra_store::sim::{SimFiles, SimPaths, SimSettings, comm_groups_named};
use rustix::process::{Signal, getpid, getppid, kill_process, setsid};

const CYCLE: Duration = Duration::from_millis(5);

/// Options by name, and the words of the file `behaviour`.
struct Simulator {
    options: BTreeMap<String, String>,
    behaviour: Vec<String>,
    directory: PathBuf,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first.starts_with("survive")) {
        return survive(&arguments[0]);
    }
    let directory = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let behaviour = fs::read_to_string(directory.join("behaviour")).unwrap_or_default();
    let option = |argument: &String| {
        let (name, value) = argument.strip_prefix("--").unwrap().split_once('=').unwrap();
        (name.to_owned(), value.to_owned())
    };
    let simulator = Simulator {
        options: arguments.iter().map(option).collect(),
        behaviour: behaviour.lines().map(str::to_owned).collect(),
        directory,
    };
    simulator.run()
}

impl Simulator {
    /// What follows a word in the file `behaviour`, if it is there.
    fn is_to(&self, word: &str) -> Option<&str> {
        self.behaviour.iter().find_map(|line| {
            let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
            (first == word).then_some(rest)
        })
    }

    fn option(&self, name: &str) -> &str {
        &self.options[name]
    }

    fn run(&self) -> ExitCode {
        self.tell_what_it_sees();
        self.misbehave_before();
        fs::create_dir_all(self.option("logging-folder")).unwrap();
        fs::write(Path::new(self.option("logging-folder")).join("log.log"), "started\n").unwrap();
        let paths = SimPaths {
            workload_prefix: self.option("workload-configuration").into(),
            system: self.option("system-configuration").into(),
            network: self.option("network-configuration").into(),
            remote_memory: Some(self.option("remote-memory-configuration").into()),
            comm_groups: comm_groups_named(self.option("comm-group-configuration")),
        };
        let settings = SimSettings {
            options: SystemOptions {
                queues_per_dimension: self.option("num-queues-per-dim").parse().unwrap(),
                ..SystemOptions::default()
            },
            network_model: NetworkModel::CongestionAware,
            dialect: self.is_to("dialect").map_or(Dialect::AstraSim, |dialect| dialect.parse().unwrap()),
        };
        let files = SimFiles::read(&paths, settings, &mut |_| ()).unwrap();
        let simulation = files.simulation(false, &mut |_| ()).unwrap();
        for rank in 0..simulation.workload.trace_of_rank.len() {
            self.open_as_the_original_does(rank);
        }
        // Ranks that wait for each other for ever end with success and without a line.
        let Ok(report) = simulation.run(&Options::default()) else { return ExitCode::SUCCESS };
        let left_out = self.is_to("drop").map(|rank| rank.parse::<u32>().unwrap());
        for (printed, rank) in report.finish_order.iter().enumerate() {
            self.wait_for_word(printed);
            if left_out != Some(rank.0) {
                self.print(rank.0, &report.ranks[rank.0 as usize]).unwrap();
            }
        }
        line("system] [warning", "Exiting").unwrap();
        self.misbehave_after()
    }

    /// For reading and appending, although nothing is appended.
    fn open_as_the_original_does(&self, rank: usize) {
        let path = format!("{}.{rank}.et", self.option("workload-configuration"));
        let mut trace = OpenOptions::new().read(true).append(true).open(&path).expect("Failed to open file");
        if self.is_to("scribble").is_some() {
            trace.write_all(b"scribbled over").unwrap();
        }
    }

    fn tell_what_it_sees(&self) {
        if self.is_to("tell").is_none() {
            return;
        }
        let mut seen = format!("cwd {}\n", std::env::current_dir().unwrap().display());
        let mut stdin = String::new();
        io::stdin().read_to_string(&mut stdin).unwrap();
        seen.push_str(&format!("stdin {}\n", stdin.len()));
        std::env::args().skip(1).for_each(|argument| seen.push_str(&format!("argument {argument}\n")));
        std::env::vars().for_each(|(name, value)| seen.push_str(&format!("variable {name}={value}\n")));
        fs::write(self.directory.join("seen"), seen).unwrap();
    }

    #[expect(clippy::zombie_processes, reason = "that nobody waits for what was started is the misbehaviour")]
    fn misbehave_before(&self) {
        self.attempt();
        if let Some(what) = self.is_to("start") {
            // With this process' pipes, as a careless program does it.
            Command::new(std::env::current_exe().unwrap()).arg(what).stdin(Stdio::null()).spawn().unwrap();
        }
        if let Some(megabytes) = self.is_to("flood") {
            let text = [[b'x'; 999].as_slice(), b"\n"].concat().repeat(1000);
            let mut out = io::stdout().lock();
            (0..megabytes.parse::<u32>().unwrap()).for_each(|_| out.write_all(&text).unwrap());
        }
        if let Some(megabytes) = self.is_to("allocate") {
            let mut memory: Vec<u8> = Vec::new();
            if memory.try_reserve_exact(megabytes.parse::<usize>().unwrap() << 20).is_err() {
                eprintln!("terminate called after throwing an instance of 'std::bad_alloc'");
                std::process::abort();
            }
        }
        if self.is_to("ignore").is_some() {
            ctrlc::set_handler(|| ()).unwrap();
        }
        if self.is_to("unwatch").is_some() {
            kill_process(getppid().unwrap(), Signal::KILL).unwrap();
        }
        if self.is_to("hang").is_some() {
            File::create(self.directory.join("hangs")).unwrap();
            sleep(Duration::from_secs(600));
        }
        if self.is_to("abort").is_some() {
            eprintln!("Assertion `size > 0' failed.");
            std::process::abort();
        }
    }

    /// Counts attempts, and does not survive the first so many.
    fn attempt(&self) {
        let Some(fatal) = self.is_to("kill") else { return };
        let file = self.directory.join("attempts");
        let before: u32 = fs::read_to_string(&file).map_or(0, |text| text.parse().unwrap());
        fs::write(&file, (before + 1).to_string()).unwrap();
        if before < fatal.parse().unwrap() {
            kill_process(getpid(), Signal::KILL).unwrap();
        }
    }

    /// Prints no further rank until there is a file of that number.
    fn wait_for_word(&self, printed: usize) {
        while self.is_to("wait").is_some() && !self.directory.join(format!("go{printed}")).exists() {
            sleep(CYCLE);
        }
    }

    fn misbehave_after(&self) -> ExitCode {
        match self.is_to("exit") {
            Some(code) => {
                eprintln!("[Error] (network/analytical) bad file: network.yml");
                ExitCode::from(code.parse::<u8>().unwrap())
            }
            None => ExitCode::SUCCESS,
        }
    }

    fn print(&self, rank: u32, r: &RankReport) -> io::Result<()> {
        let finish = if self.is_to("zeros").is_some() { 0 } else { r.finish.0 };
        let finish = self.is_to("add").map_or(finish, |more| finish + more.parse::<u64>().unwrap());
        let r = RankReport { finish: Nanos(finish), ..*r };
        let of = |said| RankLine { rank: rank.into(), said }.to_string();
        line("workload] [info", &of(Said::finished(&r)))?;
        let statistics = |text: &str| line("statistics] [info", text);
        statistics(&format!("sys[{rank}]. Post statistics processing start."))?;
        if self.is_to("no-times").is_some() {
            return line(
                "workload] [critical",
                "Only GPU and COMM types are supported for overlap extraction",
            );
        }
        statistics(&format!("sys[{rank}]. Post statistics processing end."))?;
        Said::times(&r).try_for_each(|time| statistics(&of(time)))
    }
}

/// A line as the original's logger prints it.
fn line(logger_and_level: &str, text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "[2026-11-22 23:54:09.401] [{logger_and_level}] {text}")?;
    out.flush()
}

/// A process that outlives the one that started it, in its group or in a session of its own.
fn survive(how: &str) -> ExitCode {
    if how == "survive-elsewhere" {
        setsid().unwrap();
    }
    sleep(Duration::from_secs(600));
    ExitCode::SUCCESS
}

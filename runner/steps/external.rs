//! Step `run` where another program simulates: in its key are the hash of the executable and its options, and it also
//! reads `remote_memory.json`.
//!
//! The executable gets copies of everything, which it may write to, in a directory of the run. What it fails at is explained
//! by what is known here: the rules of the lint, and the built-in engine on the same input.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use artifact_store::{Digest, Tree};
use serde_json::{Value, json};

use crate::derivation::StepKind;
use crate::error::{Error, ErrorKind, Result};
use crate::external::{self, Completed, Executable, Failure, Incomplete, Limits, Log, Order};
use crate::files;
use crate::lint;
use crate::recipe::{Engine, Point};
use crate::report::{RunResult, format_nanos};
use crate::sim::NO_GROUPS;

use super::run::{self, Simulation};
use super::{Context, Inputs, RanksFinished, Sources, configs, et};

/// Where the traces lie in the directory of a run.
const TRACES: &str = "et";

/// Where the simulator writes its own log.
const LOG_FOLDER: &str = "log";

/// How much of what it printed an error repeats.
const REPEATED_LINES: usize = 10;

/// What decides the numbers that the executable of a point gives.
///
/// # Errors
/// When its name says that it has another network model than the recipe asks for.
pub(super) fn identity(sources: &Sources, point: &Point) -> Result<Value> {
    let executable = executable(sources, point)?;
    let asked = point.engine.network;
    if let Some(found) = executable.network_model().filter(|found| *found != asked) {
        let message = format!("`{asked}` is asked for, and by its name the simulator is `{found}`");
        return Err(Error::input(message)
            .key("engine.network")
            .in_file(executable.path.display())
            .hint(format!("set `engine.network` to \"{found}\", or name the other executable")));
    }
    Ok(json!({
        "kind": "astra-sim",
        "executable": executable.digest.to_string(),
        "options": options(&point.engine),
    }))
}

fn executable<'a>(sources: &'a Sources, point: &Point) -> Result<&'a Executable> {
    sources.executable(point.engine.external.binary.as_deref())
}

/// The options that are not names of files.
fn options(engine: &Engine) -> Vec<String> {
    vec![format!("--num-queues-per-dim={}", engine.queues_per_dimension)]
}

/// Simulates, and gives the result with what was printed, compressed. `simulation` is the same in the built-in engine's
/// terms.
///
/// # Errors
/// [`ErrorKind::Failed`] when the executable gives no result, with what is known about why; [`ErrorKind::Interrupted`].
pub(super) fn execute(
    context: &Context,
    point: &Point,
    inputs: &Inputs,
    simulation: Simulation<'_>,
    cancel: &AtomicBool,
    progress: &dyn Fn(RanksFinished),
) -> Result<(RunResult, Vec<u8>)> {
    let files = Files::read(context, inputs)?;
    let ranks = files.traces.entries().len();
    let Engine { external: wanted, .. } = &point.engine;
    let order = Order {
        watcher: context.watcher()?,
        executable: executable(&context.sources, point)?,
        arguments: &files.arguments(&point.engine)?,
        limits: Limits { time: wanted.timeout, memory_bytes: wanted.memory.map(|bytes| bytes.0) },
        ranks,
    };
    let progress = |finished| progress(RanksFinished { finished, ranks: ranks as u32 });
    let Completed { outcome, attempts, log } =
        external::run(&order, &|directory| files.write(context, directory), cancel, &progress)?;
    let failure = match outcome {
        Ok(result) => return Ok((result, log.compressed())),
        Err(failure) => failure,
    };
    let opinion = if failure.may_be_the_input() {
        Some(Opinion::on(context, point, simulation, cancel)?)
    } else {
        None
    };
    Err(explained(&failure, attempts, &log, opinion).in_file(order.executable.path.display()))
}

/// The files that a simulator reads, by their names in the directory of a run.
struct Files {
    /// Configuration files and groups.
    plain: Vec<(&'static str, Digest)>,
    traces: Tree,
    has_groups: bool,
}

impl Files {
    fn read(context: &Context, inputs: &Inputs) -> Result<Self> {
        let mut plain = Vec::new();
        for name in [configs::NETWORK, configs::SYSTEM, configs::REMOTE_MEMORY] {
            plain.push((name, inputs.output(StepKind::Configs, name)?));
        }
        let groups = inputs.optional(StepKind::Et, et::GROUPS);
        plain.extend(groups.map(|groups| (et::GROUPS, groups)));
        let traces = Tree::decode(&context.content(&inputs.output(StepKind::Et, et::TREE)?)?)?;
        Ok(Self { plain, traces, has_groups: groups.is_some() })
    }

    /// The command line. Names of files are relative to the directory of the run.
    fn arguments(&self, engine: &Engine) -> Result<Vec<String>> {
        let groups = if self.has_groups { et::GROUPS } else { NO_GROUPS };
        let mut arguments = vec![
            format!("--workload-configuration={TRACES}/{}", run::prefix_of(&self.traces)?),
            format!("--comm-group-configuration={groups}"),
            format!("--system-configuration={}", configs::SYSTEM),
            format!("--remote-memory-configuration={}", configs::REMOTE_MEMORY),
            format!("--network-configuration={}", configs::NETWORK),
            format!("--logging-folder={LOG_FOLDER}"),
        ];
        arguments.extend(options(engine));
        Ok(arguments)
    }

    /// Writes them all. Equal traces are copied from the first of them, which costs nothing where the file system can
    /// share blocks; a link would let the simulator write to all of them at once.
    fn write(&self, context: &Context, directory: &Path) -> Result<()> {
        for (name, digest) in &self.plain {
            files::write(&directory.join(name), &context.content(digest)?)?;
        }
        let traces = directory.join(TRACES);
        fs::create_dir(&traces).map_err(|e| files::unwritable(&traces, &e))?;
        let mut written: HashMap<Digest, PathBuf> = HashMap::new();
        for entry in self.traces.entries() {
            let path = traces.join(&entry.name);
            match written.get(&entry.digest) {
                Some(first) => drop(fs::copy(first, &path).map_err(|e| files::unwritable(&path, &e))?),
                None => {
                    let bytes = context.content(&entry.digest)?;
                    fs::write(&path, bytes).map_err(|e| files::unwritable(&path, &e))?;
                    written.insert(entry.digest, path);
                }
            }
        }
        Ok(())
    }
}

/// What is known here about an input that a simulator failed at.
enum Opinion {
    /// It breaks a rule that was not asked for before.
    Breaks(Error),
    /// The built-in engine fails too.
    Fails(Error),
    /// The built-in engine finishes after so many nanoseconds.
    Fine(u64),
}

impl Opinion {
    fn on(context: &Context, point: &Point, simulation: Simulation<'_>, cancel: &AtomicBool) -> Result<Self> {
        let Simulation { network, system, workload } = simulation;
        // What is linted before a run has passed.
        if !context.lints()
            && let Err(error) = lint::refuse(&lint::lint(network, system, workload))
        {
            return Ok(Self::Breaks(error));
        }
        match simulation.run(point, cancel) {
            Ok(result) => Ok(Self::Fine(result.finish_ns)),
            Err(e) if e.kind() == ErrorKind::Interrupted => Err(e),
            Err(error) => Ok(Self::Fails(error)),
        }
    }
}

fn explained(failure: &Failure, attempts: u32, log: &Log, opinion: Option<Opinion>) -> Error {
    let mut message = failure.to_string();
    if attempts > 1 {
        message.push_str(&format!(" (the last of {attempts} attempts)"));
    }
    if !matches!(failure, Failure::Incomplete(_) | Failure::NotStarted(..)) {
        let lines = log.last_lines(REPEATED_LINES);
        if !lines.is_empty() {
            message.push_str("; the last that it printed:");
            lines.iter().for_each(|line| message.push_str(&format!("\n  {line}")));
        }
    }
    let (cause, hint) = match opinion {
        Some(Opinion::Breaks(error)) => {
            message.push_str("\nthe check of the traces, which was left out, says:");
            (Some(error), None)
        }
        Some(Opinion::Fails(error)) => {
            message.push_str("\nof the same input the built-in engine says:");
            (Some(error), None)
        }
        Some(Opinion::Fine(finish)) => (None, Some(remedy_where_builtin_finishes(failure, finish))),
        None => (None, remedy(failure)),
    };
    let error = cause.into_iter().fold(Error::failed(message), Error::because);
    hint.into_iter().fold(error, Error::hint)
}

fn remedy_where_builtin_finishes(failure: &Failure, finish_ns: u64) -> String {
    let finishes = format!("the built-in engine finishes the same input after {}", format_nanos(finish_ns));
    match failure {
        Failure::Incomplete(Incomplete::NoTime(_)) => format!(
            "the simulator prints no times of ranks with CPU, memory or invalid nodes; {finishes}: `\"kind\": \"builtin\"`"
        ),
        _ => format!(
            "{finishes}: the executable is at fault, or follows other rules than `engine.dialect` and `engine.network` say"
        ),
    }
}

fn remedy(failure: &Failure) -> Option<String> {
    let remedy = match failure {
        Failure::NotStarted(..) => {
            "start it by hand to see what it lacks: another machine's program, a missing loader"
        }
        Failure::OutOfMemory(Some(_)) => "raise `engine.memory`",
        Failure::OutOfMemory(None) | Failure::Killed(_) => "run fewer at a time: `--jobs 1`",
        Failure::TimedOut(..) => {
            "raise `engine.timeout`, or look with `\"kind\": \"builtin\"` whether this input ends at all"
        }
        Failure::Unwatched(_) | Failure::Exited(_) | Failure::Crashed(_) | Failure::Incomplete(_) => {
            return None;
        }
    };
    Some(remedy.to_owned())
}

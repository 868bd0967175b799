//! One run of a simulator from the side of the build: its watcher is started, its output is read as it comes, and it is
//! told to end when its time is over or nobody wants it any more.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::executable::Executable;
use super::log::Log;
use super::printed::{Figures, LONGEST};
use super::processes;
use super::wire::{self, COMMAND, Start, Told};

/// What a simulator finds in its environment as it is in that of the build. Everything else it finds is the same for all:
/// `LC_ALL` is `C`, `HOME` and `TMPDIR` are the directory of the run.
pub const PASSED_ON: [&str; 3] = ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"];

/// How long a simulator that is to end may take for it.
const GRACE: Duration = Duration::from_secs(2);

/// How long, after a simulator has ended, what it printed may still be on its way.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How often somebody looks whether it is to end, and how far it has come.
const TICK: Duration = Duration::from_millis(20);

/// What one simulation may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Wall time.
    pub time: Option<Duration>,
    /// Address space of each of its processes.
    pub memory_bytes: Option<u64>,
}

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// The program `astra-store`, which is started as the watcher.
    pub watcher: &'a Path,
    /// The simulator.
    pub executable: &'a Executable,
    /// Its arguments; paths in them are relative to the directory of the run.
    pub arguments: &'a [String],
    /// What it may use.
    pub limits: Limits,
    /// How many ranks it is to print.
    pub ranks: usize,
}

/// How a run ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) how: How,
    pub(super) figures: Figures,
    pub(super) log: Log,
}

#[derive(Debug)]
pub(super) enum How {
    /// As the watcher says.
    Told(Told),
    /// It was not wanted any more.
    Cancelled,
    /// Its time was over.
    TimedOut(Duration),
    /// Nobody watches any more: why.
    Lost(String),
}

/// What has been printed so far.
#[derive(Debug)]
struct Captured {
    figures: Figures,
    log: Log,
}

/// Runs a simulator in a directory to its end.
pub(super) fn run(order: &Order<'_>, directory: &Path, cancel: &AtomicBool, progress: &dyn Fn(u32)) -> Ended {
    let captured = Captured { figures: Figures::new(order.ranks), log: Log::default() };
    let captured = Arc::new(Mutex::new(captured));
    let how = match Watched::start(order, directory, &captured) {
        Ok(watched) => watched.wait(order.limits.time, directory, cancel, progress),
        Err(e) => How::Lost(format!("{} cannot be started: {e}", order.watcher.display())),
    };
    let captured = lock(&captured);
    Ended { how, figures: captured.figures.clone(), log: captured.log.clone() }
}

fn lock(captured: &Mutex<Captured>) -> MutexGuard<'_, Captured> {
    captured.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A watcher at work.
struct Watched {
    watcher: Child,
    socket: UnixStream,
    told: Receiver<Told>,
    readers: [JoinHandle<()>; 2],
    captured: Arc<Mutex<Captured>>,
    leader: Option<Pid>,
}

impl Watched {
    fn start(order: &Order<'_>, directory: &Path, captured: &Arc<Mutex<Captured>>) -> std::io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        let mut watcher = Command::new(order.watcher)
            .arg(COMMAND)
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stdout = watcher.stdout.take().expect("stdout was asked to be a pipe");
        let stderr = watcher.stderr.take().expect("stderr was asked to be a pipe");
        let (tell, told) = channel();
        let mut from = BufReader::new(socket.try_clone()?);
        thread::spawn(move || {
            while let Ok(Some(message)) = wire::read(&mut from) {
                if tell.send(message).is_err() {
                    return;
                }
            }
        });
        let readers = [
            thread::spawn({
                let captured = Arc::clone(captured);
                move || read_figures(stdout, &captured)
            }),
            thread::spawn({
                let captured = Arc::clone(captured);
                move || read_complaints(stderr, &captured)
            }),
        ];
        let watched = Self { watcher, socket, told, readers, captured: Arc::clone(captured), leader: None };
        wire::write(&watched.socket, &start(order, directory))?;
        Ok(watched)
    }

    fn wait(
        mut self,
        limit: Option<Duration>,
        directory: &Path,
        cancel: &AtomicBool,
        progress: &dyn Fn(u32),
    ) -> How {
        let started = Instant::now();
        let mut finished = 0;
        let mut stopped = None;
        loop {
            match self.told.recv_timeout(TICK) {
                Ok(Told::Started(leader)) => self.leader = Pid::from_raw(leader),
                Ok(told) => {
                    self.last_words();
                    return stopped.unwrap_or(How::Told(told));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    self.end_unwatched(directory);
                    return stopped
                        .unwrap_or_else(|| How::Lost("its watcher ended before it did".to_owned()));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = lock(&self.captured).figures.finished();
            if now != finished {
                finished = now;
                progress(finished);
            }
            if stopped.is_none() {
                stopped = match limit {
                    _ if cancel.load(Ordering::Relaxed) => Some(How::Cancelled),
                    Some(limit) if started.elapsed() >= limit => Some(How::TimedOut(limit)),
                    _ => continue,
                };
                // The watcher takes this for the word to end everything, and says when that is done.
                let _ = self.socket.shutdown(Shutdown::Write);
            }
        }
    }

    /// Waits until everything printed has been read, but not for a process that escaped with a pipe.
    fn last_words(&self) {
        self.read_on(|| ());
    }

    /// Without its watcher nobody else ends the simulator. When the watcher did not get to say which process that is, it
    /// is one that works in the directory of the run.
    fn end_unwatched(&self, directory: &Path) {
        if let Some(leader) = self.leader {
            let _ = kill_process_group(leader, Signal::KILL);
        }
        self.read_on(|| {
            for pid in processes::working_in(directory) {
                let _ = kill_process(pid, Signal::KILL);
            }
        });
    }

    /// Until everything printed has been read, or long enough.
    fn read_on(&self, meanwhile: impl Fn()) {
        let deadline = Instant::now() + LAST_WORDS;
        while !self.readers.iter().all(JoinHandle::is_finished) && Instant::now() < deadline {
            meanwhile();
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Both);
        let _ = self.watcher.wait();
    }
}

fn start(order: &Order<'_>, directory: &Path) -> Start {
    let passed_on = PASSED_ON.into_iter().filter_map(|name| Some((name.into(), std::env::var_os(name)?)));
    let own =
        [("LC_ALL", OsStr::new("C")), ("HOME", directory.as_os_str()), ("TMPDIR", directory.as_os_str())];
    let environment: Vec<(OsString, OsString)> =
        passed_on.chain(own.map(|(name, value)| (name.into(), value.into()))).collect();
    Start {
        program: order.executable.path.clone().into(),
        arguments: order.arguments.to_vec(),
        environment,
        directory: directory.into(),
        memory_bytes: order.limits.memory_bytes,
        grace_ms: u64::try_from(GRACE.as_millis()).unwrap_or(u64::MAX),
    }
}

/// Takes lines as they come. A longer line than any of a rank's comes in pieces, none of which is taken for one.
fn read_figures(stdout: impl Read, captured: &Mutex<Captured>) {
    let mut stdout = BufReader::with_capacity(1 << 16, stdout);
    let mut line = Vec::with_capacity(LONGEST);
    let mut is_rest = false;
    loop {
        line.clear();
        match stdout.by_ref().take(LONGEST as u64).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let is_cut = !line.ends_with(b"\n");
        let mut captured = lock(captured);
        captured.log.stdout.add(&line);
        if let Ok(text) = std::str::from_utf8(&line)
            && !is_cut
            && !is_rest
        {
            captured.figures.line(text);
        }
        is_rest = is_cut;
    }
}

fn read_complaints(mut stderr: impl Read, captured: &Mutex<Captured>) {
    let mut buffer = [0; 1 << 14];
    while let Ok(read @ 1..) = stderr.read(&mut buffer) {
        lock(captured).log.stderr.add(&buffer[..read]);
    }
}

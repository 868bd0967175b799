//! The helper process from the asking side: start it, ask with a limit on patience, end it with all it started.
//!
//! Three threads carry bytes, so that no pipe that fills up and no plugin that hangs can hold the asking one. What
//! escapes: a process that a plugin puts into a group of its own and that outlives the helper.

use std::io::{BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::abi_v1::Reply;
use super::about::About;
use super::trouble::Trouble;
use super::wire::{self, FromHelper, Open, Question, Questions, Said, ToHelper, Told, framed};

/// The hidden command of this program that runs a helper.
pub(crate) const COMMAND: &str = "__policy-host";

/// What a policy may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For loading, for reading its configuration, and for each answer.
    pub patience: Duration,
    /// Processor time of all its answers together, in seconds.
    pub cpu_s: u64,
    /// Address space of its process.
    pub memory_bytes: u64,
}

impl Default for Limits {
    /// 10 s per answer, an hour of processor time, 4 GiB.
    fn default() -> Self {
        Self { patience: Duration::from_secs(10), cpu_s: 3600, memory_bytes: 4 << 30 }
    }
}

/// Questions in one message; answers come one by one.
const BATCH: usize = 256;

/// How long a helper that was told to end may take.
const FAREWELL: Duration = Duration::from_millis(500);

/// How long to wait for the end of what was printed: somebody whom the plugin left behind may still hold it open.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How much of what a plugin prints is kept, in bytes.
const PRINTED: usize = 512;

/// A helper process with an opened plugin.
#[derive(Debug)]
pub(super) struct Helper {
    child: Child,
    to: Option<Sender<Vec<u8>>>,
    from: Receiver<Came>,
    printed: Arc<Mutex<Vec<u8>>>,
    printing: JoinHandle<()>,
    patience: Duration,
    next_number: u64,
    ended: bool,
}

/// What came from a helper.
#[derive(Debug)]
enum Came {
    Message(FromHelper),
    End,
    Garbage(String),
}

impl Helper {
    /// Starts `program` as a helper and has it open a plugin. Trouble comes with what the plugin printed.
    pub(super) fn start(
        program: &Path,
        library: &Path,
        config: &str,
        limits: &Limits,
    ) -> Result<(Self, About), (Trouble, String)> {
        let mut helper = Self::spawn(program, limits).map_err(|e| {
            (Trouble::NoHelper(format!("cannot start {}: {e}", program.display())), String::new())
        })?;
        let library = library.to_str().ok_or_else(|| {
            let why = format!("the path {} is not UTF-8; set TMPDIR to another directory", library.display());
            (Trouble::NoHelper(why), String::new())
        })?;
        helper.send(Told::Open(Open {
            library: library.to_owned(),
            config: config.to_owned(),
            memory_bytes: limits.memory_bytes,
            cpu_s: limits.cpu_s,
        }));
        let opened = match helper.receive(0) {
            Ok(Said::About(about)) => Ok(about.into()),
            Ok(said) => Err(trouble(said)),
            Err(trouble) => Err(trouble),
        };
        match opened {
            Ok(about) => Ok((helper, about)),
            Err(trouble) => {
                let printed = helper.last_words();
                Err((trouble, printed))
            }
        }
    }

    fn spawn(program: &Path, limits: &Limits) -> std::io::Result<Self> {
        let mut child = Command::new(program)
            .arg(COMMAND)
            .arg(std::process::id().to_string())
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take().expect("stdin was asked to be a pipe");
        let stdout = child.stdout.take().expect("stdout was asked to be a pipe");
        let stderr = child.stderr.take().expect("stderr was asked to be a pipe");
        let (to, outbox) = channel::<Vec<u8>>();
        let (inbox, from) = channel();
        let printed = Arc::new(Mutex::new(Vec::new()));
        thread::spawn(move || write_all(stdin, &outbox));
        thread::spawn(move || read_all(stdout, &inbox));
        let tail = Arc::clone(&printed);
        let printing = thread::spawn(move || keep_tail(stderr, &tail));
        let (patience, to) = (limits.patience, Some(to));
        Ok(Self { child, to, from, printed, printing, patience, next_number: 1, ended: false })
    }

    /// Asks questions and gives the replies in their order. Trouble ends the list, and the helper is of no further use.
    pub(super) fn ask(&mut self, questions: Vec<Question>) -> (Vec<Reply>, Option<Trouble>) {
        let count = questions.len();
        let first = self.next_number;
        self.next_number += count as u64;
        let mut questions = questions.into_iter();
        for first_number in (first..).step_by(BATCH) {
            let batch: Vec<Question> = questions.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                break;
            }
            self.send(Told::Questions(Questions { first_number, questions: batch }));
        }
        let mut replies = Vec::with_capacity(count);
        for number in (first..).take(count) {
            replies.push(match self.receive(number) {
                Ok(Said::Answer(answer)) => Reply::Answered(answer),
                Ok(Said::NoOpinion(_)) => Reply::NoOpinion,
                Ok(Said::Refused(text)) => Reply::Refused(text),
                Ok(Said::Broken(what)) => Reply::Broken(what),
                Ok(other @ Said::About(_)) => return (replies, Some(trouble(other))),
                Err(trouble) => return (replies, Some(trouble)),
            });
        }
        (replies, None)
    }

    /// The last line that the plugin printed. Ends the helper, so that there is a last one.
    pub(super) fn last_words(&mut self) -> String {
        if !self.ended {
            self.end(FAREWELL);
        }
        let deadline = Instant::now() + LAST_WORDS;
        while !self.printing.is_finished() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        let bytes = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&bytes);
        let last = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
        last.chars().filter(|c| !c.is_control()).take(200).collect()
    }

    fn send(&self, told: Told) {
        if let Some(to) = &self.to {
            // A helper that is gone is noticed when its answer is waited for.
            let _ = to.send(framed(&ToHelper { what: Some(told) }));
        }
    }

    fn receive(&mut self, number: u64) -> Result<Said, Trouble> {
        let trouble = match self.from.recv_timeout(self.patience) {
            Ok(Came::Message(FromHelper { number: found, what: Some(said) })) if found == number => {
                return Ok(said);
            }
            Ok(Came::End) | Err(RecvTimeoutError::Disconnected) => return Err(self.why_ended()),
            Ok(Came::Message(message)) => {
                Trouble::Garbage(format!("message {} in the place of {number}", message.number))
            }
            Ok(Came::Garbage(what)) => Trouble::Garbage(what),
            Err(RecvTimeoutError::Timeout) => Trouble::Silent(self.patience),
        };
        self.end(Duration::ZERO);
        Err(trouble)
    }

    /// Why the helper closed its pipe.
    fn why_ended(&mut self) -> Trouble {
        let status = self.end(FAREWELL);
        match status.map(|status| (status.signal(), status.code())) {
            Some((Some(signal), _)) => Trouble::Killed(signal),
            Some((None, Some(code))) => Trouble::Exited(code),
            _ => Trouble::Garbage("it closed its pipe and went on".to_owned()),
        }
    }

    /// Lets the helper end within some time, or makes it, and everything in its group with it. Gives the status when it
    /// ended by itself.
    fn end(&mut self, within: Duration) -> Option<ExitStatus> {
        self.to = None;
        self.ended = true;
        let pid = Pid::from_child(&self.child);
        let deadline = Instant::now() + within;
        // The helper is not reaped before its group is gone, so that nobody else can get that number.
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let by_itself = loop {
            match waitid(WaitId::Pid(pid), look) {
                Ok(Some(_)) => break true,
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
                _ => break false,
            }
        };
        let _ = kill_process_group(pid, Signal::KILL);
        let status = self.child.wait().ok();
        status.filter(|_| by_itself)
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        if !self.ended {
            self.end(FAREWELL);
        }
    }
}

fn trouble(said: Said) -> Trouble {
    match said {
        Said::Refused(text) => Trouble::Refused(text),
        Said::Broken(what) => Trouble::Broken(what),
        Said::About(_) | Said::Answer(_) | Said::NoOpinion(_) => {
            Trouble::Garbage("an answer to another question".to_owned())
        }
    }
}

fn write_all(mut stdin: impl Write, outbox: &Receiver<Vec<u8>>) {
    while let Ok(bytes) = outbox.recv() {
        if stdin.write_all(&bytes).is_err() {
            return;
        }
    }
}

fn read_all(stdout: impl Read, inbox: &Sender<Came>) {
    let mut stdout = BufReader::with_capacity(1 << 16, stdout);
    loop {
        let came = match wire::read(&mut stdout) {
            Ok(Some(message)) => Came::Message(message),
            Ok(None) => Came::End,
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Came::End,
            Err(e) => Came::Garbage(e.to_string()),
        };
        let last = !matches!(came, Came::Message(_));
        if inbox.send(came).is_err() || last {
            return;
        }
    }
}

fn keep_tail(mut stderr: impl Read, tail: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 1 << 14];
    while let Ok(len @ 1..) = stderr.read(&mut buffer) {
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.extend_from_slice(&buffer[..len]);
        let excess = tail.len().saturating_sub(PRINTED);
        tail.drain(..excess);
    }
}

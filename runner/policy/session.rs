//! One policy, opened with its configuration, that is asked questions.
//!
//! Where it runs is decided once. A policy that fails ends its helper, and the next question starts another one: a step
//! fails, the build and the store go on.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

use artifact_store::{Digest, SharedBytes};
use astra_policy::{Answer, Choice, Request, raw};
use tempfile::NamedTempFile;

use super::abi_v1::{Plugin, Reply};
use super::about::About;
use super::helper::{Helper, Limits};
use super::judge::{Ruling, judge};
use super::platform::Platform;
use super::shipped::{Opened, Shipped};
use super::trouble::Trouble;
use super::wire::{self, Question};
use crate::error::{Error, ErrorKind, Result};
use crate::program::this_program;

/// Where a policy comes from.
#[derive(Clone)]
pub enum Source {
    /// It is part of this program.
    Shipped(Shipped),
    /// A shared library.
    Library {
        /// What the user calls it, for messages.
        name: String,
        /// The library. These bytes are loaded, whatever has happened to the file since they were read.
        bytes: SharedBytes,
    },
}

impl Source {
    /// What identifies the policy in a key: name and version of a shipped one, digest of a library.
    pub fn identity(&self) -> String {
        match self {
            Self::Shipped(shipped) => format!("{} {}", shipped.name, shipped.version),
            Self::Library { bytes, .. } => Digest::of(bytes).to_string(),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Shipped(shipped) => shipped.name,
            Self::Library { name, .. } => name,
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.identity())
    }
}

/// Where code that came as a file runs. A shipped policy always runs in this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// In a process of its own, which this program (`astra-store`) is started for.
    Helper(
        /// The program.
        PathBuf,
    ),
    /// In this process, for debuggers: a plugin that fails takes everything with it.
    InProcess,
}

impl Isolation {
    /// The helper is the running program.
    ///
    /// # Errors
    /// When the system does not say which that is.
    pub fn this_program() -> Result<Self> {
        this_program().map(Self::Helper)
    }
}

/// A policy that is asked questions.
#[derive(Debug)]
pub struct Session {
    source: Source,
    config: String,
    isolation: Isolation,
    limits: Limits,
    /// The copy of a library that is loaded.
    copy: Option<NamedTempFile>,
    about: About,
    /// None after a failure, until the next question.
    live: Option<Live>,
}

/// A session may move between threads.
const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<Session>();
};

#[derive(Debug)]
enum Live {
    Shipped(Opened),
    InProcess(Plugin),
    Helper(Helper),
}

impl Session {
    /// Opens a policy with the text of its configuration.
    ///
    /// # Errors
    /// [`ErrorKind::Failed`] when it cannot be loaded, breaks a rule or refuses its configuration, naming the policy;
    /// [`ErrorKind::System`] when there is no helper process to be had.
    pub fn open(
        source: Source,
        config: impl Into<String>,
        isolation: Isolation,
        limits: Limits,
    ) -> Result<Self> {
        let copy = match &source {
            Source::Shipped(_) => None,
            Source::Library { name, bytes } => {
                if let Some(platform) = Platform::of(bytes).filter(|platform| !platform.runs_here()) {
                    let message = format!("the library is for {platform}, this is {}", Platform::here());
                    return Err(Error::failed(message).in_file(name));
                }
                Some(copied(bytes)?)
            }
        };
        let about = About::default();
        let mut session = Self { source, config: config.into(), isolation, limits, copy, about, live: None };
        session.live()?;
        Ok(session)
    }

    /// What the policy says of itself.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Where it comes from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Asks all of the requests and gives a ruling for each, in their order.
    ///
    /// # Errors
    /// [`ErrorKind::Failed`] at the first request for which the policy fails: it names the policy, the request and what
    /// the policy did. The session can be asked again.
    pub fn ask(&mut self, requests: &[Request]) -> Result<Vec<Ruling>> {
        let (outcomes, printed) = self.outcomes(requests)?;
        let named = outcomes.into_iter().zip(requests);
        named.map(|(outcome, request)| outcome.map_err(|t| self.error(t, request, &printed))).collect()
    }

    /// The error for a request that was not ruled on.
    pub(super) fn error(&self, trouble: Trouble, request: &Request, printed: &str) -> Error {
        trouble.error(self.source.name(), Some(request), printed)
    }

    /// What comes of each request, and what the policy printed where something broke. When its process ends, so does the
    /// list.
    ///
    /// # Errors
    /// When the policy cannot be opened again after an earlier failure.
    pub(super) fn outcomes(
        &mut self,
        requests: &[Request],
    ) -> Result<(Vec<Result<Ruling, Trouble>>, String)> {
        let mut printed = String::new();
        let (replies, trouble) = match self.live()? {
            Live::Helper(helper) => {
                let asked = helper.ask(requests.iter().map(Question::from).collect());
                let broken = |reply: &Reply| matches!(reply, Reply::Broken(_));
                if asked.1.is_some() || asked.0.iter().any(broken) {
                    printed = helper.last_words();
                }
                asked
            }
            Live::Shipped(policy) => (requests.iter().map(|request| reply(policy, request)).collect(), None),
            Live::InProcess(plugin) => (requests.iter().map(|request| plugin.ask(request)).collect(), None),
        };
        // A policy that broke a rule may have broken more than that.
        if trouble.is_some() || replies.iter().any(|reply| matches!(reply, Reply::Broken(_))) {
            self.live = None;
        }
        let ruled = requests.iter().zip(replies).map(|(request, reply)| ruling(request, reply));
        let outcomes = ruled.chain(trouble.map(Err)).collect();
        Ok((outcomes, printed))
    }

    /// Ends the process of the policy, if it has one; the next question starts another.
    pub fn restart(&mut self) {
        self.live = None;
    }

    fn live(&mut self) -> Result<&mut Live> {
        let live = match self.live.take() {
            Some(live) => live,
            None => {
                let (live, about) = self
                    .start()
                    .map_err(|(trouble, printed)| trouble.error(self.source.name(), None, &printed))?;
                self.about = about;
                live
            }
        };
        Ok(self.live.insert(live))
    }

    fn start(&self) -> Result<(Live, About), (Trouble, String)> {
        let path = self.copy.as_ref().map_or(Path::new(""), NamedTempFile::path);
        match (&self.source, &self.isolation) {
            (Source::Shipped(shipped), _) => {
                let refused =
                    |refusal: astra_policy::Refusal| (Trouble::Refused(refusal.to_string()), String::new());
                let opened = shipped.open(&self.config).map_err(refused)?;
                Ok((Live::Shipped(opened), shipped.about()))
            }
            (Source::Library { .. }, Isolation::Helper(program)) => {
                let (helper, about) = Helper::start(program, path, &self.config, &self.limits)?;
                Ok((Live::Helper(helper), about))
            }
            (Source::Library { .. }, Isolation::InProcess) => {
                let plugin = Plugin::open(path, &self.config).map_err(|reply| {
                    let trouble = match reply {
                        Reply::Refused(text) => Trouble::Refused(text),
                        Reply::Broken(what) => Trouble::Broken(what),
                        Reply::Answered(_) | Reply::NoOpinion => {
                            Trouble::Broken("answered before it was asked".to_owned())
                        }
                    };
                    (trouble, String::new())
                })?;
                let about = plugin.about().clone();
                Ok((Live::InProcess(plugin), about))
            }
        }
    }
}

/// A copy that nobody else knows of: what is loaded is what was read and hashed.
fn copied(bytes: &[u8]) -> Result<NamedTempFile> {
    let failed = |e: std::io::Error| {
        Error::new(ErrorKind::System, format!("cannot copy the policy's library to load it: {e}"))
            .in_file(std::env::temp_dir().display())
            .hint("set TMPDIR to a directory that can be written to and run from")
    };
    let mut file = tempfile::Builder::new().prefix("policy-").suffix(".so").tempfile().map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.flush()).map_err(failed)?;
    Ok(file)
}

fn ruling(request: &Request, reply: Reply) -> Result<Ruling, Trouble> {
    match reply {
        Reply::Answered(answer) => judge(request, answer).map(Ruling::Decided).map_err(Trouble::Broken),
        Reply::NoOpinion => Ok(Ruling::NoOpinion),
        Reply::Refused(text) => Err(Trouble::Refused(text)),
        Reply::Broken(what) => Err(Trouble::Broken(what)),
    }
}

/// The reply of a policy that is part of this program, in the form that every other reply has.
fn reply(policy: &Opened, request: &Request) -> Reply {
    match policy.decide(request) {
        Ok(Some(answer)) => Reply::Answered(answered(answer)),
        Ok(None) => Reply::NoOpinion,
        Err(refusal) => Reply::Refused(refusal.to_string()),
    }
}

fn answered(answer: Answer) -> wire::Answer {
    let columns = astra_policy::Algorithm::ALL.len();
    let mut algorithms = vec![raw::UNDECIDED; answer.dimensions.len()];
    let mut costs_ns = Vec::new();
    for (index, choice) in answer.dimensions.iter().enumerate() {
        match choice {
            Choice::Algorithm(algorithm) => algorithms[index] = algorithm.number() as i32,
            Choice::Costs(costs) => {
                costs_ns.resize(answer.dimensions.len() * columns, raw::NO_COST);
                for (algorithm, cost) in costs {
                    costs_ns[index * columns + algorithm.number() as usize] = *cost;
                }
            }
        }
    }
    wire::Answer {
        dimension_count: u32::try_from(answer.dimensions.len()).unwrap_or(u32::MAX),
        algorithms,
        costs_ns,
        dataset_splits: answer.dataset_splits.unwrap_or(0),
        active_chunks: answer.active_chunks.unwrap_or(0),
        predicted_ns: answer.predicted_ns.unwrap_or(raw::NO_COST),
        reason: answer.reason,
    }
}

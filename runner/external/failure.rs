//! How a run of a simulator can fail, and whether another attempt can end otherwise.
//!
//! A simulator is a pure program: what it refuses or gets wrong once it refuses again. Only what the machine did to it
//! can differ the next time.

use std::fmt;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::Signal;

use super::log::Log;
use super::printed::Incomplete;
use super::process::{How, Limits};
use super::wire::Told;

/// Why a run gave no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The system did not start it: the number of the error, if it has one, and its text.
    NotStarted(Option<i32>, String),
    /// It ended with this exit code.
    Exited(i32),
    /// It was ended by a signal that its own doing leads to.
    Crashed(i32),
    /// It was ended by a signal that somebody else sends.
    Killed(i32),
    /// It asked for more memory than there is, or than its limit in bytes.
    OutOfMemory(Option<u64>),
    /// It had not ended after this time; so many ranks had finished.
    TimedOut(Duration, u32),
    /// The process that watches over it failed.
    Unwatched(String),
    /// It ended with success, and what it printed is no result.
    Incomplete(Incomplete),
}

/// Errors on starting a program that pass: the system is short of something, or the file is being written.
const PASSING: [Errno; 5] = [Errno::AGAIN, Errno::NOMEM, Errno::TXTBSY, Errno::MFILE, Errno::NFILE];

/// What programs say that have no memory left.
const MEMORY_WORDS: [&str; 3] = ["bad_alloc", "out of memory", "cannot allocate memory"];

impl Failure {
    /// Whether another attempt may give a result.
    pub fn can_pass(&self) -> bool {
        match self {
            Self::NotStarted(number, _) => {
                number.is_some_and(|n| PASSING.iter().any(|e| e.raw_os_error() == n))
            }
            Self::Killed(_) | Self::OutOfMemory(None) | Self::Unwatched(_) => true,
            Self::OutOfMemory(Some(_))
            | Self::Exited(_)
            | Self::Crashed(_)
            | Self::TimedOut(..)
            | Self::Incomplete(_) => false,
        }
    }

    /// Whether the input may be what it failed at, so that looking at that may explain it.
    pub fn may_be_the_input(&self) -> bool {
        matches!(self, Self::Exited(_) | Self::Crashed(_) | Self::Incomplete(_))
    }

    /// How a run failed that did not end with success; `None` of one that did, or that was not wanted any more.
    pub(super) fn of(how: How, log: &Log, limits: &Limits, finished: u32) -> Option<Self> {
        let by_signal = |signal| match Signal::from_named_raw(signal) {
            Some(Signal::KILL | Signal::TERM | Signal::INT | Signal::HUP | Signal::QUIT) => {
                Self::Killed(signal)
            }
            _ => Self::Crashed(signal),
        };
        let failure = match how {
            How::Cancelled | How::Told(Told::Exited(0)) => return None,
            How::TimedOut(after) => Self::TimedOut(after, finished),
            How::Lost(why) => Self::Unwatched(why),
            How::Told(Told::NotStarted(number, why)) => Self::NotStarted(number, why),
            How::Told(Told::Exited(code)) => Self::Exited(code),
            How::Told(Told::Signalled(signal)) => by_signal(signal),
            How::Told(Told::Started(_)) => Self::Unwatched("its watcher lost count".to_owned()),
        };
        let had_no_memory = || {
            let last = log.last_lines(5).join("\n").to_lowercase();
            MEMORY_WORDS.iter().any(|word| last.contains(word))
        };
        match failure {
            Self::Exited(_) | Self::Crashed(_) if had_no_memory() => {
                Some(Self::OutOfMemory(limits.memory_bytes))
            }
            failure => Some(failure),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted(_, why) => write!(f, "it could not be started: {why}"),
            Self::Exited(code) => write!(f, "it ended with exit code {code}"),
            Self::Crashed(signal) => write!(f, "it crashed: {}", signal_name(*signal)),
            Self::Killed(signal) => write!(f, "it was killed by somebody else: {}", signal_name(*signal)),
            Self::OutOfMemory(Some(limit)) => {
                write!(f, "it needs more memory than its limit of {limit} bytes")
            }
            Self::OutOfMemory(None) => f.write_str("it ran out of memory"),
            Self::TimedOut(after, finished) => {
                write!(
                    f,
                    "it had not ended after {} s, its limit; {finished} ranks had finished",
                    after.as_secs()
                )
            }
            Self::Unwatched(why) => write!(f, "it could not be watched over: {why}"),
            Self::Incomplete(incomplete) => write!(f, "it ended with success, but {incomplete}"),
        }
    }
}

fn signal_name(number: i32) -> String {
    let name = match Signal::from_named_raw(number) {
        Some(Signal::ABORT) => "abort, as after a failed assertion",
        Some(Signal::SEGV) => "segmentation fault",
        Some(Signal::FPE) => "division by zero",
        Some(Signal::BUS) => "bus error",
        Some(Signal::ILL) => "illegal instruction",
        Some(Signal::KILL) => "kill, as by a system that has no memory left",
        Some(Signal::TERM) => "termination",
        Some(Signal::INT) => "interrupt",
        Some(Signal::HUP) => "hang-up",
        _ => return format!("signal {number}"),
    };
    format!("signal {number} ({name})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(how: How, complaint: &str, limits: Limits) -> Failure {
        let mut log = Log::default();
        log.stderr.add(complaint.as_bytes());
        Failure::of(how, &log, &limits, 0).unwrap()
    }

    #[test]
    fn only_what_the_machine_did_is_tried_again() {
        let none = Limits::default();
        let signalled = |signal: Signal| of(How::Told(Told::Signalled(signal.as_raw())), "", none);
        for signal in [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP] {
            assert!(signalled(signal).can_pass(), "{signal:?}");
        }
        for signal in [Signal::ABORT, Signal::SEGV, Signal::FPE] {
            assert!(!signalled(signal).can_pass(), "{signal:?}");
            assert!(signalled(signal).may_be_the_input());
        }
        let not_started =
            |e: Errno| of(How::Told(Told::NotStarted(Some(e.raw_os_error()), String::new())), "", none);
        assert!(not_started(Errno::AGAIN).can_pass());
        assert!(not_started(Errno::TXTBSY).can_pass());
        assert!(!not_started(Errno::NOEXEC).can_pass());
        assert!(!not_started(Errno::ACCESS).can_pass());
        assert!(!of(How::Told(Told::Exited(1)), "", none).can_pass());
        assert!(!of(How::TimedOut(Duration::from_secs(3)), "", none).can_pass());
    }

    #[test]
    fn memory_that_a_limit_refuses_is_refused_again_and_memory_that_the_machine_lacks_may_come_back() {
        let complaint =
            "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n";
        let aborted = || How::Told(Told::Signalled(Signal::ABORT.as_raw()));
        assert!(of(aborted(), complaint, Limits::default()).can_pass());
        let limited = of(aborted(), complaint, Limits { memory_bytes: Some(100), ..Limits::default() });
        assert_eq!(limited, Failure::OutOfMemory(Some(100)));
        assert!(!limited.can_pass());
        assert_eq!(
            of(aborted(), "assertion failed", Limits::default()),
            Failure::Crashed(Signal::ABORT.as_raw())
        );
    }

    #[test]
    fn success_and_what_was_not_wanted_are_no_failures() {
        for how in [How::Told(Told::Exited(0)), How::Cancelled] {
            assert_eq!(Failure::of(how, &Log::default(), &Limits::default(), 0), None);
        }
    }
}

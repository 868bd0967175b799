//! What can go wrong with a policy, and how it is told: which policy, which question, what it did.

use std::time::Duration;

use astra_policy::Request;
use rustix::process::Signal;

use crate::error::{Error, ErrorKind};

/// What a policy did instead of answering.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Trouble {
    /// It gave an error, in its words.
    Refused(String),
    /// It broke a rule of the interface, or its answer cannot be acted on: a fragment that follows its name.
    Broken(String),
    /// A signal ended the helper process.
    Killed(i32),
    /// The helper process ended with this exit code.
    Exited(i32),
    /// No answer came in time.
    Silent(Duration),
    /// What came was no answer.
    Garbage(String),
    /// The helper process could not be had at all: not the policy's doing.
    NoHelper(String),
}

impl Trouble {
    /// The error of a step: `at` names the question, or nothing for the opening; `printed` is what the policy last wrote
    /// to its output.
    pub(super) fn error(self, policy: &str, at: Option<&Request>, printed: &str) -> Error {
        let (kind, what) = match self {
            Self::Refused(text) => (ErrorKind::Failed, text),
            Self::Broken(what) => (ErrorKind::Failed, format!("the policy {what}")),
            Self::Killed(signal) => (ErrorKind::Failed, format!("the policy {}", killed(signal))),
            Self::Exited(code) => {
                (ErrorKind::Failed, format!("the policy ended its process with exit code {code}"))
            }
            Self::Silent(limit) => {
                (ErrorKind::Failed, format!("the policy did not answer within {} s", limit.as_secs_f64()))
            }
            Self::Garbage(what) => {
                (ErrorKind::Failed, format!("the policy's process sent garbage instead of an answer: {what}"))
            }
            Self::NoHelper(why) => (ErrorKind::System, format!("cannot run the policy: {why}")),
        };
        let said = if printed.is_empty() { String::new() } else { format!("; it last printed `{printed}`") };
        let error = Error::new(kind, format!("{what}{said}")).in_file(policy);
        match at {
            Some(request) => error.key(named(request)),
            None => error,
        }
    }
}

/// `all_reduce of 1048576 bytes on 8 ranks (Ring of 8)`.
fn named(request: &Request) -> String {
    let dimensions: Vec<String> =
        request.dimensions.iter().map(|d| format!("{} of {}", d.topology, d.npus)).collect();
    let group = request.group.as_ref().map(|group| format!("a group of {} of ", group.len()));
    format!(
        "{} of {} bytes on {}{} ranks ({})",
        request.collective,
        request.payload_bytes,
        group.unwrap_or_default(),
        request.ranks,
        dimensions.join(", ")
    )
}

/// What a signal says of the process it ended.
fn killed(signal: i32) -> String {
    let (name, deed) = match Signal::from_named_raw(signal) {
        Some(Signal::SEGV) => ("SIGSEGV", "crashed on a memory access"),
        Some(Signal::BUS) => ("SIGBUS", "crashed on a memory access"),
        Some(Signal::ABORT) => ("SIGABRT", "aborted"),
        Some(Signal::ILL) => ("SIGILL", "crashed on an instruction the processor does not have"),
        Some(Signal::FPE) => ("SIGFPE", "crashed in its arithmetic"),
        Some(Signal::KILL) => ("SIGKILL", "was killed"),
        Some(Signal::XCPU) => ("SIGXCPU", "used up its processor time"),
        Some(Signal::XFSZ) => ("SIGXFSZ", "wrote a file, which a policy may not"),
        _ => return format!("was ended by signal {signal}"),
    };
    format!("{deed} (signal {signal}, {name})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::sample_questions;

    #[test]
    fn an_error_names_policy_question_and_deed() {
        let error = Trouble::Killed(11).error("tuner.so", sample_questions().first(), "ouch");
        let text = error.to_string();
        assert!(text.starts_with("tuner.so: all_reduce of "), "{text}");
        assert!(text.contains("the policy crashed on a memory access (signal 11, SIGSEGV)"), "{text}");
        assert!(text.ends_with("; it last printed `ouch`"), "{text}");
    }

    #[test]
    fn what_a_policy_says_itself_is_told_in_its_words() {
        let error = Trouble::Refused("no row for 6 ranks".to_owned()).error("csv", None, "");
        assert_eq!(error.to_string(), "csv: no row for 6 ranks");
    }
}

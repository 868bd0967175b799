//! What a lint says: one finding per problem, with the place it was first met.

use std::collections::BTreeMap;
use std::fmt;

use astra_engine::{NodeProblem, Rank};

use super::At;
use crate::{Error, Notice, Result};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The simulation can run; its result may not be what was meant.
    Warning,
    /// The simulation would fail, stall, or simulate something else than what is written.
    Error,
}

/// Which rule a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// The network can be simulated.
    Network,
    /// The system settings are in range, and no list of algorithms is longer than the network has dimensions.
    System,
    /// There is a trace for every rank of the network, and groups consist of its ranks.
    Workload,
    /// The simulator can execute the node.
    Node,
    /// Collectives name groups that exist and that the rank is a member of.
    Group,
    /// There is an algorithm, able to carry out the collective, for every dimension of the network.
    Algorithm,
    /// Collectives and messages have a size that can be simulated.
    Size,
    /// All members of a group take part in the same collectives.
    CollectivesAgree,
    /// Messages go to another rank of the network, with a tag in range.
    Peer,
    /// What one rank sends another receives, as often, with the same size and tag.
    MessagesMatch,
}

impl Rule {
    /// The rule's name in listings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::System => "system",
            Self::Workload => "workload",
            Self::Node => "node",
            Self::Group => "group",
            Self::Algorithm => "algorithm",
            Self::Size => "size",
            Self::CollectivesAgree => "collectives-agree",
            Self::Peer => "peer",
            Self::MessagesMatch => "messages-match",
        }
    }
}

/// The node a finding is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The rank; the first of those that share the trace.
    pub rank: Rank,
    /// The node's id.
    pub node: u64,
    /// The node's name.
    pub name: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {}, node {} `{}`", self.rank, self.node, self.name.escape_debug())
    }
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Which rule it breaks.
    pub rule: Rule,
    /// The first node with the problem; `None` when it is not one of a node.
    pub place: Option<Place>,
    /// What is wrong and what to do.
    pub message: String,
    /// How many more nodes have exactly this problem.
    pub repeats: u64,
}

impl Finding {
    /// The finding about something that is accepted.
    fn notice(&self) -> Notice {
        let about = self.place.as_ref().map_or_else(|| self.rule.as_str().to_owned(), Place::to_string);
        Notice::new(about, format!("{}{}", self.message, Repeats(self.repeats)))
    }
}

impl fmt::Display for Finding {
    /// One line: place, message, how many more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}{}", self.message, Repeats(self.repeats))
    }
}

/// How many more nodes have a problem, as the end of a sentence.
struct Repeats(u64);

impl fmt::Display for Repeats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            1 => f.write_str(" (and one more node)"),
            repeats => write!(f, " (and {repeats} more nodes)"),
        }
    }
}

/// How many errors a refusal lists; the rest is counted.
const MOST_LISTED: usize = 5;

/// Turns findings into an error when one of them is an error; otherwise gives the warnings.
///
/// # Errors
/// The errors: one as it is, several one per line, those after the fifth counted.
pub fn refuse(findings: &[Finding]) -> Result<Vec<Notice>> {
    let (errors, warnings): (Vec<_>, Vec<_>) = findings.iter().partition(|f| f.severity == Severity::Error);
    match errors[..] {
        [] => Ok(warnings.into_iter().map(Finding::notice).collect()),
        [only] => Err(Error::input(only.to_string())),
        _ => {
            let mut message = format!("{} problems", errors.len());
            for error in errors.iter().take(MOST_LISTED) {
                message += &format!("\n  {error}");
            }
            if let Some(more @ 1..) = errors.len().checked_sub(MOST_LISTED) {
                message += &format!("\n  and {more} more");
            }
            Err(Error::input(message))
        }
    }
}

/// Findings being collected; equal ones are counted.
#[derive(Default)]
pub(super) struct Findings {
    found: Vec<Finding>,
    known: BTreeMap<(Rule, String), usize>,
}

impl Findings {
    /// An error that is not about a node.
    pub(super) fn general(&mut self, rule: Rule, message: String) {
        self.add(Severity::Error, rule, None, message);
    }

    /// An error about a node, in the engine's words.
    pub(super) fn node(&mut self, rule: Rule, at: At<'_>, problem: &NodeProblem) {
        self.at(Severity::Error, rule, at, problem.to_string());
    }

    /// A finding about a node.
    pub(super) fn at(&mut self, severity: Severity, rule: Rule, at: At<'_>, message: String) {
        self.add(severity, rule, Some(at), message);
    }

    fn add(&mut self, severity: Severity, rule: Rule, at: Option<At<'_>>, message: String) {
        if let Some(&index) = self.known.get(&(rule, message.clone())) {
            self.found[index].repeats += 1;
            return;
        }
        self.known.insert((rule, message.clone()), self.found.len());
        let place = at.map(|at| Place {
            rank: at.rank,
            node: at.trace.id(at.index),
            name: at.trace.name(at.index).to_owned(),
        });
        self.found.push(Finding { severity, rule, place, message, repeats: 0 });
    }

    pub(super) fn into_vec(self) -> Vec<Finding> {
        self.found
    }
}

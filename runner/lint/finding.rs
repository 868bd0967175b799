//! What a lint says: one finding per problem, with the place it was first met.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use astra_engine::{NodeProblem, Rank};
use serde_json::{Value, json};

use super::At;
use super::rule::Rule;
use crate::{Error, Notice, Result};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing when the trace is looked at; nothing is wrong for certain.
    Note,
    /// The simulation can run; its result may not be what was meant, or the original would not give one.
    Warning,
    /// The simulation would fail, stall, or simulate something else than what is written.
    Error,
}

impl Severity {
    /// The severity's name in listings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
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
    /// The finding as JSON: `severity`, `rule`, `what`, `why`, `fix`, `repeats`, and of the first node with it `rank`,
    /// `node` and `name`, which are null where it is not one of a node.
    pub fn json(&self) -> Value {
        let place = self.place.as_ref();
        json!({
            "severity": self.severity.as_str(),
            "rule": self.rule.as_str(),
            "rank": place.map(|place| place.rank.0),
            "node": place.map(|place| place.node),
            "name": place.map(|place| &place.name),
            "what": self.message,
            "why": self.rule.why(),
            "fix": self.rule.fix(),
            "repeats": self.repeats,
        })
    }

    /// The finding about something that is accepted.
    fn notice(&self, reasons: Option<Reasons>) -> Notice {
        let about = self.place.as_ref().map_or_else(|| self.rule.as_str().to_owned(), Place::to_string);
        let reasons = reasons.map(|reasons| reasons.to_string()).unwrap_or_default();
        Notice::new(about, format!("{}{}{reasons}", self.message, Repeats(self.repeats)))
    }
}

/// Why findings of a rule matter and how to mend them, as two further lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reasons(Rule);

impl fmt::Display for Reasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n    why: {}\n    fix: {}", self.0.why(), self.0.fix())
    }
}

/// Findings, each with the reasons of its rule unless an earlier one of equal severity has them.
pub fn explained<'a>(
    findings: impl IntoIterator<Item = &'a Finding>,
) -> impl Iterator<Item = (&'a Finding, Option<Reasons>)> {
    let mut said = BTreeSet::new();
    findings.into_iter().map(move |finding| {
        let first = said.insert((finding.rule, finding.severity));
        (finding, first.then_some(Reasons(finding.rule)))
    })
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

/// Whether traces use groups as nobody has defined them: the file that does may not have been given.
pub fn misses_groups(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.rule == Rule::Group && finding.severity == Severity::Error)
}

/// Turns findings into an error when one of them is an error; otherwise gives the warnings. Either says why it matters
/// and how to mend it.
///
/// # Errors
/// The errors: one as it is, several one after the other, those after the fifth counted.
pub fn refuse(findings: &[Finding]) -> Result<Vec<Notice>> {
    let of = |severity| findings.iter().filter(move |finding| finding.severity == severity);
    let text = |(finding, reasons): (&Finding, Option<Reasons>)| {
        format!("{finding}{}", reasons.map(|reasons| reasons.to_string()).unwrap_or_default())
    };
    let errors = of(Severity::Error).count();
    if errors == 0 {
        let warnings = explained(of(Severity::Warning));
        return Ok(warnings.map(|(finding, reasons)| finding.notice(reasons)).collect());
    }
    let mut shown = explained(of(Severity::Error).take(MOST_LISTED)).map(text);
    let message = match (errors, shown.next()) {
        (1, Some(only)) => only,
        (_, first) => {
            let listed: Vec<String> =
                first.into_iter().chain(shown).map(|text| format!("\n  {text}")).collect();
            let more = errors - listed.len();
            let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
            format!("{errors} problems{}{more}", listed.concat())
        }
    };
    Err(Error::input(message))
}

/// How many different findings of one rule are described; the rest is counted.
const MOST_OF_A_RULE: usize = 20;

/// Findings being collected; equal ones are counted, and so are those of a rule beyond the first.
#[derive(Default)]
pub(super) struct Findings {
    found: Vec<Finding>,
    of_rule: BTreeMap<(Rule, Severity), OfRule>,
}

/// What has been found of one rule and severity.
#[derive(Default)]
struct OfRule {
    /// Where a message is among the findings.
    known: BTreeMap<String, usize>,
    undescribed: u64,
}

impl Findings {
    /// An error that is not about a node.
    pub(super) fn general(&mut self, rule: Rule, message: String) {
        self.add(Severity::Error, rule, None, &message);
    }

    /// An error about a node, in the engine's words.
    pub(super) fn node(&mut self, rule: Rule, at: At<'_>, problem: &NodeProblem) {
        self.at(Severity::Error, rule, at, &problem.to_string());
    }

    /// A finding about a node.
    pub(super) fn at(&mut self, severity: Severity, rule: Rule, at: At<'_>, message: &str) {
        self.add(severity, rule, Some(&|| at.place()), message);
    }

    /// A finding about a place.
    pub(super) fn place(&mut self, severity: Severity, rule: Rule, place: &Place, message: &str) {
        self.add(severity, rule, Some(&|| place.clone()), message);
    }

    /// Whether another finding of a rule would be described rather than counted.
    pub(super) fn describes(&self, rule: Rule, severity: Severity) -> bool {
        self.of_rule.get(&(rule, severity)).is_none_or(|of| of.known.len() < MOST_OF_A_RULE)
    }

    /// Counts findings of a rule without describing them.
    pub(super) fn count(&mut self, severity: Severity, rule: Rule, more: u64) {
        self.of_rule.entry((rule, severity)).or_default().undescribed += more;
    }

    /// Whether there is an error so far.
    pub(super) fn has_errors(&self) -> bool {
        self.found.iter().any(|finding| finding.severity == Severity::Error)
    }

    fn add(&mut self, severity: Severity, rule: Rule, place: Option<&dyn Fn() -> Place>, message: &str) {
        let of = self.of_rule.entry((rule, severity)).or_default();
        if let Some(&index) = of.known.get(message) {
            self.found[index].repeats += 1;
        } else if of.known.len() >= MOST_OF_A_RULE {
            of.undescribed += 1;
        } else {
            of.known.insert(message.to_owned(), self.found.len());
            let (place, message) = (place.map(|place| place()), message.to_owned());
            self.found.push(Finding { severity, rule, place, message, repeats: 0 });
        }
    }

    pub(super) fn into_vec(mut self) -> Vec<Finding> {
        for (&(rule, severity), of) in self.of_rule.iter().filter(|(_, of)| of.undescribed > 0) {
            let message = format!("{} more of rule `{}`", of.undescribed, rule.as_str());
            self.found.push(Finding { severity, rule, place: None, message, repeats: 0 });
        }
        self.found
    }
}

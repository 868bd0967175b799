//! Messages between ranks: every receive needs a send of the same source, destination, tag and size.

use astra_engine::{NetworkModel, NodeKind, NodeProblem, Rank, Topology};

use super::finding::{Findings, Rule, Severity};
use super::{At, Check};

/// The simulator takes tags modulo this number.
const TAG_MODULUS: u32 = 500_000_000;

/// How many pairs that do not match are described; the rest is counted.
const MOST_MISMATCHES: usize = 20;

pub(super) fn check(check: &Check<'_>, findings: &mut Findings) {
    let mut messages = Vec::new();
    let nodes_of_trace: Vec<Vec<u32>> = check
        .workload
        .traces
        .iter()
        .map(|trace| {
            At::all(trace, Rank(0)).filter(|at| Message::of(*at).is_some()).map(|at| at.index).collect()
        })
        .collect();
    for (rank, &trace) in (0..).map(Rank).zip(&check.workload.trace_of_rank) {
        for &index in &nodes_of_trace[trace as usize] {
            let at = At { rank, trace: &check.workload.traces[trace as usize], index };
            if let Some(message) = Message::of(at).filter(|message| message.is_possible(check, findings)) {
                messages.push(message);
            }
        }
    }
    messages.sort_by_key(|m| m.key);
    match_up(&messages, findings);
}

/// What a send and a receive have in common.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    src: Rank,
    dst: Rank,
    tag: u32,
    bytes: u64,
}

/// A send, or a receive.
struct Message<'a> {
    key: Key,
    is_send: bool,
    full_tag: u32,
    at: At<'a>,
}

impl<'a> Message<'a> {
    fn of(at: At<'a>) -> Option<Self> {
        let (src, dst, size, full_tag, is_send) = match at.node().kind {
            NodeKind::Send { to, size, tag } => (at.rank, to, size, tag, true),
            NodeKind::Recv { from, size, tag } => (from, at.rank, size, tag, false),
            _ => return None,
        };
        let key = Key { src, dst, tag: full_tag % TAG_MODULUS, bytes: size.0 };
        Some(Self { key, is_send, full_tag, at })
    }

    fn peer(&self) -> Rank {
        if self.is_send { self.key.dst } else { self.key.src }
    }

    /// Whether the network could carry it; says why not.
    fn is_possible(&self, check: &Check<'_>, findings: &mut Findings) -> bool {
        let (rule, problem) = if self.peer().0 >= check.ranks {
            (Rule::Peer, NodeProblem::NoSuchRank(self.peer()))
        } else if self.key.src == self.key.dst && !routes_to_itself(check) {
            (Rule::Peer, NodeProblem::ToItself)
        } else if self.full_tag > i32::MAX as u32 {
            (Rule::Peer, NodeProblem::Tag(self.full_tag))
        } else if self.key.bytes == 0 {
            (Rule::Size, NodeProblem::ZeroBytes)
        } else {
            return true;
        };
        findings.node(rule, self.at, &problem);
        false
    }
}

/// A message from a rank to itself goes to the switch and back, in the model that routes; all others refuse it.
fn routes_to_itself(check: &Check<'_>) -> bool {
    check.network.model == NetworkModel::CongestionAware
        && matches!(&check.network.dimensions[..], [only] if only.topology == Topology::Switch)
}

/// A kind of message that is not sent as often as it is received.
struct Mismatch<'a> {
    key: Key,
    sent: usize,
    received: usize,
    /// The first of those on the side that has more.
    at: At<'a>,
}

/// Compares how often each message is sent and received; `messages` are sorted by key.
fn match_up(messages: &[Message<'_>], findings: &mut Findings) {
    let mismatches: Vec<_> = messages.chunk_by(|a, b| a.key == b.key).filter_map(Mismatch::of).collect();
    for mismatch in mismatches.iter().take(MOST_MISMATCHES) {
        mismatch.describe(&mismatches, findings);
    }
    if let Some(more @ 1..) = mismatches.len().checked_sub(MOST_MISMATCHES) {
        let message = format!("{more} more kinds of messages are not sent as often as they are received");
        findings.general(Rule::MessagesMatch, message);
    }
}

impl<'a> Mismatch<'a> {
    fn of(same: &[Message<'a>]) -> Option<Self> {
        let sent = same.iter().filter(|m| m.is_send).count();
        let received = same.len() - sent;
        if sent == received {
            return None;
        }
        let first = same.iter().find(|m| m.is_send == (sent > received))?;
        Some(Self { key: first.key, sent, received, at: first.at })
    }

    fn describe(&self, all: &[Self], findings: &mut Findings) {
        let Self { key: Key { src, dst, tag, bytes }, sent, received, at } = *self;
        let what = format!("of {bytes} bytes with tag {tag}");
        if sent > received {
            // The sender goes on when the message has arrived, whether or not somebody waits for it.
            let message = format!("sends {sent} message(s) {what} to rank {dst}, which receives {received}");
            findings.at(Severity::Warning, Rule::MessagesMatch, at, message);
        } else {
            let near = self.near_miss(all).unwrap_or_default();
            let message =
                format!("waits for {received} message(s) {what} from rank {src}, which sends {sent}{near}");
            findings.at(Severity::Error, Rule::MessagesMatch, at, message);
        }
    }

    /// What the source sends to the destination and nobody receives, when it is nearly what is waited for.
    fn near_miss(&self, all: &[Self]) -> Option<String> {
        let pair = |key: &Key| (key.src, key.dst);
        let start = all.partition_point(|m| pair(&m.key) < pair(&self.key));
        let surplus = || {
            let of_pair = all[start..].iter().take_while(|m| pair(&m.key) == pair(&self.key));
            of_pair.filter(|m| m.sent > m.received)
        };
        if let Some(near) = surplus().find(|m| m.key.tag == self.key.tag) {
            return Some(format!(
                "; with this tag it sends {} bytes, and sizes have to be equal",
                near.key.bytes
            ));
        }
        let near = surplus().find(|m| m.key.bytes == self.key.bytes)?;
        Some(format!("; it sends this size with tag {}, and tags have to be equal", near.key.tag))
    }
}

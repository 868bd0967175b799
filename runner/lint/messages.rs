//! Messages between ranks: every receive needs a send of the same source, destination, tag and size.

use astra_engine::{NetworkModel, NodeKind, NodeProblem, Rank, Topology, Trace};

use super::finding::{Findings, Severity};
use super::rule::Rule;
use super::{At, Check};
use crate::et::TAG_MODULUS;

/// How the sends and receives of a workload pair by what they have in common. Those of which several have all in common are
/// left out, because times may decide how they pair. `None` when some message has no partner.
pub(super) fn check(check: &Check<'_>, findings: &mut Findings) -> Option<Vec<Delivery>> {
    let nodes_of_trace: Vec<Vec<u32>> = check.workload.traces.iter().map(messages).collect();
    let mut messages = Vec::new();
    let mut possible = true;
    for (rank, &trace) in (0..).map(Rank).zip(&check.workload.trace_of_rank) {
        for &index in &nodes_of_trace[trace as usize] {
            let at = At { rank, trace: &check.workload.traces[trace as usize], index };
            let Some((message, full_tag)) = Message::of(at) else { continue };
            if message.is_possible(check, full_tag, findings) {
                messages.push(message);
            } else {
                possible = false;
            }
        }
    }
    messages.sort_unstable_by_key(|message| (message.key, message.index));
    let matched = match_up(check, &messages, findings);
    (matched && possible).then(|| pair(&messages))
}

/// The nodes of a trace that send or receive.
fn messages(trace: &Trace) -> Vec<u32> {
    let is_message =
        |&index: &u32| matches!(trace.node(index).kind, NodeKind::Send { .. } | NodeKind::Recv { .. });
    (0..trace.len() as u32).filter(is_message).collect()
}

/// A send and the receive that it completes, each as rank and index.
#[derive(Clone, Copy)]
pub(super) struct Delivery {
    pub(super) send: (Rank, u32),
    pub(super) recv: (Rank, u32),
}

/// Pairs messages that match, sorted by key.
fn pair(messages: &[Message]) -> Vec<Delivery> {
    let pairs = messages.chunk_by(|a, b| a.key == b.key).filter_map(|same| match same {
        [a, b] => {
            let (send, recv) = if a.is_send { (a, b) } else { (b, a) };
            Some(Delivery { send: (send.rank, send.index), recv: (recv.rank, recv.index) })
        }
        _ => None,
    });
    pairs.collect()
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
struct Message {
    key: Key,
    rank: Rank,
    index: u32,
    is_send: bool,
}

impl Message {
    /// The message of a node, and its tag as written.
    fn of(at: At<'_>) -> Option<(Self, u32)> {
        let (src, dst, size, full_tag, is_send) = match at.node().kind {
            NodeKind::Send { to, size, tag } => (at.rank, to, size, tag, true),
            NodeKind::Recv { from, size, tag } => (from, at.rank, size, tag, false),
            _ => return None,
        };
        let key = Key { src, dst, tag: full_tag % TAG_MODULUS, bytes: size.0 };
        Some((Self { key, rank: at.rank, index: at.index, is_send }, full_tag))
    }

    fn peer(&self) -> Rank {
        if self.is_send { self.key.dst } else { self.key.src }
    }

    /// Whether the network could carry it; says why not.
    fn is_possible(&self, check: &Check<'_>, full_tag: u32, findings: &mut Findings) -> bool {
        let (rule, problem) = if self.peer().0 >= check.ranks {
            (Rule::Peer, NodeProblem::NoSuchRank(self.peer()))
        } else if self.key.src == self.key.dst && !routes_to_itself(check) {
            (Rule::Peer, NodeProblem::ToItself)
        } else if full_tag > i32::MAX as u32 {
            (Rule::Peer, NodeProblem::Tag(full_tag))
        } else if self.key.bytes == 0 {
            (Rule::Size, NodeProblem::ZeroBytes)
        } else {
            return true;
        };
        findings.node(rule, check.at(self.rank, self.index), &problem);
        false
    }
}

/// A message from a rank to itself goes to the switch and back, in the model that routes; all others refuse it.
fn routes_to_itself(check: &Check<'_>) -> bool {
    check.traces_alone
        || check.network.model == NetworkModel::CongestionAware
            && matches!(&check.network.dimensions[..], [only] if only.topology == Topology::Switch)
}

/// A kind of message that is not sent as often as it is received.
struct Mismatch {
    key: Key,
    sent: usize,
    received: usize,
    /// Rank and index of the first of those on the side that has more.
    first: (Rank, u32),
}

/// Compares how often each message is sent and received; `messages` are sorted by key. Whether all matched.
fn match_up(check: &Check<'_>, messages: &[Message], findings: &mut Findings) -> bool {
    let mismatches: Vec<_> = messages.chunk_by(|a, b| a.key == b.key).filter_map(Mismatch::of).collect();
    for mismatch in &mismatches {
        let severity = mismatch.severity();
        if findings.describes(Rule::MessagesMatch, severity) {
            let at = check.at(mismatch.first.0, mismatch.first.1);
            findings.at(severity, Rule::MessagesMatch, at, &mismatch.describe(&mismatches));
        } else {
            findings.count(severity, Rule::MessagesMatch, 1);
        }
    }
    mismatches.is_empty()
}

impl Mismatch {
    fn of(same: &[Message]) -> Option<Self> {
        let sent = same.iter().filter(|m| m.is_send).count();
        let received = same.len() - sent;
        if sent == received {
            return None;
        }
        let first = same.iter().find(|m| m.is_send == (sent > received))?;
        Some(Self { key: first.key, sent, received, first: (first.rank, first.index) })
    }

    /// The sender goes on when the message has arrived, whether or not somebody waits for it.
    fn severity(&self) -> Severity {
        if self.sent > self.received { Severity::Warning } else { Severity::Error }
    }

    fn describe(&self, all: &[Self]) -> String {
        let Self { key: Key { src, dst, tag, bytes }, sent, received, .. } = *self;
        let what = format!("of {bytes} bytes with tag {tag}");
        let near = self.near_miss(all).unwrap_or_default();
        if sent > received {
            format!("sends {sent} message(s) {what} to rank {dst}, which receives {received}{near}")
        } else {
            format!("waits for {received} message(s) {what} from rank {src}, which sends {sent}{near}")
        }
    }

    /// What is nearly the message on the other side, and has no partner either.
    fn near_miss(&self, all: &[Self]) -> Option<String> {
        let pair = |key: &Key| (key.src, key.dst);
        let start = all.partition_point(|m| pair(&m.key) < pair(&self.key));
        let is_sent = |m: &Self| m.sent > m.received;
        let others = || {
            let of_pair = all[start..].iter().take_while(|m| pair(&m.key) == pair(&self.key));
            of_pair.filter(|m| is_sent(m) != is_sent(self))
        };
        let verb = if is_sent(self) { "receives" } else { "sends" };
        if let Some(near) = others().find(|m| m.key.tag == self.key.tag) {
            let bytes = near.key.bytes;
            return Some(format!("; with this tag it {verb} {bytes} bytes, and sizes have to be equal"));
        }
        let near = others().find(|m| m.key.bytes == self.key.bytes)?;
        Some(format!("; it {verb} this size with tag {}, and tags have to be equal", near.key.tag))
    }
}

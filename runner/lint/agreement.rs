//! Collectives of the members of a group against each other: the same ones, in the same order, with the same numbers of
//! chunks before those of all ranks.
//!
//! The simulator pairs the collectives of a group by the order in which each member issues them. Ranks that share a trace
//! need no comparison.

use std::collections::{BTreeMap, HashMap};

use astra_engine::{Bytes, CollectiveType, GroupId, InvolvedDims, Rank};

use super::collectives::Collective;
use super::finding::{Findings, Severity};
use super::order::Orders;
use super::rule::Rule;
use super::{At, Check};

/// What members have to agree on. Only collectives over all ranks have a choice of dimensions.
type Kind = (CollectiveType, Bytes, Option<InvolvedDims>);

/// A collective in a trace.
#[derive(Clone, Copy)]
pub(super) struct Use {
    /// The index of the node.
    pub(super) node: u32,
    pub(super) kind: Kind,
    /// Chunks of groups that the rank has started before.
    skew: u64,
}

/// The collectives of a trace by group, in issue order. Broadcasts, in which nothing is sent, are left out.
pub(super) type Uses = BTreeMap<Option<GroupId>, Vec<Use>>;

/// The uses of every distinct trace.
pub(super) fn uses(check: &Check<'_>, orders: &Orders<'_>) -> Vec<Uses> {
    let of_trace = |trace: usize| {
        let at = |index| At { rank: Rank(0), trace: &check.workload.traces[trace], index };
        let mut uses = Uses::new();
        if At::all(&check.workload.traces[trace], Rank(0)).all(|at| Collective::of(at).is_none()) {
            return uses;
        }
        let mut skew = 0_u64;
        for used in orders.of(trace).nodes().filter_map(|node| Collective::of(at(node))) {
            if used.kind != CollectiveType::Broadcast && used.kind.is_simulated() {
                let involved = used.group.is_none().then_some(used.involved);
                let kind = (used.kind, used.size, involved);
                uses.entry(used.group).or_default().push(Use { node: used.at.index, kind, skew });
                if used.group.is_some() {
                    skew = skew.saturating_add(chunks(check, used.kind, used.size));
                }
            }
        }
        uses
    };
    (0..check.workload.traces.len()).map(of_trace).collect()
}

/// Into how many chunks the simulator cuts a collective; one where the settings are not known.
pub(super) fn chunks(check: &Check<'_>, kind: CollectiveType, size: Bytes) -> u64 {
    let splits = u64::from(check.system.preferred_dataset_splits).max(1);
    if check.traces_alone || !check.system.custom.is_empty() {
        return 1;
    }
    match size.0 / splits {
        chunk if kind != CollectiveType::AllGather && chunk < u64::from(check.ranks) => splits,
        0 => 0,
        chunk => size.0.div_ceil(chunk),
    }
}

/// All members of a group take part in the same collectives, in the same order; otherwise some wait for ever.
pub(super) fn check(check: &Check<'_>, orders: &Orders<'_>, uses: &[Uses], findings: &mut Findings) {
    if uses.len() < 2 {
        return;
    }
    let everyone: Vec<Rank> = (0..check.ranks).map(Rank).collect();
    let groups = check.workload.groups.iter().map(|(&group, members)| (Some(group), members));
    for (group, members) in std::iter::once((None, &everyone)).chain(groups) {
        let alike = alike(check, uses, group, members);
        // What most members do is taken for what was meant; of equally many, what the first does.
        let most = alike.iter().map(|(_, count)| *count).max();
        let Some(&(usual, _)) = alike.iter().find(|(_, count)| Some(*count) == most) else { continue };
        for &(odd, _) in alike.iter().filter(|(rank, _)| *rank != usual) {
            Pair { check, orders, group, usual, odd, uses }.compare(findings);
        }
    }
}

/// Members that do the same in a group: the first of them, and how many there are.
fn alike(check: &Check<'_>, uses: &[Uses], group: Option<GroupId>, members: &[Rank]) -> Vec<(Rank, u32)> {
    let mut alike: Vec<(Rank, u32)> = Vec::new();
    let mut known: BTreeMap<Vec<(Kind, u64)>, usize> = BTreeMap::new();
    // By trace; not a list of all of them, because there may be as many groups as traces.
    let mut place_of_trace: HashMap<usize, usize> = HashMap::new();
    for &member in members {
        let trace = check.trace_of(member);
        let place = *place_of_trace.entry(trace).or_insert_with(|| {
            let of_group = uses[trace].get(&group).map_or(&[][..], Vec::as_slice);
            let compared = of_group.iter().map(|used| used.compared(group)).collect();
            *known.entry(compared).or_insert_with(|| {
                alike.push((member, 0));
                alike.len() - 1
            })
        });
        alike[place].1 += 1;
    }
    alike
}

impl Use {
    /// What has to be equal. Only collectives over all ranks depend on what was started before.
    fn compared(&self, group: Option<GroupId>) -> (Kind, u64) {
        (self.kind, if group.is_none() { self.skew } else { 0 })
    }
}

/// Two members of a group that do not do the same in it.
struct Pair<'a> {
    check: &'a Check<'a>,
    orders: &'a Orders<'a>,
    group: Option<GroupId>,
    usual: Rank,
    odd: Rank,
    uses: &'a [Uses],
}

impl<'a> Pair<'a> {
    fn compare(&self, findings: &mut Findings) {
        let (usual, odd) = (self.uses_of(self.usual), self.uses_of(self.odd));
        if let Some(kind) = differing_count(odd, usual) {
            return self.counts_differ(kind, findings);
        }
        // To tell errors from warnings takes a look at both traces, which nobody reads about by then.
        let described = |rule| [Severity::Error, Severity::Note].iter().any(|s| findings.describes(rule, *s));
        let differing = |differ: fn(&Use, &Use) -> bool| usual.iter().zip(odd).find(|(a, b)| differ(a, b));
        let (rule, differing) = match differing(|a, b| a.kind != b.kind) {
            Some(pair) => (Rule::CollectivesOrder, Some(pair)),
            None => (Rule::CounterSkew, differing(|a, b| a.skew != b.skew)),
        };
        match differing {
            None => {}
            Some(_) if !described(rule) => findings.count(Severity::Note, rule, 1),
            Some((a, b)) if rule == Rule::CollectivesOrder => self.order_differs(a, b, findings),
            Some((a, b)) => self.skewed(a, b, findings),
        }
    }

    fn uses_of(&self, rank: Rank) -> &'a [Use] {
        self.uses[self.check.trace_of(rank)].get(&self.group).map_or(&[], Vec::as_slice)
    }

    fn at(&self, rank: Rank, index: u32) -> At<'a> {
        At { rank, trace: self.check.workload.trace(rank), index }
    }

    fn whom(&self) -> String {
        self.group.map_or_else(|| "all ranks".to_owned(), |group| format!("communicator group {group}"))
    }

    fn counts_differ(&self, kind: Kind, findings: &mut Findings) {
        let count = |rank: Rank| self.uses_of(rank).iter().filter(|used| used.kind == kind).count();
        // The rank that has more of them is the one that would wait.
        let (more, fewer) =
            if count(self.odd) > count(self.usual) { (self.odd, self.usual) } else { (self.usual, self.odd) };
        let Some(first) = self.uses_of(more).iter().find(|used| used.kind == kind) else { return };
        let message = format!(
            "takes part in {} {} of {} bytes over {}, rank {fewer} in {}; all members have to take part, with the same \
             size",
            count(more),
            kind.0,
            kind.1.0,
            self.whom(),
            count(fewer)
        );
        findings.at(Severity::Error, Rule::CollectivesAgree, self.at(more, first.node), &message);
    }

    fn order_differs(&self, usual: &Use, odd: &Use, findings: &mut Findings) {
        let severity = self.severity(|group| group == self.group);
        let describe = |rank: Rank, used: &Use| {
            let at = self.at(rank, used.node);
            let (kind, size, _) = used.kind;
            format!("{kind} of {} bytes (node {} `{}`)", size.0, at.id(), at.name().escape_debug())
        };
        let (verb, uncertain) = match severity {
            Severity::Error => ("is", ""),
            _ => ("would be", "; nothing but times and ids decides the order"),
        };
        let message = format!(
            "number {} of its collectives over {} {verb} {}, that of rank {} {}{uncertain}",
            self.number(odd),
            self.whom(),
            describe(self.odd, odd),
            self.usual,
            describe(self.usual, usual),
        );
        findings.at(severity, Rule::CollectivesOrder, self.at(self.odd, odd.node), &message);
    }

    fn skewed(&self, usual: &Use, odd: &Use, findings: &mut Findings) {
        let message = format!(
            "before number {} of its collectives over all ranks it starts {} chunk(s) of communicator groups, rank {} {}",
            self.number(odd),
            odd.skew,
            self.usual,
            usual.skew,
        );
        findings.at(self.severity(|_| true), Rule::CounterSkew, self.at(self.odd, odd.node), &message);
    }

    /// The place of a collective of the odd member among those of the group, from 1.
    fn number(&self, odd: &Use) -> usize {
        self.uses_of(self.odd).iter().take_while(|used| used.node != odd.node).count() + 1
    }

    /// Certain when dependencies chain the collectives of these groups on both ranks; else times usually put them right.
    fn severity(&self, counts: impl Fn(Option<GroupId>) -> bool) -> Severity {
        let chained = |rank: Rank| {
            let trace = self.check.trace_of(rank);
            let of_groups = self.uses[trace].iter().filter(|(group, _)| counts(**group));
            let mut nodes: Vec<u32> =
                of_groups.flat_map(|(_, uses)| uses.iter().map(|used| used.node)).collect();
            self.orders.sort(trace, &mut nodes);
            self.orders.is_chain(trace, &nodes)
        };
        if chained(self.usual) && chained(self.odd) { Severity::Error } else { Severity::Note }
    }
}

/// A kind of collective that two members use unequally often: one that the first uses more often, if there is one.
fn differing_count(one: &[Use], other: &[Use]) -> Option<Kind> {
    let mut counts: BTreeMap<Kind, i64> = BTreeMap::new();
    one.iter().for_each(|used| *counts.entry(used.kind).or_default() += 1);
    other.iter().for_each(|used| *counts.entry(used.kind).or_default() -= 1);
    let unequal =
        |wanted: fn(i64) -> bool| counts.iter().find(|(_, count)| wanted(**count)).map(|(kind, _)| *kind);
    unequal(|count| count > 0).or_else(|| unequal(|count| count < 0))
}

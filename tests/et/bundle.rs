//! Bundles made by chance that are known to be sound: every rank's nodes are chained, in the order of one sequence of
//! operations over all ranks, so that whoever waits, waits for something that comes.

use artifact_store::SharedBytes;
use std::collections::BTreeMap;

use astra_engine::{CollectiveType, GroupId, Rank};
use astra_store::et::{Node, Writer};
use astra_store::lint::{Finding, Severity, lint_files};

/// Random choices that are the same every time.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below a limit.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub(crate) fn one_of<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last + 1);
            items.swap(last, other);
        }
    }
}

/// The nodes of every rank in the order in which they run, and the groups.
#[derive(Clone)]
pub(crate) struct TestBundle {
    pub(crate) ranks: Vec<Vec<Node>>,
    pub(crate) groups: BTreeMap<u32, Vec<u32>>,
}

pub(crate) const COLLECTIVES: [CollectiveType; 4] = [
    CollectiveType::AllReduce,
    CollectiveType::AllGather,
    CollectiveType::ReduceScatter,
    CollectiveType::AllToAll,
];

/// The group that lists all ranks.
pub(crate) const EVERYBODY: u32 = 9;

impl TestBundle {
    /// Four to eight ranks that compute, send and take part in collectives of all ranks or of groups.
    pub(crate) fn sound(chance: &mut Chance) -> Self {
        let ranks = chance.one_of(&[4, 6, 8]);
        let mut bundle = Self { ranks: vec![Vec::new(); ranks], groups: BTreeMap::new() };
        let half = ranks as u32 / 2;
        bundle.groups.insert(1, (0..half).collect());
        bundle.groups.insert(2, (half..2 * half).rev().collect());
        bundle.groups.insert(3, vec![0, half]);
        bundle.groups.insert(EVERYBODY, (0..2 * half).collect());
        // All ranks without a group only where every rank starts as many chunks of groups before.
        let mixed = chance.below(2) == 0;
        for number in 0..10 + chance.below(20) {
            bundle.operation(number as i32, mixed, chance);
        }
        for (rank, nodes) in bundle.ranks.iter_mut().enumerate() {
            if nodes.is_empty() {
                nodes.push(Node::compute(0, format!("idle {rank}"), 1));
            }
        }
        bundle.chain();
        bundle
    }

    fn operation(&mut self, number: i32, mixed: bool, chance: &mut Chance) {
        let ranks = self.ranks.len();
        let size = 1000 * (1 + chance.below(9) as i64);
        let kind = chance.one_of(&COLLECTIVES);
        let mut issue = |rank: usize, node: Node| self.ranks[rank].push(node);
        let collective = |group| Node::collective(0, format!("collective {number}"), kind, size, group);
        match chance.below(5) {
            0 => issue(
                chance.below(ranks),
                Node::compute(0, format!("compute {number}"), 1 + chance.below(50) as u64),
            ),
            1 | 2 => {
                let from = chance.below(ranks);
                let to = (from + 1 + chance.below(ranks - 1)) % ranks;
                // Some messages share their tag with others.
                let tag = number % 7;
                issue(from, Node::send(0, format!("send {number}"), to as i32, size, tag));
                issue(to, Node::recv(0, format!("recv {number}"), from as i32, size, tag));
            }
            3 if mixed => {
                // Each rank is in one of these groups.
                (0..ranks).for_each(|rank| issue(rank, collective(Some(1 + u32::from(rank >= ranks / 2)))));
            }
            3 => {
                let group = chance.one_of(&[1, 2, 3, EVERYBODY]);
                self.groups[&group].iter().for_each(|&rank| issue(rank as usize, collective(Some(group))));
            }
            _ => {
                let group = if mixed { None } else { Some(EVERYBODY) };
                (0..ranks).for_each(|rank| issue(rank, collective(group)));
            }
        }
    }

    /// Makes each node wait for the one before it, and numbers them from 0.
    pub(crate) fn chain(&mut self) {
        for nodes in &mut self.ranks {
            for (id, node) in (0..).zip(nodes) {
                node.id = id;
                node.control_deps = id.checked_sub(1).into_iter().collect();
            }
        }
    }

    /// The same bundle with other ids and the nodes in another order in the files.
    pub(crate) fn renumbered(&self, chance: &mut Chance) -> Self {
        let mut other = self.clone();
        for nodes in &mut other.ranks {
            let mut ids: Vec<u64> = (0..nodes.len() as u64).map(|id| 10 + 3 * id).collect();
            chance.shuffle(&mut ids);
            for node in nodes.iter_mut() {
                node.id = ids[node.id as usize];
                node.control_deps.iter_mut().for_each(|dependency| *dependency = ids[*dependency as usize]);
            }
            chance.shuffle(nodes);
        }
        other
    }

    pub(crate) fn files(&self) -> Vec<SharedBytes> {
        self.ranks.iter().map(|nodes| file(nodes).into()).collect()
    }

    pub(crate) fn engine_groups(&self) -> BTreeMap<GroupId, Vec<Rank>> {
        let ranks = |members: &Vec<u32>| members.iter().map(|&rank| Rank(rank)).collect();
        self.groups.iter().map(|(&id, members)| (GroupId::new(id).unwrap(), ranks(members))).collect()
    }

    /// Everything that lint says, on no particular network.
    pub(crate) fn lint(&self) -> Vec<Finding> {
        self.lint_files(&self.files())
    }

    pub(crate) fn lint_files(&self, files: &[SharedBytes]) -> Vec<Finding> {
        let file_of_rank: Vec<u32> = (0..files.len() as u32).collect();
        lint_files("w", files, &file_of_rank, &self.engine_groups()).with_workload()
    }

    /// The places of the nodes of which something holds.
    pub(crate) fn places(&self, holds: impl Fn(usize, &Node) -> bool) -> Vec<(usize, usize)> {
        let nodes = |(rank, nodes): (usize, &Vec<Node>)| {
            (0..nodes.len()).map(move |at| (rank, at)).collect::<Vec<_>>()
        };
        let all = self.ranks.iter().enumerate().flat_map(nodes);
        all.filter(|&(rank, at)| holds(rank, &self.ranks[rank][at])).collect()
    }
}

pub(crate) fn file(nodes: &[Node]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new()).unwrap();
    nodes.iter().for_each(|node| writer.node(node).unwrap());
    writer.finish().unwrap()
}

/// Findings for a message.
pub(crate) fn told(findings: &[Finding]) -> String {
    let line = |f: &Finding| format!("{}[{}]: {f}\n", f.severity.as_str(), f.rule.as_str());
    findings.iter().map(line).collect()
}

pub(crate) fn errors(findings: &[Finding]) -> Vec<Finding> {
    findings.iter().filter(|finding| finding.severity == Severity::Error).cloned().collect()
}

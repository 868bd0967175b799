//! Some hundred runs of the original programs that must come out the same for ever; the format is at the head of the
//! files.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod compared;

use astra_engine::{
    Algorithm, Bytes, CollectiveType, Dimension, FaultyLink, GbPerSec, GibPerSec, GroupId, InvolvedDims,
    Micros, Nanos, Network, Node, NodeKind, Options, Rank, Report, System, Tflops, TraceBuilder, Work,
    Workload, simulate_with,
};
use compared::FIGURES;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

/// A case as its lines say it.
struct Case<'a> {
    name: &'a str,
    network: Network,
    system: System,
    groups: BTreeMap<GroupId, Vec<Rank>>,
    /// Whether all ranks have the only trace.
    uniform: bool,
    traces: Vec<TraceBuilder>,
    /// By name of the figure.
    expected: BTreeMap<&'a str, Vec<&'a str>>,
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().ok().unwrap_or_else(|| panic!("`{text}` is no number"))
}

impl<'a> Case<'a> {
    fn parse(text: &'a str) -> Self {
        let mut lines = text.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let first = lines.next().unwrap();
        let mut case = Self {
            name: first[0],
            network: Network::new(first[1].parse().unwrap(), Vec::new()),
            system: System::default(),
            groups: BTreeMap::new(),
            uniform: false,
            traces: Vec::new(),
            expected: BTreeMap::new(),
        };
        lines.for_each(|words| case.line(&words));
        case
    }

    fn line(&mut self, words: &[&'a str]) {
        let (&key, rest) = words.split_first().unwrap();
        match (key, rest) {
            ("dim", &[topology, npus, bandwidth, latency]) => self.network.dimensions.push(Dimension {
                topology: topology.parse().unwrap(),
                npus: number(npus),
                bandwidth: GibPerSec(number(bandwidth)),
                latency_ns: number(latency),
            }),
            ("fault", &[src, dst, health]) => self.network.faulty_links.push(FaultyLink {
                src: number(src),
                dst: number(dst),
                health: number(health),
            }),
            ("agents", &[from]) => self.network.non_recursive_from = Some(number(from)),
            ("sys", settings) => settings.iter().for_each(|setting| self.setting(setting)),
            ("alg", &[all_reduce, all_gather, reduce_scatter, all_to_all]) => {
                let list = |text: &str| -> Vec<Algorithm> {
                    text.split(',').map(|name| name.parse().unwrap()).collect()
                };
                self.system.all_reduce = list(all_reduce);
                self.system.all_gather = list(all_gather);
                self.system.reduce_scatter = list(reduce_scatter);
                self.system.all_to_all = list(all_to_all);
            }
            ("group", [id, members @ ..]) => {
                let members = members.iter().map(|rank| Rank(number(rank))).collect();
                self.groups.insert(GroupId::new(number(id)).unwrap(), members);
            }
            ("ranks", [which]) => {
                self.uniform = *which == "all";
                self.traces.push(TraceBuilder::new());
            }
            ("finish" | "exposed" | "gpu" | "comm" | "overlap" | "order", figures) => {
                self.expected.insert(key, figures.to_vec());
            }
            _ => self.node(words),
        }
    }

    fn setting(&mut self, setting: &str) {
        let system = &mut self.system;
        match setting.split_once('=') {
            Some(("dialect", value)) => system.dialect = value.parse().unwrap(),
            Some(("delay", value)) => system.endpoint_delay = Nanos(number(value)),
            Some(("active", value)) => system.active_chunks_per_dimension = number(value),
            Some(("splits", value)) => system.preferred_dataset_splits = number(value),
            Some(("mem", value)) => system.local_mem_bw = GbPerSec(number(value)),
            Some(("queues", value)) => system.queues_per_dimension = number(value),
            Some(("roofline", value)) => {
                system.roofline_enabled = true;
                system.peak_perf = Tflops(number(value));
            }
            None if setting == "rendezvous" => system.rendezvous = true,
            None => system.collective_optimization = setting.parse().unwrap(),
            Some(_) => panic!("setting {setting}"),
        }
    }

    fn node(&mut self, words: &[&str]) {
        let mut parts = words.split(|word| *word == "<");
        let (what, after) = (parts.next().unwrap(), parts.next().unwrap_or_default());
        let option = |name: &str| what.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let mut duration = option("us").map_or(0, number);
        let kind = match *what {
            [_, "comp", micros, ..] => {
                duration = number(micros);
                let work = option("ops").zip(option("bytes"));
                NodeKind::Compute {
                    work: work.map(|(ops, bytes)| Work { ops: number(ops), bytes: Bytes(number(bytes)) }),
                }
            }
            [_, "send", to, size, tag] => {
                NodeKind::Send { to: Rank(number(to)), size: Bytes(number(size)), tag: number(tag) }
            }
            [_, "recv", from, size, tag] => {
                NodeKind::Recv { from: Rank(number(from)), size: Bytes(number(size)), tag: number(tag) }
            }
            [_, collective, size, ..] => NodeKind::Collective {
                collective: collective.parse::<CollectiveType>().unwrap(),
                size: Bytes(number(size)),
                group: option("group").and_then(|id| GroupId::new(number(id))),
                involved: option("dims").map_or_else(InvolvedDims::default, |flags| {
                    InvolvedDims::from_flags(&flags.chars().map(|flag| flag == '1').collect::<Vec<_>>())
                }),
            },
            _ => panic!("node {words:?}"),
        };
        let after: Vec<u64> = after.iter().map(|id| number(id)).collect();
        let node = Node { kind, cpu: false, duration: Micros(duration) };
        self.traces.last_mut().unwrap().push(number(what[0]), "node", node, &after);
    }

    fn workload(&mut self) -> Workload {
        let ranks = self.network.ranks().unwrap();
        let traces: Vec<_> = self.traces.drain(..).map(|builder| builder.build().unwrap()).collect();
        let trace_of_rank = if self.uniform { vec![0; ranks as usize] } else { (0..ranks).collect() };
        Workload { traces, trace_of_rank, groups: std::mem::take(&mut self.groups) }
    }

    /// What differs from the record.
    fn difference(&self, report: &Report) -> Option<String> {
        for (name, figure) in FIGURES {
            let Some(expected) = self.expected.get(name) else { continue };
            for (rank, found) in report.ranks.iter().enumerate() {
                let expected = Nanos(number(expected[if expected.len() == 1 { 0 } else { rank }]));
                if figure(found) != Some(expected) {
                    return Some(format!(
                        "{name} of rank {rank} is {:?}, recorded {expected}",
                        figure(found)
                    ));
                }
            }
        }
        let order: Vec<Rank> = match self.expected["order"][..] {
            ["ascending"] => (0..report.ranks.len() as u32).map(Rank).collect(),
            ref ranks => ranks.iter().map(|rank| Rank(number(rank))).collect(),
        };
        (order != report.finish_order).then(|| format!("order {:?}", report.finish_order))
    }
}

/// Runs all cases of a file with and without shortcuts, and gives their number.
fn compare(text: &str) -> usize {
    let mut cases = 0;
    for text in text.split("\ncase ").skip(1) {
        let mut case = Case::parse(text);
        assert!(
            case.expected.contains_key("finish") && case.expected.contains_key("exposed"),
            "{}",
            case.name
        );
        let workload = case.workload();
        for shortcuts in [true, false] {
            let options = Options { shortcuts };
            let stop = AtomicBool::new(false);
            let report = simulate_with(&options, &case.network, &case.system, &workload, &stop);
            let difference = match report {
                Ok(report) => case.difference(&report),
                Err(error) => Some(error.to_string()),
            };
            assert_eq!(difference, None, "{} (shortcuts: {shortcuts})", case.name);
        }
        cases += 1;
    }
    cases
}

#[test]
fn recorded_runs_come_out_the_same() {
    assert_eq!(compare(include_str!("figures/recorded_cases.txt")), 394);
}

#[test]
fn recorded_runs_on_further_networks_come_out_the_same() {
    assert_eq!(compare(include_str!("figures/recorded_networks.txt")), 242);
}

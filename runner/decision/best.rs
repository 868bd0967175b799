//! The policy `best`: the engine is asked. Every possible choice of algorithms is simulated, with one collective on an
//! otherwise idle network, and the fastest is taken.
//!
//! Exact for that collective alone, and as expensive as the simulations are. Not a plugin, since plugins have no engine.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use astra_engine::{
    Bytes, GroupId, InvolvedDims, Micros, Network, Node, NodeKind, Rank, System, Trace, TraceBuilder, Work,
    Workload, simulate_until,
};
use astra_policy::{Algorithm, Collective};

use super::{Question, Situation};
use crate::algorithm::{self, engine_type};
use crate::astrasim::{DecidedBy, Decision};
use crate::error::{Error, ErrorKind, Result};
use crate::policy::Decided;

/// What the policy says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Best {
    /// Its name.
    pub name: &'static str,
    /// Version of its rules; the engine has a version of its own.
    pub version: &'static str,
    /// What it does, in one line.
    pub description: &'static str,
}

/// The policy `best`.
pub const BEST: Best = Best {
    name: "best",
    version: "1",
    description: "the fastest of all possible choices: simulates each of them",
};

/// The most choices that are simulated for one question: five algorithms on each of five dimensions.
const MAX_CHOICES: usize = 3125;

/// What the trials of a situation have in common.
pub(super) struct Trial<'a> {
    situation: &'a Situation<'a>,
    network: Network,
    system: System,
}

/// A choice that could be simulated.
struct Tried {
    algorithms: Vec<Algorithm>,
    finish_ns: u64,
}

impl<'a> Trial<'a> {
    pub(super) fn of(situation: &'a Situation<'a>) -> Result<Self> {
        let network = situation.layout.network(situation.model);
        Ok(Self { situation, network, system: situation.engine_system()? })
    }

    /// The fastest choice for a question; where something is fixed already, of those that keep to it. Of equally fast ones
    /// that with the lowest numbers of algorithms.
    ///
    /// # Errors
    /// When none can be simulated, or there are too many; `Interrupted` when `stop` was set.
    pub(super) fn best(&self, question: &Question, fixed: &[Decision], stop: &AtomicBool) -> Result<Decided> {
        let workload = self.workload(question)?;
        let mut tried: Vec<Tried> = Vec::new();
        let mut why_not = None;
        for algorithms in self.choices(question, fixed)? {
            match self.finish_ns(question, &algorithms, &workload, stop) {
                Ok(finish_ns) => tried.push(Tried { algorithms, finish_ns }),
                Err(error) if error.kind() == ErrorKind::Interrupted => return Err(error),
                Err(error) => why_not = Some(error),
            }
        }
        // Stable: of equals the first stays first.
        tried.sort_by_key(|tried| tried.finish_ns);
        let reason = reason(&tried);
        let Some(best) = tried.into_iter().next() else {
            let why = why_not.map_or_else(|| "nothing is possible".to_owned(), |e| e.message().to_owned());
            return Err(Error::failed(format!(
                "no choice of algorithms for {} can be simulated: {why}",
                question.collective
            ))
            .in_file(BEST.name));
        };
        Ok(Decided {
            algorithms: best.algorithms,
            dataset_splits: None,
            active_chunks: None,
            predicted_ns: Some(best.finish_ns as f64),
            reason,
        })
    }

    /// All choices: an algorithm on each dimension where the answer counts, any one where it does not. An algorithm over all
    /// ranks is the whole choice, so it stands on the first dimension or nowhere.
    fn choices(&self, question: &Question, fixed: &[Decision]) -> Result<Vec<Vec<Algorithm>>> {
        let mut choices: Vec<Vec<Algorithm>> = vec![Vec::new()];
        for (dimension, decision) in fixed.iter().enumerate() {
            let candidates = self.candidates(question, dimension, decision);
            let grown = choices.iter().flat_map(|choice| {
                let is_whole = choice.first().is_some_and(|first| spans_all_ranks(*first));
                let candidates = if is_whole { &candidates[..candidates.len().min(1)] } else { &candidates };
                candidates.iter().map(|candidate| [choice.as_slice(), &[*candidate]].concat())
            });
            choices = grown.collect();
            if choices.len() > MAX_CHOICES {
                let message = format!(
                    "more than {MAX_CHOICES} choices of algorithms for {} on {} dimensions are too many to simulate",
                    question.collective,
                    fixed.len()
                );
                return Err(Error::input(message).in_file(BEST.name).hint(
                    "fix the algorithms of some dimensions in the hardware file, or take another policy",
                ));
            }
        }
        Ok(choices)
    }

    fn candidates(&self, question: &Question, dimension: usize, decision: &Decision) -> Vec<Algorithm> {
        let of_decision = Algorithm::from_name(&decision.algorithm).unwrap_or(Algorithm::Ring);
        if decision.decided_by != DecidedBy::Default || !self.situation.matters(question, dimension) {
            return vec![of_decision];
        }
        let is_only = self.situation.layout.dimensions.len() == 1;
        let differs = |a: &Algorithm| !spans_all_ranks(*a) || (dimension == 0 && !is_only);
        self.situation.allowed(question, dimension).iter().filter(differs).collect()
    }

    fn finish_ns(
        &self,
        question: &Question,
        algorithms: &[Algorithm],
        workload: &Workload,
        stop: &AtomicBool,
    ) -> Result<u64> {
        let list = algorithms.iter().map(|a| algorithm::parse(a.name())).collect::<Result<Vec<_>>>()?;
        let mut system = self.system.clone();
        *match question.collective {
            Collective::AllReduce => &mut system.all_reduce,
            Collective::AllGather => &mut system.all_gather,
            Collective::ReduceScatter => &mut system.reduce_scatter,
            Collective::AllToAll => &mut system.all_to_all,
        } = list;
        let report = simulate_until(&self.network, &system, workload, stop).map_err(|e| match e {
            astra_engine::Error::Interrupted => Error::new(ErrorKind::Interrupted, e.to_string()),
            e => Error::failed(e.to_string()),
        })?;
        Ok(report.finish().0)
    }

    /// The collective, once, by the ranks that take part; the others compute for the shortest time there is.
    fn workload(&self, question: &Question) -> Result<Workload> {
        let ranks = self.situation.layout.ranks;
        let id = GroupId::new(1).expect("1 is a number of a group");
        let involved = question.dimensions.as_ref().map_or_else(InvolvedDims::default, |only| {
            let flags: Vec<bool> = (0..u32::BITS).map(|d| only.contains(&d)).collect();
            InvolvedDims::from_flags(&flags)
        });
        let kind = NodeKind::Collective {
            collective: engine_type(question.collective),
            size: Bytes(question.bytes.unwrap_or_default()),
            group: question.group.is_some().then_some(id),
            involved,
        };
        let collective = one_node(kind, 0)?;
        let Some(group) = &question.group else { return Ok(Workload::uniform(collective, ranks)) };
        let idle = one_node(NodeKind::Compute { work: None::<Work> }, 0)?;
        let trace_of_rank = (0..ranks).map(|rank| u32::from(group.binary_search(&rank).is_err())).collect();
        let members = group.iter().map(|rank| Rank(*rank)).collect();
        Ok(Workload {
            traces: vec![collective, idle],
            trace_of_rank,
            groups: BTreeMap::from([(id, members)]),
        })
    }
}

fn one_node(kind: NodeKind, micros: u64) -> Result<Trace> {
    let mut trace = TraceBuilder::new();
    trace.push(0, "best", Node { kind, cpu: false, duration: Micros(micros) }, &[]);
    trace.build().map_err(|e| Error::failed(e.to_string()))
}

fn spans_all_ranks(algorithm: Algorithm) -> bool {
    algorithm::parse(algorithm.name()).is_ok_and(astra_engine::Algorithm::spans_all_ranks)
}

/// `fastest of 5 simulated; next direct, 3 ns more`.
fn reason(tried: &[Tried]) -> String {
    let mut reason = format!("fastest of {} simulated", tried.len());
    if let [best, next, ..] = tried {
        let names: Vec<&str> = next.algorithms.iter().map(|a| a.name()).collect();
        reason += &format!("; next {}, {} ns more", names.join(", "), next.finish_ns - best.finish_ns);
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::super::{Decider, decide};
    use super::*;
    use crate::astrasim::{self, AlgorithmLists, ConfigRequest, PolicyChoices, SystemOverrides};
    use crate::hw::Document;
    use astra_engine::{Dialect, NetworkModel};

    const HARDWARE: &str = "\
parallelism: { tp: 4, dp: 4 }
network:
  dimensions:
    - { id: ring, parallelisms: [tp], size: auto, topology: { type: Ring, bandwidth: 50e9, latency: 1e-6, util: 1.0 } }
    - { id: switch, parallelisms: [dp], size: auto, topology: { type: Switch, bandwidth: 10e9, latency: 2e-6, util: 1.0 } }
";

    /// The decisions about a question, and how long the collective takes with any two algorithms.
    fn check(question: &Question, dialect: Dialect) -> (Vec<String>, u64, Vec<u64>) {
        let (spec, _) = Document::parse(HARDWARE.as_bytes(), "hw.yaml").unwrap().network_spec(&[]).unwrap();
        let request = ConfigRequest { ranks: 16, ..ConfigRequest::default() };
        let layout = astrasim::layout(&spec, &request).unwrap();
        let (chosen, system) = (PolicyChoices::new(), SystemOverrides::default());
        let situation = Situation {
            spec: &spec,
            layout: &layout,
            dialect,
            model: NetworkModel::CongestionAware,
            queues_per_dimension: 1,
            chosen: &chosen,
            system: &system,
        };
        let stop = AtomicBool::new(false);
        let table = decide(&situation, [question], Decider::Best(&stop)).unwrap();
        let row = table.row(question).unwrap();
        let mut all = Vec::new();
        for first in [Algorithm::Ring, Algorithm::Direct, Algorithm::HalvingDoubling] {
            for second in [Algorithm::Ring, Algorithm::Direct, Algorithm::HalvingDoubling] {
                // Through the files, as a build goes.
                let decision = |algorithm: Algorithm| Decision {
                    algorithm: algorithm.name().to_owned(),
                    decided_by: DecidedBy::Policy,
                    reason: String::new(),
                };
                let list = vec![decision(first), decision(second)];
                let lists = AlgorithmLists::of(|_| Ok(list.clone())).unwrap();
                let files = astrasim::write(&layout, &lists, &spec.sys_options, &system);
                let (file, _) =
                    astrasim::SystemFile::parse(files.system_json.as_bytes(), "system.json").unwrap();
                let options = astrasim::SystemOptions::default();
                let system = file.system(dialect, &options, astra_engine::RemoteMemory::None).unwrap();
                let workload = Trial::of(&situation).unwrap().workload(question).unwrap();
                let network = layout.network(NetworkModel::CongestionAware);
                all.push(astra_engine::simulate(&network, &system, &workload).unwrap().finish().0);
            }
        }
        let names = row.algorithms().into_iter().map(str::to_owned).collect();
        (names, row.predicted_ns.unwrap() as u64, all)
    }

    #[test]
    fn nothing_is_faster_than_best_and_its_time_is_simulated() {
        for bytes in [4 << 10, 1 << 20, 64 << 20] {
            let (names, best, all) = check(&Question::of(Collective::AllReduce, bytes), Dialect::AstraSim);
            assert!(all.iter().all(|other| *other >= best), "{bytes}: {best} in {all:?}");
            assert!(all.contains(&best) || names[0].starts_with("one"), "{bytes}: {names:?}");
        }
    }

    #[test]
    fn a_group_is_asked_about_where_its_answer_counts() {
        let question =
            Question { group: Some(vec![0, 1, 2, 3]), ..Question::of(Collective::AllReduce, 1 << 20) };
        let (_, best, all) = check(&question, Dialect::DeepFlow);
        // Only the first dimension counts: the second makes no difference.
        assert!(all.chunks(3).all(|same| same[0] == same[1] && same[1] == same[2]), "{all:?}");
        assert!(all.iter().all(|other| *other >= best));
    }
}

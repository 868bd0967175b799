//! Which algorithms take least, and why.
//!
//! Dimensions are decided one by one: what one of them takes does not depend on the algorithms of the others. Then the
//! algorithms over all ranks at once compete with what came of it.

use astra_policy::{Algorithm, Answer, Collective, Dialect, Refusal, Request};

use crate::chunk::{Chunks, Stage, Turn, makespan_ns, stages};
use crate::cost::Cost;
use crate::place::{Axis, Place, axes};

/// Algorithms over all ranks at once.
const OVER_ALL: [Algorithm; 3] = [Algorithm::OneRing, Algorithm::OneDirect, Algorithm::OneHalvingDoubling];

/// What is asked, prepared for judging algorithms.
struct Question<'a> {
    request: &'a Request,
    axes: Vec<Axis>,
    chunks: Chunks,
    stages: Vec<Stage>,
}

impl<'a> Question<'a> {
    fn of(request: &'a Request) -> Self {
        let chunks = Chunks::of(request);
        Self { request, axes: axes(request), chunks, stages: stages(request, chunks.bytes) }
    }

    /// The turns of a stage on its dimension.
    fn turn(&self, stage: &Stage, algorithm: Algorithm) -> Turn {
        let axes = &self.axes[stage.dimension..=stage.dimension];
        let phase = Place::new(self.request, axes).phase(algorithm, stage.collective, stage.bytes);
        Turn::of(self.request, stage, phase)
    }

    /// The stages on a dimension.
    fn on(&self, dimension: usize) -> impl Iterator<Item = &Stage> {
        self.stages.iter().filter(move |stage| stage.dimension == dimension)
    }

    /// What a dimension takes with an algorithm, in ns.
    fn dimension_ns(&self, dimension: usize, algorithm: Algorithm) -> f64 {
        let turns: Vec<Turn> = self.on(dimension).map(|stage| self.turn(stage, algorithm)).collect();
        makespan_ns(&turns, self.chunks.count)
    }

    /// The whole with an algorithm for each dimension.
    fn turns(&self, algorithms: &[Algorithm]) -> Vec<Turn> {
        self.stages.iter().map(|stage| self.turn(stage, algorithms[stage.dimension])).collect()
    }

    /// Chunks of several dimensions that run at once hide each other's time: replaces the algorithm of one dimension after
    /// the other by what is best for the whole.
    fn refine(&self, algorithms: &mut [Algorithm]) {
        let whole_ns = |algorithms: &[Algorithm]| makespan_ns(&self.turns(algorithms), self.chunks.count);
        let mut least_ns = whole_ns(algorithms);
        for dimension in 0..algorithms.len() {
            for algorithm in
                Algorithm::ALL.into_iter().filter(|algorithm| self.is_possible(dimension, *algorithm))
            {
                let kept = std::mem::replace(&mut algorithms[dimension], algorithm);
                let ns = whole_ns(algorithms);
                if ns < least_ns {
                    least_ns = ns;
                } else {
                    algorithms[dimension] = kept;
                }
            }
        }
    }

    /// The whole with one algorithm over all members at once.
    fn turn_over_all(&self, algorithm: Algorithm) -> Turn {
        let Request { collective, .. } = *self.request;
        let place = Place::new(self.request, &self.axes);
        let stage = Stage { dimension: 0, collective, bytes: self.chunks.bytes };
        Turn::of(self.request, &stage, place.phase(algorithm, collective, stage.bytes))
    }

    /// Whether a dimension could use an algorithm that works on it alone.
    fn is_possible(&self, dimension: usize, algorithm: Algorithm) -> bool {
        let whole = self.on(dimension).all(|stage| stage.collective == self.request.collective);
        let reaches = algorithm != Algorithm::Direct || self.axes[dimension].line.reaches_all();
        self.request.dimensions[dimension].allowed.contains(algorithm)
            && reaches
            && !OVER_ALL.contains(&algorithm)
            // A tree carries out a whole all-reduce, also where a part of one is wanted.
            && (algorithm != Algorithm::DoubleBinaryTree || whole)
    }
}

/// A choice with its time.
struct Candidate {
    algorithms: Vec<Algorithm>,
    turns: Vec<Turn>,
    ns: f64,
}

/// The answer of least predicted time.
pub(crate) fn decide(request: &Request) -> Result<Answer, Refusal> {
    if request.dimensions.is_empty() {
        return Err("asked about no dimension".into());
    }
    let question = Question::of(request);
    if request.group.is_some() {
        return in_group(&question);
    }
    let mut next = None;
    let mut algorithms = Vec::with_capacity(request.dimensions.len());
    for dimension in 0..request.dimensions.len() {
        let mut ranking: Vec<(Algorithm, f64)> = Algorithm::ALL
            .into_iter()
            .filter(|algorithm| question.is_possible(dimension, *algorithm))
            .map(|algorithm| (algorithm, question.dimension_ns(dimension, algorithm)))
            .collect();
        // Stable: of equal ones that with the lower number.
        ranking.sort_by(|a, b| a.1.total_cmp(&b.1));
        let [best, others @ ..] = ranking.as_slice() else { return Err(nothing(request, dimension)) };
        algorithms.push(best.0);
        next =
            others.first().map(|other| (other.0, other.1 / best.1)).filter(|_| request.dimensions.len() == 1);
    }
    if request.dimensions.len() > 1 && request.active_chunks > 1 && question.chunks.count > 1 {
        question.refine(&mut algorithms);
    }
    let turns = question.turns(&algorithms);
    let mut best = Candidate { ns: makespan_ns(&turns, question.chunks.count), algorithms, turns };
    if request.dimensions.len() > 1 {
        for algorithm in OVER_ALL {
            let turns = vec![question.turn_over_all(algorithm)];
            let ns = makespan_ns(&turns, question.chunks.count);
            let reaches =
                algorithm != Algorithm::OneDirect || question.axes.iter().all(|a| a.line.reaches_all());
            let everywhere =
                reaches && request.dimensions.iter().all(|dimension| dimension.allowed.contains(algorithm));
            if everywhere && ns < best.ns {
                best = Candidate { algorithms: vec![algorithm; request.dimensions.len()], turns, ns };
            }
        }
    }
    Ok(answer(request, best, next))
}

/// In a group that is not of all ranks the simulators use one algorithm: in dialect `astra-sim` that of a list of one, else
/// `ring`; in `deepflow` the first of the list.
fn in_group(question: &Question) -> Result<Answer, Refusal> {
    use Algorithm::{Direct, HalvingDoubling, Mesh, Ring};
    let request = question.request;
    let members = request.group.as_ref().map_or(0, Vec::len);
    let is_free = request.dialect == Dialect::DeepFlow || request.dimensions.len() == 1;
    let possible = |algorithm: &Algorithm| {
        let fits = match algorithm {
            Ring => true,
            HalvingDoubling => {
                is_free && members.is_power_of_two() && request.collective != Collective::AllToAll
            }
            _ => is_free,
        };
        fits && request.dimensions.iter().all(|dimension| dimension.allowed.contains(*algorithm))
    };
    if question.axes.is_empty() {
        return Err("asked about a group of fewer than two ranks".into());
    }
    let judged = [Ring, Direct, HalvingDoubling, Mesh].into_iter().filter(possible).map(|algorithm| {
        let turns = vec![question.turn_over_all(algorithm)];
        let ns = makespan_ns(&turns, question.chunks.count);
        Candidate { algorithms: vec![algorithm; request.dimensions.len()], turns, ns }
    });
    let best = judged.min_by(|a, b| a.ns.total_cmp(&b.ns)).ok_or_else(|| nothing(request, 0))?;
    Ok(answer(request, best, None))
}

fn nothing(request: &Request, dimension: usize) -> Refusal {
    let astra_policy::Dimension { id, topology, npus, .. } = &request.dimensions[dimension];
    format!("no algorithm can run {} on dimension `{id}` ({topology} of {npus})", request.collective).into()
}

/// The answer for a choice, with its largest part as the reason.
fn answer(request: &Request, best: Candidate, next: Option<(Algorithm, f64)>) -> Answer {
    let total_ns: f64 = best.turns.iter().map(|turn| turn.phase.cost.total_ns()).sum();
    let mut parts = vec![Cost::default(); request.dimensions.len()];
    for turn in &best.turns {
        parts[turn.dimension] += turn.phase.cost;
    }
    let largest = parts.iter().map(Cost::largest).enumerate();
    let (dimension, (term, ns)) = largest
        .reduce(|most, part| if part.1.1 > most.1.1 { part } else { most })
        .unwrap_or((0, ("nothing", 0.0)));
    let percent = if total_ns > 0.0 { 100.0 * ns / total_ns } else { 0.0 };
    let mut reason = format!("{percent:.0} % {term}");
    match best.turns.len() {
        1 if request.dimensions.len() > 1 => reason += ", over all dimensions at once",
        1 => {}
        _ => reason += &format!(" on `{}`", request.dimensions[dimension].id),
    }
    if let Some((algorithm, times)) = next.filter(|(_, times)| times.is_finite()) {
        reason += &format!("; {algorithm} would take {times:.2} times as long");
    }
    Answer { predicted_ns: Some(best.ns), ..Answer::of(best.algorithms) }.because(reason)
}

/// The predicted time of a request with these algorithms, one per dimension.
pub(crate) fn predict_ns(request: &Request, algorithms: &[Algorithm]) -> Option<f64> {
    let first = algorithms.first().filter(|_| algorithms.len() == request.dimensions.len())?;
    let question = Question::of(request);
    if question.axes.is_empty() {
        return None;
    }
    let turns = match first {
        over_all if OVER_ALL.contains(over_all) || request.group.is_some() => {
            vec![question.turn_over_all(*over_all)]
        }
        _ => question.turns(algorithms),
    };
    Some(makespan_ns(&turns, question.chunks.count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use astra_policy::{AlgorithmSet, Choice, CollectiveOptimization, Dimension, NetworkModel, Topology};

    fn request(dimensions: &[(Topology, u32)], payload_bytes: u64) -> Request {
        let dimension = |&(topology, npus): &(Topology, u32)| Dimension {
            id: format!("{topology}-{npus}"),
            topology,
            npus,
            bandwidth_bytes_per_s: 50e9,
            latency_ns: 500.0,
            allowed: [Algorithm::Ring, Algorithm::Direct, Algorithm::HalvingDoubling].into_iter().collect(),
        };
        Request {
            collective: Collective::AllReduce,
            element_bytes: 4,
            payload_bytes,
            ranks: dimensions.iter().map(|dimension| dimension.1).product(),
            group: None,
            dimensions: dimensions.iter().map(dimension).collect(),
            endpoint_delay_ns: 10,
            dataset_splits: 1,
            active_chunks: 1,
            network_model: NetworkModel::CongestionAware,
            dialect: Dialect::AstraSim,
            local_memory_bytes_per_s: 1600e9,
            collective_optimization: CollectiveOptimization::LocalBwAware,
            queues_per_dimension: 1,
        }
    }

    fn decided(request: &Request) -> (Vec<Choice>, String) {
        let answer = decide(request).unwrap();
        (answer.dimensions, answer.reason)
    }

    #[test]
    fn on_a_ring_size_decides_and_the_reason_says_by_what() {
        let by = |algorithm| vec![Choice::Algorithm(algorithm)];
        let (small, reason) = decided(&request(&[(Topology::Ring, 8)], 1024));
        assert_eq!(small, by(Algorithm::Direct));
        assert_eq!(reason, "98 % latency; halvingDoubling would take 1.76 times as long");
        let (large, reason) = decided(&request(&[(Topology::Ring, 8)], 1 << 30));
        assert_eq!(large, by(Algorithm::Ring));
        assert_eq!(reason, "96 % transmission; direct would take 1.37 times as long");
    }

    #[test]
    fn without_congestion_the_same_ring_looks_free() {
        let network_model = NetworkModel::CongestionUnaware;
        let unaware = Request { network_model, ..request(&[(Topology::Ring, 8)], 1 << 30) };
        assert_eq!(decided(&unaware).0, [Choice::Algorithm(Algorithm::Direct)]);
    }

    #[test]
    fn a_reason_names_the_dimension_that_takes_most() {
        let mut request = request(&[(Topology::Ring, 4), (Topology::Switch, 4)], 1 << 30);
        request.dimensions[1].bandwidth_bytes_per_s /= 100.0;
        assert!(decided(&request).1.ends_with("transmission on `Switch-4`"), "{}", decided(&request).1);
    }

    #[test]
    fn only_what_is_allowed_is_chosen_and_nothing_is_a_refusal() {
        let mut request = request(&[(Topology::Switch, 8)], 1024);
        request.dimensions[0].allowed = AlgorithmSet::from_iter([Algorithm::Ring]);
        let (chosen, reason) = decided(&request);
        assert_eq!(chosen, [Choice::Algorithm(Algorithm::Ring)]);
        assert!(!reason.contains("would take"), "{reason}");
        request.dimensions[0].allowed = AlgorithmSet::default();
        let refusal = decide(&request).unwrap_err().to_string();
        assert_eq!(refusal, "no algorithm can run all_reduce on dimension `Switch-8` (Switch of 8)");
        request.dimensions.clear();
        assert!(decide(&request).is_err());
        assert_eq!(predict_ns(&request, &[]), None);
    }

    #[test]
    fn every_topology_and_odd_size_has_a_finite_time() {
        for topology in Topology::ALL {
            for npus in [1, 2, 3, 5, 7, 12, 1000, u32::MAX] {
                for collective in Collective::ALL {
                    for payload_bytes in [0, 1, 4097, 1 << 50] {
                        let mut request = request(&[(Topology::Switch, 2), (topology, 2)], payload_bytes);
                        request.collective = collective;
                        request.dimensions[1].npus = npus;
                        request.ranks = npus.saturating_mul(2);
                        request.dataset_splits = 100;
                        request.active_chunks = 3;
                        for group in [None, Some(vec![0, 1, 2, 5])] {
                            request.group = group;
                            let predicted = decide(&request).unwrap().predicted_ns.unwrap();
                            let what = format!("{topology} of {npus}, {collective}, {payload_bytes}");
                            assert!(predicted.is_finite() && predicted >= 0.0, "{what}: {predicted}");
                        }
                    }
                }
            }
        }
    }
}

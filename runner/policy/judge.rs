//! Judges an answer: whether it may be acted on, and what it comes to.
//!
//! Pure. The answer comes from code that nobody here wrote, over a pipe it may have written to.

use astra_policy::{Algorithm, Request, raw};

use super::wire::Answer;
use super::words::obstacle;

/// What came of a question.
#[derive(Clone, Debug, PartialEq)]
pub enum Ruling {
    /// The policy decided.
    Decided(Decided),
    /// The policy leaves it to the host's default.
    NoOpinion,
}

/// A decision that can be carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct Decided {
    /// One algorithm per dimension of the request, each of them allowed there.
    pub algorithms: Vec<Algorithm>,
    /// Chunks to cut the collective into, where the policy wants another number than asked.
    pub dataset_splits: Option<u32>,
    /// Chunks active at once per dimension, where the policy wants another number than asked.
    pub active_chunks: Option<u32>,
    /// Time of the whole collective that the policy expects.
    pub predicted_ns: Option<f64>,
    /// Why, in the policy's words; may be empty.
    pub reason: String,
}

/// The most chunks that a system file can ask for: what the simulator's integers hold.
const MAX_CHUNKS: u32 = i32::MAX as u32;

/// What an answer comes to.
///
/// # Errors
/// Why it cannot be acted on, as a fragment that follows the policy's name.
pub(super) fn judge(request: &Request, answer: Answer) -> Result<Decided, String> {
    let dimensions = request.dimensions.len();
    if answer.dimension_count as usize != dimensions || answer.algorithms.len() != dimensions {
        return Err(format!("answered {} dimensions of {dimensions}", answer.dimension_count));
    }
    let columns = Algorithm::ALL.len();
    if !answer.costs_ns.is_empty() && answer.costs_ns.len() != dimensions * columns {
        return Err(format!("answered {} costs for {dimensions} dimensions", answer.costs_ns.len()));
    }
    let mut algorithms = Vec::with_capacity(dimensions);
    for (index, chosen) in answer.algorithms.iter().enumerate() {
        let costs = answer.costs_ns.chunks_exact(columns).nth(index).unwrap_or_default();
        check_costs(request, index, costs)?;
        algorithms.push(match *chosen {
            raw::UNDECIDED => cheapest(request, index, costs)?,
            number => chosen_algorithm(request, index, number)?,
        });
    }
    Ok(Decided {
        algorithms,
        dataset_splits: chunks("splits", answer.dataset_splits)?,
        active_chunks: chunks("active chunks", answer.active_chunks)?,
        predicted_ns: predicted(answer.predicted_ns)?,
        reason: answer.reason.trim().to_owned(),
    })
}

fn no_cost(cost: f64) -> bool {
    cost.to_bits() == raw::NO_COST.to_bits()
}

/// `NaN`, `infinite` or `-2`: why a number is no time.
fn no_time(ns: f64) -> Option<String> {
    match ns {
        _ if ns.is_nan() => Some("NaN".to_owned()),
        _ if ns.is_infinite() => Some("infinite".to_owned()),
        _ if ns < 0.0 => Some(format!("{ns}, less than nothing")),
        _ => None,
    }
}

fn predicted(ns: f64) -> Result<Option<f64>, String> {
    if no_cost(ns) {
        return Ok(None);
    }
    no_time(ns).map_or(Ok(Some(ns)), |wrong| Err(format!("predicts a time that is {wrong}")))
}

/// A number of chunks; 0 leaves it as it is.
fn chunks(what: &str, number: u32) -> Result<Option<u32>, String> {
    match number {
        0 => Ok(None),
        1..=MAX_CHUNKS => Ok(Some(number)),
        _ => Err(format!("asks for {number} {what}, at most {MAX_CHUNKS} can be")),
    }
}

/// `dimension 0 (Ring of 8)`.
fn place(request: &Request, index: usize) -> String {
    let dimension = &request.dimensions[index];
    format!("dimension {index} ({} of {})", dimension.topology, dimension.npus)
}

fn check_costs(request: &Request, index: usize, costs: &[f64]) -> Result<(), String> {
    for (algorithm, cost) in Algorithm::ALL.into_iter().zip(costs).filter(|(_, cost)| !no_cost(**cost)) {
        if let Some(wrong) = no_time(*cost) {
            return Err(format!("gave a cost for {algorithm} on {} that is {wrong}", place(request, index)));
        }
    }
    Ok(())
}

fn cheapest(request: &Request, index: usize, costs: &[f64]) -> Result<Algorithm, String> {
    let allowed = request.dimensions[index].allowed;
    let set = || Algorithm::ALL.into_iter().zip(costs).filter(|(_, cost)| !no_cost(**cost));
    let possible = set().filter(|(algorithm, _)| allowed.contains(*algorithm));
    // `min_by` keeps the first of equals.
    if let Some((algorithm, _)) = possible.min_by(|(_, a), (_, b)| a.total_cmp(b)) {
        return Ok(algorithm);
    }
    match set().next() {
        None => Err(format!("gave neither an algorithm nor a cost for {}", place(request, index))),
        Some((algorithm, _)) => Err(impossible(request, index, algorithm)),
    }
}

fn chosen_algorithm(request: &Request, index: usize, number: i32) -> Result<Algorithm, String> {
    let algorithm = u32::try_from(number).ok().and_then(Algorithm::from_number);
    let place = || place(request, index);
    let algorithm =
        algorithm.ok_or_else(|| format!("chose algorithm {number} for {}, which there is not", place()))?;
    let allowed = request.dimensions[index].allowed.contains(algorithm);
    if allowed { Ok(algorithm) } else { Err(impossible(request, index, algorithm)) }
}

fn impossible(request: &Request, index: usize, algorithm: Algorithm) -> String {
    let npus = request.dimensions[index].npus;
    let why = obstacle(algorithm, request.dialect, request.collective, npus, request.ranks);
    let why = why.unwrap_or_else(|| "is not allowed there".to_owned());
    format!("chose {algorithm} for {}, which {why}", place(request, index))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::sample_questions;
    use crate::policy::words::allowed;
    use astra_policy::Collective;

    const COLUMNS: usize = Algorithm::ALL.len();

    /// A question about one dimension of 6 members, so that halving-doubling is not possible.
    fn request() -> Request {
        let mut request = sample_questions().into_iter().find(|r| r.dimensions.len() == 1).unwrap();
        request.collective = Collective::AllReduce;
        request.ranks = 6;
        let dimension = &mut request.dimensions[0];
        dimension.npus = 6;
        dimension.allowed = allowed(request.dialect, Collective::AllReduce, 6, 6);
        request
    }

    fn answer(algorithm: i32, costs: &[(Algorithm, f64)]) -> Answer {
        let mut costs_ns = vec![raw::NO_COST; if costs.is_empty() { 0 } else { COLUMNS }];
        for (algorithm, cost) in costs {
            costs_ns[algorithm.number() as usize] = *cost;
        }
        Answer {
            dimension_count: 1,
            algorithms: vec![algorithm],
            costs_ns,
            predicted_ns: raw::NO_COST,
            ..Answer::default()
        }
    }

    fn judged(answer: Answer) -> Result<Vec<Algorithm>, String> {
        judge(&request(), answer).map(|decided| decided.algorithms)
    }

    #[test]
    fn an_algorithm_that_is_set_counts_and_else_the_cheapest_that_is_allowed() {
        use Algorithm::{Direct, HalvingDoubling, Ring};
        assert_eq!(judged(answer(2, &[(Ring, 1.0)])), Ok(vec![Direct]));
        assert_eq!(judged(answer(-1, &[(Ring, 2.0), (Direct, 1.0)])), Ok(vec![Direct]));
        assert_eq!(judged(answer(-1, &[(Direct, 1.0), (Ring, 1.0)])), Ok(vec![Ring]));
        assert_eq!(judged(answer(-1, &[(HalvingDoubling, 1.0), (Ring, 5.0)])), Ok(vec![Ring]));
    }

    #[test]
    fn what_is_impossible_is_refused_with_the_reason() {
        let halving = judged(answer(4, &[])).unwrap_err();
        assert!(halving.starts_with("chose halvingDoubling for dimension 0 ("), "{halving}");
        assert!(halving.ends_with("of 6), which needs a power of two of members, here 6"), "{halving}");
        assert_eq!(judged(answer(-1, &[(Algorithm::HalvingDoubling, 1.0)])), Err(halving));
        assert!(judged(answer(11, &[])).unwrap_err().contains("chose algorithm 11 for"));
        assert!(judged(answer(-7, &[])).unwrap_err().contains("chose algorithm -7 for"));
    }

    #[test]
    fn a_cost_that_is_no_time_is_refused_even_where_the_algorithm_is_set() {
        for (cost, word) in [(f64::NAN, "NaN"), (f64::INFINITY, "infinite"), (-2.0, "less than nothing")] {
            for algorithm in [-1, 0] {
                let error = judged(answer(algorithm, &[(Algorithm::Ring, cost)])).unwrap_err();
                assert!(
                    error.starts_with("gave a cost for ring on dimension 0") && error.contains(word),
                    "{error}"
                );
            }
            let predicted = Answer { predicted_ns: cost, ..answer(0, &[]) };
            assert!(judged(predicted).unwrap_err().contains(word));
        }
    }

    #[test]
    fn more_chunks_than_a_system_file_can_hold_are_refused() {
        let most = Answer { dataset_splits: MAX_CHUNKS, active_chunks: 1, ..answer(0, &[]) };
        let decided = judge(&request(), most.clone()).unwrap();
        assert_eq!((decided.dataset_splits, decided.active_chunks), (Some(MAX_CHUNKS), Some(1)));
        let splits = Answer { dataset_splits: MAX_CHUNKS + 1, ..most.clone() };
        assert_eq!(judged(splits).unwrap_err(), "asks for 2147483648 splits, at most 2147483647 can be");
        let active = Answer { active_chunks: u32::MAX, ..most };
        assert!(judged(active).unwrap_err().starts_with("asks for 4294967295 active chunks"));
    }

    #[test]
    fn the_wrong_number_of_dimensions_and_no_choice_at_all_are_refused() {
        let two = Answer { dimension_count: 2, ..answer(0, &[]) };
        assert_eq!(judged(two).unwrap_err(), "answered 2 dimensions of 1");
        let longer = Answer { algorithms: vec![0, 0], ..answer(0, &[]) };
        assert!(judged(longer).is_err());
        let costs = Answer { costs_ns: vec![1.0; 3], ..answer(0, &[]) };
        assert!(judged(costs).is_err());
        assert!(judged(answer(-1, &[])).unwrap_err().contains("neither an algorithm nor a cost"));
    }
}

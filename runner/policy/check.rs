//! Tries a policy: every sample question four times, in two processes and two orders.
//!
//! A policy that passes answers alike, possibly and finitely. That it is a pure function cannot be proved from outside; an
//! answer that depends on what was asked before, on memory or on the process is found here.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use astra_policy::Request;

use super::helper::Limits;
use super::judge::Ruling;
use super::session::{Isolation, Session, Source};
use super::trouble::Trouble;
use super::{About, sample_questions};
use crate::error::Result;

/// How a policy conducted itself.
#[derive(Clone, Debug)]
pub struct Conduct {
    /// What it says of itself.
    pub about: About,
    /// Distinct questions.
    pub questions: usize,
    /// How many of them it decided.
    pub decided: usize,
    /// How many it left to the host.
    pub no_opinion: usize,
    /// How many it answered with an error of its own.
    pub refused: usize,
    /// The first of those errors, with its question.
    pub first_refusal: Option<String>,
    /// What it did wrong, each thing once, with a question where it did.
    pub faults: Vec<String>,
    /// How fast it was.
    pub timing: Timing,
}

/// How fast a policy was.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// From starting its process to having read its configuration.
    pub opening: Duration,
    /// Per answer, with all there is around it.
    pub per_answer: Duration,
}

/// Tries a policy with the sample questions.
///
/// # Errors
/// When it cannot be opened. What it does wrong afterwards is in [`Conduct::faults`].
pub fn check(source: &Source, config: &str, isolation: &Isolation, limits: Limits) -> Result<Conduct> {
    let started = Instant::now();
    let open = || Session::open(source.clone(), config, isolation.clone(), limits);
    let mut session = open()?;
    let opening = started.elapsed();
    let questions = sample_questions();
    let mut trial =
        Trial { questions: &questions, seen: vec![None; questions.len()], faults: Faults::default() };
    let started = Instant::now();
    trial.run(&mut session, 1)?;
    let per_answer = started.elapsed() / (2 * questions.len()) as u32;
    let about = session.about().clone();
    trial.run(&mut open()?, 2)?;

    let count = |kind: fn(&Outcome) -> bool| trial.seen.iter().flatten().filter(|seen| kind(seen)).count();
    let first_refusal = questions.iter().zip(&trial.seen).find_map(|(request, seen)| match seen {
        Some(Err(refused @ Trouble::Refused(_))) => {
            Some(session.error(refused.clone(), request, "").to_string())
        }
        _ => None,
    });
    Ok(Conduct {
        about,
        questions: questions.len(),
        decided: count(|seen| matches!(seen, Ok(Ruling::Decided(_)))),
        no_opinion: count(|seen| matches!(seen, Ok(Ruling::NoOpinion))),
        refused: count(|seen| matches!(seen, Err(Trouble::Refused(_)))),
        first_refusal,
        faults: trial.faults.told,
        timing: Timing { opening, per_answer },
    })
}

type Outcome = Result<Ruling, Trouble>;

/// What has come of each question so far.
struct Trial<'a> {
    questions: &'a [Request],
    seen: Vec<Option<Outcome>>,
    faults: Faults,
}

/// Faults as sentences. One kind of fault on a hundred questions is told once.
#[derive(Default)]
struct Faults {
    kinds: BTreeSet<String>,
    told: Vec<String>,
}

impl Faults {
    fn add(&mut self, kind: String, sentence: impl FnOnce() -> String) {
        if self.kinds.insert(kind) {
            self.told.push(sentence());
        }
    }
}

impl Trial<'_> {
    /// Asks every question twice, in an order that the seed gives.
    fn run(&mut self, session: &mut Session, seed: u64) -> Result<()> {
        let order = shuffled((0..self.questions.len()).chain(0..self.questions.len()).collect(), seed);
        let requests: Vec<Request> = order.iter().map(|index| self.questions[*index].clone()).collect();
        let (outcomes, printed) = session.outcomes(&requests)?;
        for (index, outcome) in order.into_iter().zip(outcomes) {
            let request = &self.questions[index];
            match &outcome {
                Ok(_) | Err(Trouble::Refused(_)) => {}
                Err(trouble) => {
                    let error = session.error(trouble.clone(), request, &printed);
                    self.faults.add(kind(error.message()), || error.to_string());
                }
            }
            match &self.seen[index] {
                None => self.seen[index] = Some(outcome),
                Some(before) if *before == outcome => {}
                Some(before) => {
                    let differ = format!("answered once {}, once {}", told(before), told(&outcome));
                    let trouble = Trouble::Broken(format!("{differ}: it is no pure function"));
                    let error = session.error(trouble, request, "");
                    self.faults.add("pure".to_owned(), || error.to_string());
                }
            }
        }
        Ok(())
    }
}

/// Fisher and Yates's shuffle: an order in which nothing that counts, or tells odd from even, keeps step.
fn shuffled(mut items: Vec<usize>, seed: u64) -> Vec<usize> {
    let mut state = seed;
    for last in (1..items.len()).rev() {
        // SplitMix64 (Steele, Lea, Flood 2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        items.swap(last, (mixed % (last as u64 + 1)) as usize);
    }
    items
}

/// A message without its numbers, which differ from question to question.
fn kind(message: &str) -> String {
    message.chars().filter(|c| !c.is_ascii_digit()).collect()
}

fn told(outcome: &Outcome) -> String {
    match outcome {
        Ok(Ruling::Decided(decided)) => {
            let names: Vec<&str> = decided.algorithms.iter().map(|algorithm| algorithm.name()).collect();
            let reason = if decided.reason.is_empty() { "no reason" } else { &decided.reason };
            let predicted = decided.predicted_ns.map_or_else(String::new, |ns| format!(", {ns} ns"));
            format!("`{}` ({reason}{predicted})", names.join(", "))
        }
        Ok(Ruling::NoOpinion) => "that it has no opinion".to_owned(),
        Err(Trouble::Refused(text)) => format!("with the error `{text}`"),
        Err(_) => "with a fault".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_loses_nothing_and_another_seed_gives_another_order() {
        let items: Vec<usize> = (0..720).collect();
        let (one, two) = (shuffled(items.clone(), 1), shuffled(items.clone(), 2));
        assert!(one != two && one != items);
        let odd_in_odd_places = one.iter().enumerate().filter(|(place, item)| place % 2 == *item % 2).count();
        assert!((250..470).contains(&odd_in_odd_places), "{odd_in_odd_places}");
        let mut sorted = one;
        sorted.sort_unstable();
        assert_eq!(sorted, items);
    }
}

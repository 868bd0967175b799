//! The policy `alpha-beta`: on every dimension the algorithm of least predicted time.
//!
//! The time of a message is a latency (alpha) and its bytes over the bandwidth (beta); to these come what the simulators
//! charge for endpoints and reductions, and the waiting for links that messages share. Everything is a closed form or a
//! short walk; nothing is simulated. `rounds` says which messages an algorithm sends, `line` how far they go, `place` what
//! links and endpoints charge, `phase` what an algorithm takes on a dimension, `chunk` what all of it takes together,
//! `choice` which is least.
#![forbid(unsafe_code)]

mod choice;
mod chunk;
mod cost;
mod line;
mod phase;
mod place;
mod rounds;

use astra_policy::{Algorithm, Answer, Policy, Refusal, Request};

/// The policy `alpha-beta`.
#[derive(Clone, Copy, Debug)]
pub struct AlphaBeta;

impl Policy for AlphaBeta {
    const NAME: &'static str = "alpha-beta";
    const VERSION: &'static str = "1";
    const DESCRIPTION: &'static str =
        "least predicted time, from latency, bandwidth, contention, endpoint delay and reduction";

    fn open(config: &str) -> Result<Self, Refusal> {
        if config.trim().is_empty() { Ok(Self) } else { Err("takes no configuration".into()) }
    }

    fn decide(&self, request: &Request) -> Result<Option<Answer>, Refusal> {
        choice::decide(request).map(Some)
    }
}

/// The time that the policy predicts for a request carried out by these algorithms, in nanoseconds; `None` unless there is
/// one for each dimension.
pub fn predict_ns(request: &Request, algorithms: &[Algorithm]) -> Option<f64> {
    choice::predict_ns(request, algorithms)
}

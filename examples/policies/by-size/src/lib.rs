//! A policy in Rust, outside the workspace: an estimate of latency and bandwidth for ring and direct on each dimension.
//!
//!     cargo build --release
//!     astra-store plugin check target/release/libby_size.so

use astra_policy::{Algorithm, Answer, Choice, Dimension, Policy, Refusal, Request};

struct BySize;

impl Policy for BySize {
    const NAME: &'static str = "by-size";
    const VERSION: &'static str = "1";
    const DESCRIPTION: &'static str = "ring or direct, by a simple estimate of latency and bandwidth";

    fn open(config: &str) -> Result<Self, Refusal> {
        if config.is_empty() { Ok(Self) } else { Err("takes no configuration".into()) }
    }

    fn decide(&self, request: &Request) -> Result<Option<Answer>, Refusal> {
        let costs = |dimension: &Dimension| {
            let considered = [Algorithm::Ring, Algorithm::Direct].into_iter();
            let possible = considered.filter(|algorithm| dimension.allowed.contains(*algorithm));
            Choice::Costs(possible.map(|algorithm| (algorithm, estimate_ns(request, dimension, algorithm))).collect())
        };
        let dimensions = request.dimensions.iter().map(costs).collect();
        Ok(Some(Answer { dimensions, ..Answer::default() }.because("least of the estimates")))
    }
}

/// Steps one after the other, each a hop and a share of the payload: n - 1 of them around a ring, one that sends all
/// shares at once where every member reaches every other.
fn estimate_ns(request: &Request, dimension: &Dimension, algorithm: Algorithm) -> f64 {
    let others = f64::from(dimension.npus.saturating_sub(1));
    let share_ns = request.payload_bytes as f64 / f64::from(dimension.npus) / dimension.bandwidth_bytes_per_s * 1e9;
    let hop_ns = dimension.latency_ns + request.endpoint_delay_ns as f64;
    match algorithm {
        Algorithm::Ring => others * (hop_ns + share_ns),
        // The shares meet at one port; starting them one by one costs a little more than passing them on.
        _ => hop_ns + 1.1 * others * share_ns,
    }
}

astra_policy::export_policy!(BySize);

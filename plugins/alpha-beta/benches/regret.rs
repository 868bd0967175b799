//! What is lost by following the policy instead of simulating every candidate, and how good its predictions are.
//!
//! Peers in the same run: the engine, which gives the truth, and the default policy `topology`.
//!
//!     cargo bench -p astra-policy-alpha-beta               # up to 256 ranks
//!     cargo bench -p astra-policy-alpha-beta -- 64         # up to 64

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot do its work has failed")]

#[path = "../tests/grid/mod.rs"]
mod grid;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use astra_policy::{Algorithm, Choice, Collective, Dialect, NetworkModel, Policy, Request};
use astra_policy_alpha_beta::AlphaBeta;
use astra_policy_topology::ByTopology;
use grid::Point;

fn main() {
    let most = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(256);
    let requests = requests(most);
    let next = AtomicUsize::new(0);
    let table: Mutex<BTreeMap<&str, Vec<(Point, f64)>>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some((heading, request)) = requests.get(number) else { return };
                    if number.is_multiple_of(1000) {
                        eprintln!("{number} of {} points", requests.len());
                    }
                    let Some(own) = grid::compare(request, |request| decide(&AlphaBeta, request)) else {
                        continue;
                    };
                    let default = grid::compare(request, |request| decide(&ByTopology, request));
                    // It refuses what its rules cannot do.
                    let default = default.map(|point| point.regret).filter(|regret| regret.is_finite());
                    table
                        .lock()
                        .unwrap()
                        .entry(heading)
                        .or_default()
                        .push((own, default.unwrap_or(f64::NAN)));
                }
            });
        }
    });
    println!(
        "| network | points | regret: median | 90 % | max | error of prediction: median | 90 % | regret of `topology`: median | 90 % |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (heading, points) in table.into_inner().unwrap() {
        let regret = Spread::of(points.iter().map(|(point, _)| point.regret));
        let error = Spread::of(points.iter().map(|(point, _)| point.error.abs()));
        let default = Spread::of(points.iter().map(|(_, default)| *default));
        let Spread { median, most, max } = regret;
        print!("| {heading} | {} | {median:.1} | {most:.1} | {max:.1} ", points.len());
        println!("| {:.1} | {:.1} | {:.0} | {:.0} |", error.median, error.most, default.median, default.most);
    }
    rate(&requests.into_iter().map(|(_, request)| request).collect::<Vec<_>>());
}

/// The questions, under headings of model, dialect and network.
fn requests(most: u32) -> Vec<(String, Request)> {
    let mut requests = Vec::new();
    for (network, dimensions) in grid::networks(most) {
        // Chunks side by side have every rank simulated: of large networks that would take hours.
        let ranks: u32 = dimensions.iter().map(|dimension| dimension.1).product();
        let settings = if ranks > 36 { &grid::SETTINGS[..1] } else { &grid::SETTINGS };
        for model in NetworkModel::ALL {
            for dialect in Dialect::ALL {
                for collective in Collective::ALL {
                    for bytes in grid::PAYLOADS {
                        for &(splits, active, optimization) in settings {
                            let mut request = grid::request(&dimensions, collective, bytes, model, dialect);
                            (request.dataset_splits, request.active_chunks) = (splits, active);
                            request.collective_optimization = optimization;
                            requests.push((format!("{model}, {dialect}: {network}"), request));
                        }
                    }
                }
            }
        }
    }
    requests
}

/// The algorithms of an answer and its prediction; none where the policy refuses.
fn decide(policy: &impl Policy, request: &Request) -> (Vec<Algorithm>, f64) {
    let Ok(Some(answer)) = policy.decide(request) else { return (Vec::new(), f64::NAN) };
    let algorithms = answer.dimensions.iter().map(|choice| match choice {
        Choice::Algorithm(algorithm) => *algorithm,
        Choice::Costs(_) => unreachable!("these policies name algorithms"),
    });
    (algorithms.collect(), answer.predicted_ns.unwrap_or(f64::NAN))
}

/// Figures in percent.
struct Spread {
    median: f64,
    /// What nine of ten are not above.
    most: f64,
    max: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> =
            values.filter(|value| !value.is_nan()).map(|value| 100.0 * value).collect();
        values.sort_by(f64::total_cmp);
        let at = |share: f64| values.get((values.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
        Self { median: at(0.5), most: at(0.9), max: values.last().copied().unwrap_or(f64::NAN) }
    }
}

/// Decisions per second, best of five.
fn rate(requests: &[Request]) {
    let best = (0..5).map(|_| {
        let started = Instant::now();
        for request in requests {
            std::hint::black_box(decide(&AlphaBeta, request));
        }
        started.elapsed()
    });
    let seconds = best.min().unwrap_or_default().as_secs_f64();
    println!("\n{:.0} decisions per second", requests.len() as f64 / seconds);
}

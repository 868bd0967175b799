//! The policy `fixed`: the algorithms of its configuration, whatever the size and the network.
//!
//! A line per collective, `all_reduce = direct, ring`: one algorithm for each dimension, fastest-varying first, or a single
//! one for all of them. `*` is every collective that has no line; without such a line the policy has no opinion on them.
//! What follows a `#` is a comment.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use astra_policy::{Algorithm, Answer, Collective, Policy, Refusal, Request};

/// The policy `fixed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// Algorithms by collective; `None` is every other one.
    lists: BTreeMap<Option<Collective>, Vec<Algorithm>>,
}

impl Policy for Fixed {
    const NAME: &'static str = "fixed";
    const VERSION: &'static str = "1";
    const DESCRIPTION: &'static str = "the algorithms of its configuration, whatever is asked";

    fn open(config: &str) -> Result<Self, Refusal> {
        let mut lists = BTreeMap::new();
        for (number, line) in (1..).zip(config.lines()) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let (collective, algorithms) =
                parse(line).map_err(|wrong| format!("line {number} of the configuration: {wrong}"))?;
            if lists.insert(collective, algorithms).is_some() {
                let twice = collective.map_or("*", Collective::name);
                return Err(format!("line {number} of the configuration: `{twice}` is there twice").into());
            }
        }
        if lists.is_empty() {
            return Err("the configuration has no line such as `all_reduce = ring` or `* = ring`".into());
        }
        Ok(Self { lists })
    }

    fn decide(&self, request: &Request) -> Result<Option<Answer>, Refusal> {
        let of_it = self.lists.get(&Some(request.collective));
        let Some(list) = of_it.or_else(|| self.lists.get(&None)) else { return Ok(None) };
        let dimensions = request.dimensions.len();
        let algorithms = match list.as_slice() {
            [everywhere] => vec![*everywhere; dimensions],
            list if list.len() == dimensions => list.to_vec(),
            list => {
                let message = format!(
                    "the configuration has {} algorithms for {}, the network {dimensions} dimensions",
                    list.len(),
                    request.collective
                );
                return Err(message.into());
            }
        };
        Ok(Some(Answer::of(algorithms).because("fixed by its configuration")))
    }
}

type Line = (Option<Collective>, Vec<Algorithm>);

fn parse(line: &str) -> Result<Line, String> {
    let (collective, algorithms) =
        line.split_once('=').ok_or_else(|| format!("`{line}` is not `collective = algorithm, …`"))?;
    let collective = match collective.trim() {
        "*" => None,
        name => Some(Collective::from_name(name).ok_or_else(|| {
            let known = Collective::ALL.map(Collective::name).join(", ");
            format!("unknown collective `{name}`, expected *, {known}")
        })?),
    };
    let algorithms = algorithms.split(',').map(str::trim).map(|name| {
        let known = || Algorithm::ALL.map(Algorithm::name).join(", ");
        Algorithm::from_name(name)
            .ok_or_else(|| format!("unknown algorithm `{name}`, expected one of {}", known()))
    });
    Ok((collective, algorithms.collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use astra_policy::{AlgorithmSet, CollectiveOptimization, Dialect, Dimension, NetworkModel, Topology};

    fn request(collective: Collective, dimensions: usize) -> Request {
        let dimension = Dimension {
            id: "d".into(),
            topology: Topology::Ring,
            npus: 4,
            bandwidth_bytes_per_s: 1e11,
            latency_ns: 500.0,
            allowed: AlgorithmSet::from_bits(u64::MAX),
        };
        Request {
            collective,
            element_bytes: 4,
            payload_bytes: 1,
            ranks: 4_u32.pow(dimensions as u32),
            group: None,
            dimensions: vec![dimension; dimensions],
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

    #[test]
    fn a_line_of_its_own_wins_over_the_star_and_one_algorithm_is_for_all_dimensions() {
        let policy =
            Fixed::open("# of mine\nall-reduce = direct, ring # inner first\n\n* = oneRing\n").unwrap();
        let decide = |collective, dimensions| policy.decide(&request(collective, dimensions));
        let of = |algorithms: &[Algorithm]| {
            Some(Answer::of(algorithms.iter().copied()).because("fixed by its configuration"))
        };
        assert_eq!(decide(Collective::AllReduce, 2), Ok(of(&[Algorithm::Direct, Algorithm::Ring])));
        assert_eq!(decide(Collective::AllToAll, 2), Ok(of(&[Algorithm::OneRing; 2])));
        let refusal = decide(Collective::AllReduce, 3).unwrap_err().to_string();
        assert_eq!(refusal, "the configuration has 2 algorithms for all_reduce, the network 3 dimensions");
    }

    #[test]
    fn a_collective_without_a_line_is_left_to_the_host() {
        let policy = Fixed::open("all_reduce = ring").unwrap();
        assert_eq!(policy.decide(&request(Collective::AllGather, 1)), Ok(None));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (config, expected) in [
            ("", "no line such as"),
            ("\nring", "line 2 of the configuration: `ring` is not `collective = algorithm, …`"),
            ("allreduce = ring", "unknown collective `allreduce`, expected *, all_reduce, "),
            ("* = ring,", "unknown algorithm ``, expected one of ring, "),
            ("* = ring\n* = direct", "line 2 of the configuration: `*` is there twice"),
        ] {
            let refusal = Fixed::open(config).unwrap_err().to_string();
            assert!(refusal.contains(expected), "{refusal}");
        }
    }
}

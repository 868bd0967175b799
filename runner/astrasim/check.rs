//! What the built-in engine cannot do with a network and its algorithms, said of the keys that people wrote.
//!
//! The engine and the lint say the same of the files they are given, but those files name neither the dimension of the
//! hardware nor who chose. Keys that begin with `network` or `execution_backend` are the hardware file's, the others
//! the recipe's. Depends on layouts and decisions; it must never know where either is written.

use astra_engine::{Dialect, FaultProblem, FaultyLink, NetworkModel, NetworkProblem};
use astra_policy::Collective;

use super::decision::recipe_key;
use super::{AlgorithmLists, DecidedBy, Decision, Layout, WrittenDimension};
use crate::algorithm;
use crate::{Error, Result};

/// Checks that the engine can simulate this network.
///
/// # Errors
///
/// The first reason why not, with the key to change.
pub fn check_network(layout: &Layout, model: NetworkModel) -> Result<()> {
    if layout.ranks < 2 {
        let message = format!("a simulation needs at least 2 ranks, found {}", layout.ranks);
        return Err(Error::input(message).key("workload.ranks").hint(
            "DeepFlow simulates a single rank as two equal ones: set 2 here and in the hardware's `parallelism`",
        ));
    }
    let Err((dimension, problem)) = layout.network(model).check() else { return Ok(()) };
    let of_dimension = dimension.and_then(|index| layout.dimensions.get(index));
    let key = match (of_dimension.map(WrittenDimension::key), &problem) {
        (None, NetworkProblem::Fault { index, .. }) => format!("network.faulty_links[{index}]"),
        (None, NetworkProblem::FaultsWithoutLinks) => "network.faulty_links".to_owned(),
        (None, _) => "network.dimensions".to_owned(),
        (Some(key), NetworkProblem::Topology(..) | NetworkProblem::OnlyDimension(_)) => {
            format!("{key}.topology.type")
        }
        (
            Some(key),
            NetworkProblem::TooFewNpus(_) | NetworkProblem::NotSquare(..) | NetworkProblem::NotPowerOfTwo(..),
        ) => format!("{key}.size"),
        (Some(key), _) => key,
    };
    let message = match &problem {
        NetworkProblem::Fault { link: FaultyLink { src, dst, health }, problem, .. } => {
            format!("found [{src}, {dst}, {health}]: {problem}")
        }
        problem => problem.to_string(),
    };
    let error = Error::input(message).key(key);
    Err(match problem {
        NetworkProblem::Fault { problem: FaultProblem::NoSuchDevice(_), .. } => error.hint(format!(
            "this run has {} ranks; links of other parts of the hardware have to be left out",
            layout.ranks
        )),
        _ => error,
    })
}

/// Checks that the simulator of the dialect has every algorithm, and that those of the collectives that the workload
/// uses can do what it asks of them. `hardware` names the file that the dimensions come from.
///
/// # Errors
///
/// The first algorithm that cannot, with its dimension, who chose it and the key to change.
pub fn check_algorithms(
    layout: &Layout,
    lists: &AlgorithmLists,
    dialect: Dialect,
    used: impl IntoIterator<Item = Collective>,
    hardware: &str,
) -> Result<()> {
    for collective in Collective::ALL {
        for (dimension, decision) in layout.dimensions.iter().zip(lists.get(collective)) {
            let chosen = Chosen { collective, dimension, decision, hardware };
            let algorithm = algorithm::parse(&decision.algorithm)?;
            algorithm::exists(algorithm, dialect).map_err(|lacks| chosen.lacks(&lacks, dialect))?;
        }
    }
    for collective in used {
        for (dimension, decision) in layout.dimensions.iter().zip(lists.get(collective)) {
            let chosen = Chosen { collective, dimension, decision, hardware };
            let algorithm = algorithm::parse(&decision.algorithm)?;
            algorithm::supports(algorithm, collective, dimension.link.npus, layout.ranks)
                .map_err(|cannot| chosen.cannot(&cannot))?;
            if algorithm.spans_all_ranks() {
                break;
            }
        }
    }
    Ok(())
}

/// An algorithm that was chosen and cannot be used.
struct Chosen<'a> {
    collective: Collective,
    dimension: &'a WrittenDimension,
    decision: &'a Decision,
    hardware: &'a str,
}

impl Chosen<'_> {
    const OTHER: &'static str = "choose another algorithm, for example ring or direct";

    /// The simulator does not have it.
    fn lacks(&self, lacks: &str, dialect: Dialect) -> Error {
        let other = dialect.other();
        let hint =
            format!("write `\"dialect\": \"{other}\"` under `engine` in the recipe, or {}", Self::OTHER);
        self.error(lacks).hint(hint)
    }

    /// It cannot do what is asked.
    fn cannot(&self, cannot: &str) -> Error {
        let error = self.error(cannot);
        match self.decision.decided_by {
            DecidedBy::Policy | DecidedBy::Default => error.hint(format!(
                "{}, with this key or with `{}` in the recipe",
                Self::OTHER,
                recipe_key(DecidedBy::RecipePolicy, self.collective)
            )),
            _ => error.hint(Self::OTHER),
        }
    }

    fn error(&self, why: &str) -> Error {
        let Self { collective, dimension, decision, hardware } = self;
        let Decision { algorithm, decided_by, reason } = decision;
        let (key, of) = match decided_by {
            DecidedBy::SystemOverride | DecidedBy::RecipePolicy => {
                (recipe_key(*decided_by, *collective), format!(" of {hardware}"))
            }
            DecidedBy::DimensionOverride | DecidedBy::Policy | DecidedBy::Default => {
                (format!("{}.collective_override.{collective}", dimension.key()), String::new())
            }
            DecidedBy::GlobalChoice => {
                (format!("execution_backend.astra.collectives.{collective}"), String::new())
            }
        };
        let (id, topology, npus) = (&dimension.id, dimension.link.topology, dimension.link.npus);
        let place = format!("{collective} on dimension `{id}`{of} ({topology} of {npus})");
        Error::input(format!("{place}: {algorithm} {why} ({reason})")).key(key)
    }
}

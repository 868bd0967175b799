//! What the built-in engine cannot do with a network and its algorithms, said of the keys that people wrote.
//!
//! The engine and the lint say the same of the files they are given, but those files name neither the dimension of the
//! hardware nor who chose. Keys that begin with `network` or `execution_backend` are the hardware file's, the others
//! the recipe's. Depends on layouts and decision tables; it must never know where either is written.

use astra_engine::{NetworkModel, NetworkProblem};
use astra_policy::{Collective, DecidedBy};

use super::decision::recipe_key;
use super::{Decision, DecisionTable, Layout, WrittenDimension};
use crate::algorithm::Algorithm;
use crate::{Error, Result};

/// Checks that the engine can simulate this network; `hardware` names the file it comes from.
///
/// # Errors
///
/// The first reason why not, with the key to change.
pub fn check_network(layout: &Layout, model: NetworkModel, hardware: &str) -> Result<()> {
    if layout.ranks < 2 {
        let message = format!("a simulation needs at least 2 ranks, found {}", layout.ranks);
        return Err(Error::input(message).key("workload.ranks").hint(
            "DeepFlow simulates a single rank as two equal ones: set 2 here and in the hardware's `parallelism`",
        ));
    }
    if !layout.faulty_links.is_empty() {
        let message = "degraded links exist in DeepFlow's simulator only";
        return Err(Error::input(message)
            .key("network.faulty_links")
            .hint("remove them; `astra-store configs` writes the files for DeepFlow's simulator"));
    }
    let Err((dimension, problem)) = layout.network(model).check() else { return Ok(()) };
    if let NetworkProblem::AwareDimensions(found) = problem {
        let names: Vec<&str> = layout.dimensions.iter().map(|d| d.link.topology.as_str()).collect();
        let message =
            format!("`{model}` simulates one dimension, {hardware} gives {found} ({})", names.join(", "));
        return Err(Error::input(message)
            .key("engine.network")
            .hint(format!("write `\"network\": \"{}\"`", NetworkModel::CongestionUnaware)));
    }
    let key = match (dimension.and_then(|index| layout.dimensions.get(index)), &problem) {
        (None, _) => "network.dimensions".to_owned(),
        (Some(dimension), NetworkProblem::Topology(..)) => format!("{}.topology.type", dimension.key()),
        (Some(dimension), NetworkProblem::TooFewNpus(_)) => format!("{}.size", dimension.key()),
        (Some(dimension), _) => dimension.key(),
    };
    Err(Error::input(problem.to_string()).key(key))
}

/// Checks that every algorithm can do what the workload asks of it; collectives it does not use are not looked at.
/// `hardware` names the file that the dimensions come from.
///
/// # Errors
///
/// The first algorithm that cannot, with its dimension, who chose it and the key to change.
pub fn check_algorithms(
    layout: &Layout,
    table: &DecisionTable,
    used: impl IntoIterator<Item = Collective>,
    hardware: &str,
) -> Result<()> {
    for collective in used {
        for (dimension, decision) in layout.dimensions.iter().zip(table.get(collective)) {
            let algorithm = Algorithm::parse(&decision.algorithm)?;
            supports(algorithm, collective, dimension, layout.ranks)
                .map_err(|cannot| cannot_run(&cannot, collective, dimension, decision, hardware))?;
            if matches!(algorithm, Algorithm::AstraSim(known) if known.spans_all_ranks()) {
                break;
            }
        }
    }
    Ok(())
}

fn supports(
    algorithm: Algorithm,
    collective: Collective,
    dimension: &WrittenDimension,
    ranks: u32,
) -> Result<(), String> {
    algorithm.supports(collective, dimension.link.npus, ranks)?;
    match algorithm {
        Algorithm::AstraSim(_) => Ok(()),
        Algorithm::DeepFlow(_) => Err("exists in DeepFlow's simulator only".to_owned()),
    }
}

fn cannot_run(
    cannot: &str,
    collective: Collective,
    dimension: &WrittenDimension,
    decision: &Decision,
    hardware: &str,
) -> Error {
    let Decision { algorithm, decided_by, reason } = decision;
    let (id, topology, npus) = (&dimension.id, dimension.link.topology, dimension.link.npus);
    let message = |of: &str| {
        format!(
            "{collective} on dimension `{id}`{of} ({topology} of {npus}): {algorithm} {cannot} ({reason})"
        )
    };
    let of_dimension = || format!("{}.collective_override.{collective}", dimension.key());
    let hint = "choose another algorithm, for example ring or direct";
    match decided_by {
        DecidedBy::SystemOverride | DecidedBy::RecipePolicy => {
            let error = Error::input(message(&format!(" of {hardware}")));
            error.key(recipe_key(*decided_by, collective)).hint(hint)
        }
        DecidedBy::DimensionOverride => Error::input(message("")).key(of_dimension()).hint(hint),
        DecidedBy::GlobalChoice => {
            let key = format!("execution_backend.astra.collectives.{collective}");
            Error::input(message("")).key(key).hint(hint)
        }
        DecidedBy::Policy => Error::input(message("")).key(of_dimension()).hint(format!(
            "{hint}, with this key or with `{}` in the recipe",
            recipe_key(DecidedBy::RecipePolicy, collective)
        )),
    }
}

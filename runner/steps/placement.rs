//! How the ranks of a point lie on hardware. Of a graph its conversion says so: the output `placement.json` of step `et`, which
//! steps `policy` and `configs` read.
//!
//! A small file of its own, so that a graph that computes something else on the same ranks writes no configuration anew.

use serde::{Deserialize, Serialize};

use crate::astrasim::{self, ConfigRequest, Layout};
use crate::derivation::StepKind;
use crate::error::{Error, ErrorKind, Result};
use crate::et::graph::{Converted, Graph};
use crate::hw::{Axis, NetworkSpec, Parallelism};
use crate::recipe::{LayoutOptions, Point, Workload};

use super::{Context, Inputs, et};

/// How the ranks of a converted graph lie on hardware.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Placement {
    ranks: u32,
    replicas: u32,
    axes: Option<Vec<PlacedAxis>>,
}

/// An axis of the graph's layout. Those of size 1 count where a single rank has to lie somewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlacedAxis {
    axis: String,
    size: u32,
}

/// What a point asks of the hardware; `placement` says how many ranks there are where the recipe does not.
pub(super) fn request(
    spec: &NetworkSpec,
    point: &Point,
    placement: Option<&Placement>,
) -> Result<ConfigRequest> {
    let request = match (&*point.workload, point.workload.ranks(), placement) {
        (Workload::Graph(file), _, Some(placement)) => {
            placement.request(&file.graph, &point.layout, &spec.parallelism)
        }
        (_, Some(ranks), _) => Ok(ConfigRequest {
            ranks,
            axes: point.layout.axes.clone(),
            flatten_2d: point.layout.flatten_2d,
            ..ConfigRequest::default()
        }),
        _ => Err(Error::failed("nothing says how many ranks there are")),
    };
    request.map_err(|error| point.blame(error))
}

/// The part of the hardware that a point uses; the engine can simulate it.
pub(super) fn layout(spec: &NetworkSpec, point: &Point, request: &ConfigRequest) -> Result<Layout> {
    let layout = || {
        let layout = astrasim::layout(spec, request)?;
        astrasim::check_network(&layout, point.engine.network)?;
        Ok(layout)
    };
    layout().map_err(|error| point.blame(error))
}

impl Placement {
    /// How the ranks of a point's graph lie on hardware.
    pub(super) fn find(context: &Context, inputs: &Inputs) -> Result<Option<Self>> {
        let digest = inputs.optional(StepKind::Et, et::PLACEMENT);
        digest.map(|digest| Self::decode(&context.content(&digest)?)).transpose()
    }

    pub(super) fn of(graph: &Graph, converted: &Converted) -> Self {
        let axis = |(axis, size): &(String, u32)| PlacedAxis { axis: axis.clone(), size: *size };
        Self {
            ranks: converted.bundle.ranks(),
            replicas: graph.replicas(),
            axes: graph.layout().map(|layout| layout.axes().iter().map(axis).collect()),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("structs of numbers and text always encode")
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|e| {
            Error::new(ErrorKind::Store, format!("a stored placement cannot be read: {e}"))
                .hint("it was written by another version of astra-store; build in a new store")
        })
    }

    /// What these ranks ask of the hardware: the axes of the graph, or those that the recipe names instead. A single rank,
    /// which has been duplicated, takes the first dimension that carries one of the graph's axes.
    ///
    /// # Errors
    /// The graph does not say how its ranks lie, says it wrongly, or has axes that the hardware does not have, or has in
    /// another size. What the recipe can mend has one of its keys.
    pub(super) fn request(
        &self,
        graph: &str,
        options: &LayoutOptions,
        hardware: &Parallelism,
    ) -> Result<ConfigRequest> {
        let request =
            ConfigRequest { ranks: self.ranks, flatten_2d: options.flatten_2d, ..ConfigRequest::default() };
        if options.axes.is_some() {
            return Ok(ConfigRequest { axes: options.axes.clone(), ..request });
        }
        let Some(axes) = &self.axes else {
            let message = format!("{graph} has no `layout` that says on which axes its ranks lie");
            return Err(Error::input(message)
                .key("layout.axes")
                .hint("name the axes here, such as [\"tp\", \"dp\"], or give the graph a `layout`"));
        };
        self.replicas_lie_on_an_axis(graph, axes)?;
        let parsed = |wanted: &dyn Fn(u32) -> bool| {
            let wanted = axes.iter().filter(|axis| wanted(axis.size));
            wanted.map(|axis| Axis::parse(&axis.axis)).collect::<Result<Vec<Axis>>>().map_err(|error| {
                let message = format!("an axis of {graph}: {}", error.message());
                Error::input(message).key("layout.axes").hint("name the axes of the hardware here")
            })
        };
        let active = parsed(&|size| size > 1)?;
        if active.is_empty() {
            return Ok(ConfigRequest { synthetic_pair: Some(parsed(&|_| true)?), ..request });
        }
        let sizes = axes.iter().filter(|axis| axis.size > 1).map(|axis| axis.size);
        same_degrees(graph, active.iter().copied().zip(sizes), hardware)?;
        Ok(ConfigRequest { axes: Some(active), ..request })
    }

    /// Replicas of a graph lie along `dp`, and nothing else does.
    fn replicas_lie_on_an_axis(&self, graph: &str, axes: &[PlacedAxis]) -> Result<()> {
        let dp = axes.iter().find(|axis| axis.axis == Axis::Dp.name()).map_or(1, |axis| axis.size);
        if dp == self.replicas {
            return Ok(());
        }
        let message = format!("{graph} has {} replicas, but its `layout` has {dp} along `dp`", self.replicas);
        Err(Error::input(message)
            .key("workload.graph")
            .hint("`replicas` and the size of the axis `dp` have to be the same number"))
    }
}

/// Ranks that lie along an axis of the graph lie along the same one of the hardware. With other sizes that have the same
/// product, groups would lie across dimensions that are not meant.
fn same_degrees(
    graph: &str,
    sizes: impl IntoIterator<Item = (Axis, u32)>,
    hardware: &Parallelism,
) -> Result<()> {
    let degree = |axis: Axis| hardware.degree(axis);
    match sizes.into_iter().find(|(axis, size)| degree(*axis) != *size) {
        None => Ok(()),
        Some((axis, size)) => {
            let (degree, axis) = (degree(axis), axis.name());
            let message = format!("{graph} has {size} ranks along `{axis}`, the hardware has {degree}");
            Err(Error::input(message).key("workload.graph").hint(format!(
                "set `parallelism.{axis}` of the hardware to {size}, or name the axes to take in `layout.axes`"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placement(ranks: u32, replicas: u32, axes: &[(&str, u32)]) -> Placement {
        let axis = |(axis, size): &(&str, u32)| PlacedAxis { axis: (*axis).to_owned(), size: *size };
        Placement { ranks, replicas, axes: Some(axes.iter().map(axis).collect()) }
    }

    const HARDWARE: Parallelism = Parallelism { tp: 4, cp: 1, lp: 1, dp: 2 };

    fn request(placement: &Placement) -> Result<ConfigRequest> {
        placement.request("g.json", &LayoutOptions::default(), &HARDWARE)
    }

    #[test]
    fn ranks_lie_on_the_axes_along_which_something_varies() {
        let found = request(&placement(8, 2, &[("dp", 2), ("tp", 4), ("lp", 1)])).unwrap();
        assert_eq!((found.ranks, found.axes.unwrap()), (8, vec![Axis::Dp, Axis::Tp]));
        assert_eq!(found.synthetic_pair, None);
    }

    #[test]
    fn a_single_rank_lies_where_its_axes_would() {
        let found = request(&placement(2, 1, &[("lp", 1), ("dp", 1)])).unwrap();
        assert_eq!((found.axes, found.synthetic_pair.unwrap()), (None, vec![Axis::Lp, Axis::Dp]));
    }

    #[test]
    fn the_recipe_names_the_axes_where_the_graph_does_not() {
        let none = Placement { axes: None, ..placement(4, 2, &[]) };
        let error = request(&none).unwrap_err();
        assert_eq!(error.key_path(), Some("layout.axes"));
        let named = LayoutOptions { axes: Some(vec![Axis::Tp]), flatten_2d: true };
        for placement in [none, placement(4, 1, &[("xp", 4)])] {
            let found = placement.request("g.json", &named, &HARDWARE).unwrap();
            assert_eq!((found.axes, found.flatten_2d), (named.axes.clone(), true));
        }
    }

    #[test]
    fn axes_that_do_not_fit_are_refused() {
        let error = request(&placement(4, 2, &[("tp", 2)])).unwrap_err().to_string();
        assert!(error.contains("g.json has 2 replicas, but its `layout` has 1 along `dp`"), "{error}");
        let error = request(&placement(4, 1, &[("xp", 4)])).unwrap_err().to_string();
        assert!(error.starts_with("layout.axes: an axis of g.json: "), "{error}");
    }

    #[test]
    fn sizes_other_than_those_of_the_hardware_are_refused_although_there_are_as_many_ranks() {
        let error = request(&placement(8, 2, &[("tp", 2), ("lp", 2), ("dp", 2)])).unwrap_err();
        assert_eq!(error.to_string(), "workload.graph: g.json has 2 ranks along `tp`, the hardware has 4");
        let named = LayoutOptions { axes: Some(vec![Axis::Tp, Axis::Dp]), flatten_2d: false };
        let other = placement(8, 2, &[("tp", 2), ("lp", 2), ("dp", 2)]);
        assert!(other.request("g.json", &named, &HARDWARE).is_ok());
    }

    #[test]
    fn what_is_written_is_read_again() {
        let written = placement(8, 2, &[("tp", 4), ("dp", 2)]);
        assert_eq!(Placement::decode(&written.encode()).unwrap(), written);
        assert!(Placement::decode(b"{}").is_err());
    }
}

//! The `network` section: dimensions and degraded links.

use astra_engine::Topology;
use astra_policy::Collective;

use super::spec::{Axis, CollectiveChoices, Dimension, FaultyLink, Parallelism};
use super::{bandwidth, size, topology};
use crate::algorithm;
use crate::yaml::{Node, Value};
use crate::yaml::{Section, integer, list, number, text};
use crate::{Error, Notice, Result};

/// `overlap` shapes graphs of computation, not the network.
const NETWORK: [&str; 3] = ["overlap", "faulty_links", "dimensions"];
const DIMENSION: [&str; 7] =
    ["id", "label", "size", "topology", "collective_override", "collectives", "parallelisms"];
/// `energy_per_bit` is for reports only.
const TOPOLOGY: [&str; 6] = ["type", "bandwidth", "latency", "energy_per_bit", "util", "optimize_2dmap"];

/// Dimensions and degraded links of the section.
pub(super) fn network(
    node: &Node,
    parallelism: &Parallelism,
    notices: &mut Vec<Notice>,
) -> Result<(Vec<Dimension>, Vec<FaultyLink>)> {
    let section = Section::open(node, &NETWORK)?;
    let list_node =
        section.required("dimensions", "[{id: …, size: auto, topology: {…}, parallelisms: [tp]}]")?;
    let dimensions =
        dimensions(list_node, parallelism, notices).map_err(|error| error.under("dimensions"))?;
    let faulty_links = section.read("faulty_links", faulty_links)?.unwrap_or_default();
    Ok((dimensions, faulty_links))
}

fn dimensions(node: &Node, parallelism: &Parallelism, notices: &mut Vec<Notice>) -> Result<Vec<Dimension>> {
    let items = list(node)?;
    if items.is_empty() {
        return Err(node.error("expected at least one dimension"));
    }
    let mut taken: Vec<(Axis, String)> = Vec::new();
    let mut out = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let under = |error: Error| error.under(&format!("[{index}]"));
        let dimension = dimension(item, index, parallelism, notices).map_err(under)?;
        for axis in &dimension.axes {
            if let Some((_, other)) = taken.iter().find(|(other, _)| other == axis) {
                let message = format!("axis {} lies on dimension `{other}` already", axis.name());
                return Err(under(item.error(message).key("parallelisms")));
            }
            taken.push((*axis, dimension.id.clone()));
        }
        out.push(dimension);
    }
    Ok(out)
}

fn dimension(
    node: &Node,
    index: usize,
    parallelism: &Parallelism,
    notices: &mut Vec<Notice>,
) -> Result<Dimension> {
    let section = Section::open(node, &DIMENSION)?;
    let id = section.read("id", text)?.unwrap_or_else(|| format!("dim{index}"));
    let axes = section.read("parallelisms", axes)?.unwrap_or_default();
    let product = axes.iter().try_fold(1_u32, |product, axis| product.checked_mul(parallelism.degree(*axis)));
    let product = product.ok_or_else(|| node.error("the degrees of its axes multiply to more than 2^32"))?;
    let size_node = section.required("size", "auto")?;
    let shape = size::read(size_node, product, parallelism).map_err(|error| error.under("size"))?;
    let topology_node = section.required("topology", "{type: Ring, bandwidth: 100 GB, latency: 5e-6}")?;
    let link = link(topology_node).map_err(|error| error.under("topology"))?;
    if link.remap {
        let message = "asks for a remapping of ranks, which is not done here: ranks stay in order";
        notices.push(Notice::new(format!("network.dimensions[{index}].topology.optimize_2dmap"), message));
    }
    let collectives = match (section.get("collective_override"), section.get("collectives")) {
        (Some(_), Some(second)) => {
            let error = second.error("both `collective_override` and its alias `collectives` are given");
            return Err(error.key("collectives").hint("keep one of them"));
        }
        _ => {
            let own = section.read("collective_override", choices)?;
            own.or(section.read("collectives", choices)?).unwrap_or_default()
        }
    };
    Ok(Dimension {
        id,
        size: product,
        size_2d: shape.filter(|_| topology::has_shape(link.topology)),
        topology: link.topology,
        bandwidth_bytes_per_s: link.bandwidth_bytes_per_s,
        latency_s: link.latency_s,
        axes,
        collectives,
    })
}

fn axes(node: &Node) -> Result<Vec<Axis>> {
    let mut axes = Vec::new();
    for (index, item) in list(node)?.iter().enumerate() {
        let axis = text(item).and_then(|name| Axis::parse(&name).map_err(|error| item.place(error)));
        let axis = axis.map_err(|error| error.under(&format!("[{index}]")))?;
        if axes.contains(&axis) {
            return Err(item
                .error(format!("axis {} is listed twice", axis.name()))
                .key(format!("[{index}]")));
        }
        axes.push(axis);
    }
    Ok(axes)
}

/// What the `topology` of a dimension says.
struct Link {
    topology: Topology,
    bandwidth_bytes_per_s: f64,
    latency_s: f64,
    remap: bool,
}

fn link(node: &Node) -> Result<Link> {
    let section = Section::open(node, &TOPOLOGY)?;
    let kind = section.required("type", "Ring")?;
    let topology = text(kind).and_then(|name| topology::parse(&name).map_err(|error| kind.place(error)));
    let topology = topology.map_err(|error| error.under("type"))?;
    let bandwidth = section.required("bandwidth", "100 GB")?;
    let bandwidth = bandwidth::bytes_per_s(bandwidth).map_err(|error| error.under("bandwidth"))?;
    let latency_s = seconds(section.required("latency", "5e-6")?).map_err(|error| error.under("latency"))?;
    let util = section.read("util", utilisation)?.unwrap_or(1.0);
    let bandwidth_bytes_per_s = bandwidth * util;
    if !(bandwidth_bytes_per_s > 0.0 && bandwidth_bytes_per_s.is_finite()) {
        return Err(node.error("bandwidth × util is beyond what a number can hold"));
    }
    let remap = section.read("optimize_2dmap", crate::yaml::boolean)?.unwrap_or(false);
    Ok(Link { topology, bandwidth_bytes_per_s, latency_s, remap })
}

fn seconds(node: &Node) -> Result<f64> {
    let hint = "latency is in seconds without a unit: 5e-6 is 5 µs";
    let value = number(node).map_err(|error| error.hint(hint))?;
    match value >= 0.0 {
        // Minus zero would be another text of the same value.
        true => Ok(value.abs()),
        false => Err(node.error(format!("expected a latency ≥ 0, found {}", node.found())).hint(hint)),
    }
}

fn utilisation(node: &Node) -> Result<f64> {
    let value = number(node)?;
    if value > 0.0 {
        Ok(value)
    } else {
        Err(node.error(format!("expected a utilisation above 0, found {}", node.found())))
    }
}

/// A mapping from collective to algorithm; `auto` is no choice.
pub(super) fn choices(node: &Node) -> Result<CollectiveChoices> {
    let mut choices = CollectiveChoices::default();
    for entry in Section::entries(node)? {
        let collective = Collective::from_name(&entry.key).ok_or_else(|| {
            let names = Collective::ALL.map(Collective::name);
            let error = entry.error("unknown collective").suggest(&entry.key, names);
            error.hint(format!("one of {}", names.join(", ")))
        })?;
        if entry.value.value == Value::Null {
            continue;
        }
        let under = |error: Error| error.under(&entry.key);
        let name = text(&entry.value).map_err(under)?;
        if name == "auto" {
            continue;
        }
        algorithm::parse(&name).map_err(|error| under(entry.value.place(error)))?;
        if choices.get(collective).is_some() {
            return Err(under(entry.value.error(format!("{collective} is given in both spellings"))));
        }
        choices.set(collective, name);
    }
    Ok(choices)
}

/// Reads a list of `[source, destination, health]`.
pub(crate) fn faulty_links(node: &Node) -> Result<Vec<FaultyLink>> {
    let links = list(node)?.iter().enumerate();
    links.map(|(index, item)| faulty_link(item).map_err(|error| error.under(&format!("[{index}]")))).collect()
}

fn faulty_link(node: &Node) -> Result<FaultyLink> {
    let [src, dst, health] = list(node)? else {
        return Err(node.error("expected `[source rank, destination rank, health from 0 to 1]`"));
    };
    let health_value = number(health).map_err(|error| error.under("[2]"))?;
    if !(0.0..=1.0).contains(&health_value) {
        let message = format!("expected a health from 0 (dead) to 1, found {}", health.found());
        return Err(health.error(message).key("[2]"));
    }
    Ok(FaultyLink {
        src: integer(src, 0).map_err(|error| error.under("[0]"))?,
        dst: integer(dst, 0).map_err(|error| error.under("[1]"))?,
        health: health_value.abs(),
    })
}

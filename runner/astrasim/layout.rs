//! Which dimensions of the hardware a run of so many ranks uses, and with what sizes.
//!
//! The rules are DeepFlow's: rank counts are matched greedily against the axes tp, cp, lp, dp; a dimension is used
//! when one of its axes is; the data-parallel axis lies on the last dimension that has more than one NPU.

use astra_engine::{Dimension as Link, GibPerSec, Network, NetworkModel};

use super::number::rounded;
use super::shape::{Part, parts};
use crate::hw::{Axis, CollectiveChoices, Dimension, FaultyLink, NetworkSpec, Parallelism};
use crate::{Error, Result};

/// What a run asks of the hardware.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConfigRequest {
    /// Number of ranks.
    pub ranks: u32,
    /// The axes the run spans; `None` is all of them.
    pub axes: Option<Vec<Axis>>,
    /// Write a two-dimensional shape as one dimension (Torus2D as Ring, Mesh2D as Mesh, KingMesh2D as HyperCube).
    pub flatten_2d: bool,
    /// Ignore the axes and take one dimension of two ranks, that of the first of these axes that some dimension
    /// has (or else the first dimension in use).
    pub synthetic_pair: Option<Vec<Axis>>,
    /// Degraded links in place of those of the hardware file.
    pub faulty_links: Option<Vec<FaultyLink>>,
}

/// One dimension as written to the network file.
#[derive(Clone, Debug, PartialEq)]
pub struct WrittenDimension {
    /// Position of the hardware dimension it comes from.
    pub index: usize,
    /// The user's name of that dimension.
    pub id: String,
    /// Topology, size, bandwidth and latency, rounded as in the file.
    pub link: Link,
    /// The algorithms the user fixed for it.
    pub collectives: CollectiveChoices,
}

impl WrittenDimension {
    /// The key path of its hardware dimension.
    pub(super) fn key(&self) -> String {
        dimension_key(self.index)
    }
}

fn dimension_key(index: usize) -> String {
    format!("network.dimensions[{index}]")
}

/// The network of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// Number of ranks.
    pub ranks: u32,
    /// Ranks along each hardware dimension in use, before shapes are written out; names the files.
    pub counts: Vec<u32>,
    /// The written dimensions, fastest-varying first; none for a run of one rank.
    pub dimensions: Vec<WrittenDimension>,
    /// Degraded links.
    pub faulty_links: Vec<FaultyLink>,
}

impl Layout {
    /// What the file names carry: the counts joined by `_`, or the rank count when no dimension is in use.
    pub fn signature(&self) -> String {
        if self.counts.is_empty() {
            return self.ranks.to_string();
        }
        let counts: Vec<String> = self.counts.iter().map(u32::to_string).collect();
        counts.join("_")
    }

    /// The network as the engine takes it; [`Network::check`] says whether it can be simulated.
    pub fn network(&self, model: NetworkModel) -> Network {
        let dimensions = self.dimensions.iter().map(|dimension| dimension.link).collect();
        let faulty_links = self.faulty_links.iter().map(|&link| link.into()).collect();
        Network { faulty_links, ..Network::new(model, dimensions) }
    }
}

/// The network of a run of `request.ranks` ranks on this hardware.
///
/// # Errors
///
/// A rank count that the axes do not give, a data-parallel axis in the wrong place, a shape that does not work out.
pub fn layout(spec: &NetworkSpec, request: &ConfigRequest) -> Result<Layout> {
    if request.ranks == 0 {
        return Err(Error::input("a run needs at least 1 rank").key("ranks"));
    }
    let faulty_links = request.faulty_links.as_ref().unwrap_or(&spec.faulty_links).clone();
    let selected = match &request.synthetic_pair {
        Some(preferred) => synthetic_pair(spec, request.ranks, preferred)?,
        None => select(spec, request, !faulty_links.is_empty())?,
    };
    let counts = selected.iter().map(|selected| selected.npus).collect();
    let mut dimensions = Vec::new();
    for selected in &selected {
        for part in selected.parts(request.flatten_2d)? {
            dimensions.push(selected.written(part)?);
        }
    }
    Ok(Layout { ranks: request.ranks, counts, dimensions, faulty_links })
}

/// A hardware dimension in use and the number of ranks along it.
struct Selected<'a> {
    index: usize,
    dimension: &'a Dimension,
    npus: u32,
}

impl Selected<'_> {
    fn key(&self) -> String {
        dimension_key(self.index)
    }

    fn parts(&self, flatten: bool) -> Result<Vec<Part>> {
        // A shape describes the whole dimension, so it says nothing about a part of it.
        let shape = self.dimension.size_2d.filter(|_| self.npus == self.dimension.size);
        parts(self.dimension.topology, self.npus, shape, flatten).map_err(|error| error.under(&self.key()))
    }

    fn written(&self, part: Part) -> Result<WrittenDimension> {
        let gib_per_s = rounded(self.dimension.bandwidth_bytes_per_s / (1_u64 << 30) as f64, 6);
        if gib_per_s == 0.0 {
            let message = format!(
                "a bandwidth of {:e} bytes/s is 0 in the network file, which counts in 10^-6 GiB/s",
                self.dimension.bandwidth_bytes_per_s
            );
            return Err(Error::input(message).key("topology.bandwidth").under(&self.key()));
        }
        let latency_ns = rounded(self.dimension.latency_s * 1e9, 3);
        if !latency_ns.is_finite() {
            let message = format!("a latency of {:e} s is beyond any number of ns", self.dimension.latency_s);
            return Err(Error::input(message).key("topology.latency").under(&self.key()));
        }
        Ok(WrittenDimension {
            index: self.index,
            id: self.dimension.id.clone(),
            link: Link {
                topology: part.topology,
                npus: part.npus,
                bandwidth: GibPerSec(gib_per_s),
                latency_ns,
            },
            collectives: self.dimension.collectives.clone(),
        })
    }
}

/// One dimension of two ranks, as DeepFlow simulates a single rank.
fn synthetic_pair<'a>(spec: &'a NetworkSpec, ranks: u32, preferred: &[Axis]) -> Result<Vec<Selected<'a>>> {
    if ranks != 2 {
        let message = format!("a synthetic pair has 2 ranks, not {ranks}");
        return Err(Error::input(message).key("ranks"));
    }
    let position = |wanted: &dyn Fn(&Dimension) -> bool| spec.dimensions.iter().position(wanted);
    let index = position(&|dimension| dimension.axes.iter().any(|axis| preferred.contains(axis)))
        .or_else(|| position(&|dimension| !dimension.axes.is_empty()))
        .unwrap_or(0);
    let dimension = spec.dimensions.get(index).ok_or_else(|| Error::input("the network has no dimension"))?;
    Ok(vec![Selected { index, dimension, npus: 2 }])
}

fn select<'a>(spec: &'a NetworkSpec, request: &ConfigRequest, faulty: bool) -> Result<Vec<Selected<'a>>> {
    let asked = |axis: Axis| request.axes.as_ref().is_none_or(|axes| axes.contains(&axis));
    let degree = |axis: Axis| if asked(axis) { spec.parallelism.degree(axis) } else { 1 };
    let last_active = spec.dimensions.iter().rposition(|dimension| dimension.size > 1);
    if faulty && last_active.is_none() {
        let message = "faulty links need a dimension of more than 1 NPU, and no dimension has";
        return Err(Error::input(message).key("network.faulty_links"));
    }
    if degree(Axis::Dp) > 1 {
        data_parallel_is_outermost(spec, last_active)?;
    }
    let taken = match_ranks(request, &spec.parallelism, degree)?;
    let mut selected = Vec::new();
    for (index, dimension) in spec.dimensions.iter().enumerate() {
        let here = dimension.axes.iter().filter(|axis| taken.contains(axis));
        let degrees: Vec<u32> = here.map(|axis| degree(*axis)).collect();
        if !degrees.is_empty() {
            // Cannot overflow: the degrees taken multiply to the rank count.
            selected.push(Selected { index, dimension, npus: degrees.iter().product() });
        }
    }
    let homeless = taken.iter().filter(|axis| !spec.dimensions.iter().any(|d| d.axes.contains(axis)));
    let homeless: Vec<&str> = homeless.map(|axis| axis.name()).collect();
    if !homeless.is_empty() {
        let message = format!(
            "{} ranks need the axes {}, which no dimension carries",
            request.ranks,
            homeless.join(", ")
        );
        return Err(Error::input(message)
            .key("network.dimensions")
            .hint("add the axis to the `parallelisms` of a dimension, or ask for other axes"));
    }
    Ok(selected)
}

/// The data-parallel axis must lie on the last dimension that has more than one NPU.
fn data_parallel_is_outermost(spec: &NetworkSpec, last_active: Option<usize>) -> Result<()> {
    let carries = |dimension: &Dimension| dimension.size > 1 && dimension.axes.contains(&Axis::Dp);
    match (spec.dimensions.iter().position(carries), last_active) {
        (Some(index), Some(last)) if index == last => Ok(()),
        (Some(index), Some(last)) => {
            let message = format!(
                "dp lies on dimension `{}`, but the last dimension with more than 1 NPU is `{}`",
                spec.dimensions[index].id, spec.dimensions[last].id
            );
            let key = format!("{}.parallelisms", dimension_key(index));
            Err(Error::input(message).key(key).hint("put dp on the last dimension in use"))
        }
        _ => {
            let message = format!("dp is {}, but no dimension carries the axis dp", spec.parallelism.dp);
            Err(Error::input(message)
                .key("network.dimensions")
                .hint("add dp to the `parallelisms` of the last dimension, or set parallelism.dp to 1"))
        }
    }
}

/// The axes a rank count takes: in order, each one whose degree divides what remains.
fn match_ranks(
    request: &ConfigRequest,
    parallelism: &Parallelism,
    degree: impl Fn(Axis) -> u32,
) -> Result<Vec<Axis>> {
    let mut remaining = request.ranks;
    let mut taken = Vec::new();
    for axis in Axis::ALL {
        let degree = degree(axis);
        if degree > 1 && remaining.is_multiple_of(degree) {
            taken.push(axis);
            remaining /= degree;
        }
    }
    if remaining == 1 {
        return Ok(taken);
    }
    let degrees: Vec<String> =
        Axis::ALL.iter().map(|axis| format!("{} {}", axis.name(), parallelism.degree(*axis))).collect();
    let among = match &request.axes {
        Some(axes) => format!(", of which {} asked for", names(axes)),
        None => String::new(),
    };
    let message = format!(
        "{} ranks are no product of the parallelism degrees {}{among}",
        request.ranks,
        degrees.join(", ")
    );
    let all: u64 = Axis::ALL.iter().map(|axis| u64::from(degree(*axis))).product();
    Err(Error::input(message).key("ranks").hint(format!(
        "all axes together are {all} ranks; set the degrees in `parallelism`, or name the axes"
    )))
}

fn names(axes: &[Axis]) -> String {
    match axes {
        [] => "none is".to_owned(),
        [one] => format!("{} is", one.name()),
        many => format!("{} are", many.iter().map(|axis| axis.name()).collect::<Vec<_>>().join(", ")),
    }
}

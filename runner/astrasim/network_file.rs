//! Reads a network file of ASTRA-sim's analytical backend.

use astra_engine::{Dimension, FaultyLink, GibPerSec, Network, NetworkModel, Topology};

use crate::error::closest;
use crate::yaml::{self, Node, Section, Value, integer, list, number, text};
use crate::{Notice, Result};

/// The keys some version of the simulator reads; the last three are DeepFlow's.
const KNOWN: [&str; 7] = [
    "topology",
    "npus_count",
    "bandwidth",
    "latency",
    "faulty_links",
    "non_recursive_from",
    "non_recursive_topology",
];

/// What a network file says.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkFile {
    /// The dimensions, fastest-varying first.
    pub dimensions: Vec<Dimension>,
    /// Degraded links.
    pub faulty_links: Vec<FaultyLink>,
    /// The first of the dimensions, up to the last, that are crossed through agents only.
    pub non_recursive_from: Option<u32>,
}

impl NetworkFile {
    /// Reads the text of a network file; `file` names it in errors. The notices are keys without effect.
    ///
    /// Stricter than the simulator on purpose: misspelt keys, scalars in place of lists and lists of different
    /// lengths are errors here, where it ignores keys and drops dimensions.
    ///
    /// # Errors
    ///
    /// What is missing, unknown or wrong, with line and key. Whether the network can be simulated is judged later.
    pub fn parse(bytes: &[u8], file: &str) -> Result<(Self, Vec<Notice>)> {
        let root = yaml::parse(bytes, file)?;
        let read = notices(&root).and_then(|notices| Ok((read(&root)?, notices)));
        read.map_err(|error| error.in_file(file))
    }

    /// The network as the engine takes it; [`Network::check`] says whether it can be simulated.
    pub fn network(&self, model: NetworkModel) -> Network {
        let Self { dimensions, faulty_links, non_recursive_from } = self.clone();
        Network { model, dimensions, faulty_links, non_recursive_from }
    }
}

/// Unknown keys. One that is close to a known key which is absent is taken for a misspelling of that.
fn notices(root: &Node) -> Result<Vec<Notice>> {
    let unknown = Section::entries(root)?.iter().filter(|entry| !KNOWN.contains(&entry.key.as_str()));
    unknown
        .map(|entry| match closest(&entry.key, KNOWN) {
            Some(near) if root.get(near).is_none() => {
                Err(entry.error("unknown key").suggest(&entry.key, [near]))
            }
            _ => Ok(Notice::new(&entry.key, "unknown key, ignored")),
        })
        .collect()
}

fn read(root: &Node) -> Result<NetworkFile> {
    let section = Section::of(root);
    let topologies = column(&section, "topology", "[ Ring ]", topology)?;
    let counts = column(&section, "npus_count", "[ 8 ]", |node| integer(node, 1))?;
    let bandwidths = column(&section, "bandwidth", "[ 50.0 ]", number)?;
    let latencies = column(&section, "latency", "[ 500.0 ]", number)?;
    let lengths =
        [("npus_count", counts.len()), ("bandwidth", bandwidths.len()), ("latency", latencies.len())];
    for (key, length) in lengths {
        if length != topologies.len() {
            let message = format!("{length} entries, but topology has {}", topologies.len());
            let error = section.required(key, "[]")?.error(message);
            return Err(error.key(key).hint("every list has one entry per dimension"));
        }
    }
    let links = topologies.into_iter().zip(counts).zip(bandwidths.into_iter().zip(latencies));
    let dimensions = links.map(|((topology, npus), (bandwidth, latency_ns))| Dimension {
        topology,
        npus,
        bandwidth: GibPerSec(bandwidth),
        latency_ns,
    });
    let dimensions: Vec<Dimension> = dimensions.collect();
    let faulty_links = section.read("faulty_links", crate::hw::read_faulty_links)?.unwrap_or_default();
    Ok(NetworkFile {
        faulty_links: faulty_links.into_iter().map(FaultyLink::from).collect(),
        non_recursive_from: non_recursive_from(&section, dimensions.len())?,
        dimensions,
    })
}

/// The first non-recursive dimension: a number, or else a list with 0 for each recursive dimension and 1 for each of the
/// others, which follow.
fn non_recursive_from(section: &Section<'_>, dimensions: usize) -> Result<Option<u32>> {
    let flags = section.read("non_recursive_topology", |node| {
        let flags = list(node)?.iter().map(|node| integer(node, 0)).collect::<Result<Vec<_>>>()?;
        let recursive = flags.iter().take_while(|flag| **flag == 0).count();
        if flags.len() == dimensions && flags[recursive..].iter().all(|flag| *flag == 1) {
            return Ok(recursive as u32);
        }
        let message = format!("expected {dimensions} numbers, one per dimension: zeros, then ones");
        Err(node.error(format!("{message}; found {flags:?}")))
    })?;
    let from = section.read("non_recursive_from", |node| match integer(node, 0)? {
        from if from as usize <= dimensions => Ok(from),
        _ => {
            Err(node
                .error(format!("expected a number of dimensions up to {dimensions}, found {}", node.found())))
        }
    })?;
    Ok(from.or(flags))
}

/// The list under a key, one entry per dimension.
fn column<T>(
    section: &Section<'_>,
    key: &str,
    example: &str,
    read: impl Fn(&Node) -> Result<T>,
) -> Result<Vec<T>> {
    let node = section.required(key, example)?;
    if !matches!(node.value, Value::Seq(_)) {
        let message = format!("expected a list, found {}", node.found());
        return Err(node.error(message).key(key).hint(format!("write for example `{key}: {example}`")));
    }
    let entries = list(node)?.iter().enumerate();
    entries
        .map(|(index, node)| read(node).map_err(|error| error.under(&format!("[{index}]")).under(key)))
        .collect()
}

fn topology(node: &Node) -> Result<Topology> {
    let name = text(node)?;
    name.parse().map_err(|_| {
        let error = node.error(format!("unknown topology `{name}`"));
        let error = error.suggest(&name, Topology::NAMES.iter().copied());
        error.hint(format!("one of {}", Topology::NAMES.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "topology: [ Ring, Switch ]\nnpus_count: [ 4, 2 ]\nbandwidth: [ 50.0, 25 ]  # GB/s\nlatency: [ 500.0, 936.25 ]\n";

    fn refused(text: &str) -> String {
        NetworkFile::parse(text.as_bytes(), "n.yml").unwrap_err().to_string()
    }

    #[test]
    fn a_network_file_gives_one_dimension_per_entry() {
        let (network, _) = NetworkFile::parse(GOOD.as_bytes(), "n.yml").unwrap();
        let network = network.network(NetworkModel::CongestionUnaware);
        assert_eq!(network.ranks(), Some(8));
        assert_eq!(network.dimensions[1].topology, Topology::Switch);
        assert_eq!(network.dimensions[1].latency_ns, 936.25);
    }

    #[test]
    fn what_the_simulator_would_drop_or_trip_over_is_an_error_with_its_key() {
        for (from, to, expected) in [
            ("[ 50.0, 25 ]", "[ 50.0 ]", "n.yml:3:12: bandwidth: 1 entries, but topology has 2"),
            ("[ 4, 2 ]", "8", "n.yml:2:13: npus_count: expected a list, found `8`"),
            (
                "[ 4, 2 ]",
                "[ 4, 2.5 ]",
                "n.yml:2:18: npus_count[1]: expected an integer from 1 to 4294967295, found `2.5`",
            ),
            ("Switch", "switch", "n.yml:1:19: topology[1]: unknown topology `switch`"),
            ("latency", "latncy", "n.yml:4:1: latncy: unknown key"),
            ("latency: [ 500.0, 936.25 ]\n", "", "n.yml:1:1: latency: missing required key"),
        ] {
            assert_eq!(refused(&GOOD.replace(from, to)), expected);
        }
    }

    #[test]
    fn an_unknown_key_is_ignored_aloud() {
        let text = format!("{GOOD}colour: red\n");
        let (_, notices) = NetworkFile::parse(text.as_bytes(), "n.yml").unwrap();
        assert_eq!(notices, [Notice::new("colour", "unknown key, ignored")]);
    }

    #[test]
    fn faulty_links_and_non_recursive_dimensions_become_the_networks() {
        let network = |more: &str| {
            let (file, notices) = NetworkFile::parse(format!("{GOOD}{more}\n").as_bytes(), "n.yml").unwrap();
            assert_eq!(notices, []);
            file.network(NetworkModel::CongestionAware)
        };
        let faulty = network("faulty_links: [[0, 1, 0.5], [2, 3, 0]]");
        let link = |src, dst, health| FaultyLink { src, dst, health };
        assert_eq!(faulty.faulty_links, [link(0, 1, 0.5), link(2, 3, 0.0)]);
        for (more, expected) in [
            ("", None),
            ("non_recursive_from: 0", Some(0)),
            ("non_recursive_from: 2", Some(2)),
            ("non_recursive_topology: [ 0, 1 ]", Some(1)),
            ("non_recursive_topology: [ 0, 0 ]", Some(2)),
            ("non_recursive_topology: [ 1, 1 ]\nnon_recursive_from: 1", Some(1)),
        ] {
            assert_eq!(network(more).non_recursive_from, expected, "{more}");
        }
    }

    #[test]
    fn non_recursive_dimensions_that_cannot_be_are_errors_with_their_key() {
        let wrong = "n.yml:5:25: non_recursive_topology: expected 2 numbers, one per dimension: zeros, then ones; found";
        for (more, expected) in [
            ("non_recursive_topology: [ 1, 0 ]", format!("{wrong} [1, 0]")),
            ("non_recursive_topology: [ 1 ]", format!("{wrong} [1]")),
            ("non_recursive_topology: [ 0, 2 ]", format!("{wrong} [0, 2]")),
            (
                "non_recursive_from: 3",
                "n.yml:5:21: non_recursive_from: expected a number of dimensions up to 2, found `3`".into(),
            ),
        ] {
            assert_eq!(refused(&format!("{GOOD}{more}\n")), expected);
        }
    }
}

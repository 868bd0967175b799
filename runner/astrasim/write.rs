//! The text of the configuration files, byte for byte as DeepFlow writes them.

use astra_engine::Dialect;
use astra_policy::Collective;
use serde::{Serialize, Serializer};
use serde_json::{Value as Json, json};

use super::number::{float, general};
use super::system_keys::algorithm_key;
use super::{AlgorithmLists, ConfigRequest, Layout, PolicyChoices, SystemOverrides, WrittenDimension};
use crate::Result;
use crate::hw::{NetworkSpec, SysOptions};

/// A run's configuration files: names as their users know them, and text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFiles {
    /// `network_analytical_<counts>.yml`
    pub network_name: String,
    /// Text of the network file.
    pub network_yml: String,
    /// `system_native_collectives_<counts>.json`
    pub system_name: String,
    /// Text of the system file.
    pub system_json: String,
    /// Text of `remote_memory.json`: no remote memory.
    pub remote_memory_json: String,
}

/// The network of a run, the algorithms that the hardware file or else the topology decides for it, and its configuration files:
/// what they are where no recipe says anything.
///
/// # Errors
/// Ranks that the hardware has no network for.
pub fn usual_files(
    spec: &NetworkSpec,
    request: &ConfigRequest,
    dialect: Dialect,
) -> Result<(Layout, AlgorithmLists, ConfigFiles)> {
    let (chosen, overrides) = (PolicyChoices::new(), SystemOverrides::default());
    let layout = super::layout(spec, request)?;
    let lists = AlgorithmLists::of(|collective| {
        super::decide(spec, &layout, dialect, &chosen, &overrides, collective)
    })?;
    let files = write(&layout, &lists, &spec.sys_options, &overrides);
    Ok((layout, lists, files))
}

/// Writes the configuration files of a run.
///
/// The system file holds DeepFlow's defaults (endpoint delay 10 ns, 1 split, 1 active chunk, …), over them the
/// hardware file's options, over them the user's overrides; the algorithms are those of the lists.
pub fn write(
    layout: &Layout,
    lists: &AlgorithmLists,
    options: &SysOptions,
    overrides: &SystemOverrides,
) -> ConfigFiles {
    let names = config_names(layout);
    ConfigFiles {
        network_name: names.network,
        network_yml: network_yml(layout),
        system_name: names.system,
        system_json: system_json(lists, options, overrides),
        remote_memory_json: "{\n    \"memory-type\": \"NO_MEMORY_EXPANSION\"\n}\n".to_owned(),
    }
}

/// What users know the files of a layout by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigNames {
    /// `network_analytical_<counts>.yml`
    pub network: String,
    /// `system_native_collectives_<counts>.json`
    pub system: String,
}

/// The names of the configuration files of a layout.
pub fn config_names(layout: &Layout) -> ConfigNames {
    let signature = layout.signature();
    ConfigNames {
        network: format!("network_analytical_{signature}.yml"),
        system: format!("system_native_collectives_{signature}.json"),
    }
}

fn network_yml(layout: &Layout) -> String {
    let list = |text: &dyn Fn(&WrittenDimension) -> String| {
        layout.dimensions.iter().map(text).collect::<Vec<_>>().join(", ")
    };
    let mut text = format!(
        "topology: [ {} ]\nnpus_count: [ {} ]\nbandwidth: [ {} ]  # GB/s\nlatency: [ {} ]   # ns\n",
        list(&|dimension| dimension.link.topology.to_string()),
        list(&|dimension| dimension.link.npus.to_string()),
        list(&|dimension| float(dimension.link.bandwidth.0)),
        list(&|dimension| float(dimension.link.latency_ns)),
    );
    if !layout.faulty_links.is_empty() {
        let links = layout.faulty_links.iter();
        let links = links.map(|link| format!("[{}, {}, {}]", link.src, link.dst, general(link.health)));
        text += &format!("faulty_links: [{}]\n", links.collect::<Vec<_>>().join(", "));
    }
    text
}

fn system_json(lists: &AlgorithmLists, options: &SysOptions, overrides: &SystemOverrides) -> String {
    let mut keys = Keys(vec![
        ("scheduling-policy", json!("LIFO")),
        ("endpoint-delay", json!(options.endpoint_delay_ns.unwrap_or(10))),
        ("active-chunks-per-dimension", json!(options.active_chunks_per_dimension.unwrap_or(1))),
        ("preferred-dataset-splits", json!(options.preferred_dataset_splits.unwrap_or(1))),
    ]);
    for collective in Collective::ALL {
        let names = lists.get(collective).iter().map(|decision| decision.algorithm.as_str());
        keys.0.push((algorithm_key(collective), names.collect()));
    }
    keys.0.extend([
        ("collective-optimization", json!("localBWAware")),
        ("local-mem-bw", json!(1600)),
        ("boost-mode", json!(0)),
        ("roofline-enabled", json!(0)),
        ("peak-perf", json!(900)),
    ]);
    // The lists are decided with those of the overrides in mind.
    let decided = Collective::ALL.map(algorithm_key);
    for (key, value) in overrides.entries().iter().filter(|(key, _)| !decided.contains(&key.as_str())) {
        match keys.0.iter_mut().find(|(name, _)| name == key) {
            Some((_, place)) => *place = value.clone(),
            None => keys.0.push((key, value.clone())),
        }
    }
    serde_json::to_string_pretty(&keys).expect("keys and JSON values have a JSON form")
}

/// A JSON object in the order of its entries.
struct Keys<'a>(Vec<(&'a str, Json)>);

impl Serialize for Keys<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

//! The signature under which DeepFlow's library (December 2025) keeps a time in its `cache.json`, and the key made of it.
//!
//! Source of the rules: observed keys of the library. It is no key of ours: bandwidth, latency and algorithms of the first
//! dimension stand for all, so that different runs may share one.

use astra_policy::Collective;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::number::{float, rounded};
use super::{ConfigRequest, Layout};
use crate::hw::{Dimension, NetworkSpec, SysOptions};
use crate::policy;

/// What the library says of a run: its name for what is simulated, the ranks and the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Compact JSON with sorted keys, byte for byte as Python writes it.
    pub canonical: String,
}

impl Signature {
    /// The signature of a run of `comm`, a collective or `graph`, of so many bytes. `None` for a network without a dimension.
    /// With `run` it is the library's no longer, but nobody else's either.
    pub fn new(
        spec: &NetworkSpec,
        layout: &Layout,
        request: &ConfigRequest,
        comm: &str,
        size_bytes: u64,
        run: Option<&str>,
    ) -> Option<Self> {
        let first = spec.dimensions.first()?;
        let topologies: Vec<&str> = layout.dimensions.iter().map(|d| d.link.topology.as_str()).collect();
        let npus: Vec<u32> = layout.dimensions.iter().map(|d| d.link.npus).collect();
        let axes = request.axes.as_ref().map(|axes| json!(axes).to_string());
        // In the order of their names.
        let entries = [
            ("astra_store_run", run.map(|run| json!(run).to_string())),
            ("axes_filter", axes),
            ("backend", Some(json!("analytical").to_string())),
            ("collectives", Some(collectives(spec, first))),
            ("comm", Some(json!(comm).to_string())),
            ("ib_gbps", Some(float(rounded(first.bandwidth_bytes_per_s / (1_u64 << 30) as f64, 6)))),
            ("ll_ns", Some(float(rounded(first.latency_s * 1e9, 3)))),
            ("npus", Some(layout.ranks.to_string())),
            ("npus_per_dim", Some(json!(npus).to_string())),
            ("physical_topology", Some(json!(topologies).to_string())),
            ("size_bytes", Some(size_bytes.to_string())),
            ("sys_options", sys_options(&spec.sys_options)),
            ("topology", Some(json!(topologies).to_string())),
        ];
        let written = entries.into_iter().filter_map(|(name, value)| Some(format!("\"{name}\":{}", value?)));
        Some(Self { canonical: format!("{{{}}}", written.collect::<Vec<_>>().join(",")) })
    }

    /// The key of the entry.
    pub fn key(&self) -> String {
        Sha256::digest(&self.canonical).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What is chosen for all dimensions, else what suits the first.
fn collectives(spec: &NetworkSpec, first: &Dimension) -> String {
    let (usual, _) = astra_policy_topology::default_for(
        policy::dialect(astra_engine::Dialect::DeepFlow),
        policy::topology(first.topology),
    );
    let chosen = |collective| spec.collectives.get(collective).unwrap_or(usual.name()).to_owned();
    let named: serde_json::Map<_, _> =
        Collective::ALL.into_iter().map(|c| (c.name().to_owned(), chosen(c).into())).collect();
    serde_json::Value::from(named).to_string()
}

fn sys_options(options: &SysOptions) -> Option<String> {
    let named = [
        ("active_chunks_per_dimension", options.active_chunks_per_dimension),
        ("endpoint_delay", options.endpoint_delay_ns),
        ("preferred_dataset_splits", options.preferred_dataset_splits),
    ];
    let given = named.into_iter().filter_map(|(name, value)| Some(format!("\"{name}\":{}", value?)));
    let given: Vec<String> = given.collect();
    (!given.is_empty()).then(|| format!("{{{}}}", given.join(",")))
}

#[cfg(test)]
mod tests {
    use super::super::layout;
    use super::*;
    use crate::hw::{Axis, Document};

    const TWO_RINGS: &str = "\
parallelism: { tp: 4, cp: 4, lp: 4, dp: 4 }
network:
  dimensions:
    - { size: auto, topology: { type: Ring, bandwidth: 400 GB, latency: 1e-6 }, parallelisms: [tp, cp] }
    - { size: auto, topology: { type: Ring, bandwidth: 25 GB, latency: 5e-6 }, parallelisms: [lp, dp] }
";

    fn signature(axis: Axis, size_bytes: u64, run: Option<&str>) -> Signature {
        let (spec, _) = Document::parse(TWO_RINGS.as_bytes(), "hw").unwrap().network_spec(&[]).unwrap();
        let request = ConfigRequest { ranks: 4, axes: Some(vec![axis]), ..ConfigRequest::default() };
        let layout = layout(&spec, &request).unwrap();
        Signature::new(&spec, &layout, &request, "all_reduce", size_bytes, run).unwrap()
    }

    #[test]
    fn the_key_is_that_of_the_library() {
        for (axis, size, key) in [
            (Axis::Tp, 1, "f585e06fcbe6e3a0aec39a3fe2734d24027e1630145c0bb31d894556e9704838"),
            (Axis::Tp, 1 << 20, "f540ff8ea3f9b192bf2a9ca0992da8b4edbac0b46c833adaf3bf5ac31631e3d8"),
            (Axis::Cp, 1, "57230d8034d0d072b5e50b1a1ad8e82262d7aafb9f60562e7696ed5db6bc9b73"),
            (Axis::Lp, 1, "7dcc5c2312c28917313e56523152497a4ece1bab774748912cfc5699946ae0a7"),
        ] {
            assert_eq!(signature(axis, size, None).key(), key);
        }
    }

    #[test]
    fn a_run_can_have_a_key_that_the_library_never_asks_for() {
        let own = signature(Axis::Tp, 1, Some("ab"));
        assert!(own.canonical.starts_with(r#"{"astra_store_run":"ab","axes_filter":["tp"],"#));
        assert_ne!(own.key(), signature(Axis::Tp, 1, None).key());
    }
}

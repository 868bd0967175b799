//! A parsed hardware file, from which any number of patched network specifications are read.

use std::borrow::Cow;

use super::spec::{NetworkSpec, SPEC_VERSION};
use super::{backend, dimension, parallelism, patch};
use crate::yaml::{self, Node, Value};
use crate::{Error, Notice, Result};

/// A hardware file, parsed once.
#[derive(Clone, Debug)]
pub struct Document {
    root: Node,
    file: String,
}

impl Document {
    /// Parses hardware YAML; `file` names it in errors.
    ///
    /// # Errors
    ///
    /// Text that is not YAML or no mapping. The keys are read by [`Self::network_spec`].
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self> {
        let root = yaml::parse(bytes, file)?;
        match &root.value {
            Value::Map(_) => Ok(Self { root, file: file.to_owned() }),
            _ => {
                let message = format!("expected a mapping with a `network` section, found {}", root.found());
                Err(root.error(message).in_file(file))
            }
        }
    }

    /// The network this file describes after `patches`, and what is worth saying about it.
    ///
    /// A patch is a dotted path to an existing value (`network.dimensions.0.topology.bandwidth`) with the new value.
    ///
    /// # Errors
    ///
    /// A patch of a path that does not exist, or anything in the sections simulation reads that is missing, unknown
    /// or wrong, with file, line and key.
    pub fn network_spec(
        &self,
        patches: &[(String, serde_json::Value)],
    ) -> Result<(NetworkSpec, Vec<Notice>)> {
        self.patched(patches)
            .and_then(|root| {
                let mut notices = Vec::new();
                read(&root, &mut notices).map(|spec| (spec, notices))
            })
            .map_err(|error| error.in_file(&self.file))
    }

    fn patched(&self, patches: &[(String, serde_json::Value)]) -> Result<Cow<'_, Node>> {
        let mut root = Cow::Borrowed(&self.root);
        for (path, value) in patches {
            patch::apply(root.to_mut(), path, value)?;
        }
        Ok(root)
    }
}

/// Reads the sections that matter. Other top-level sections (`sw_param`, `tech_param`, `memory_hierarchy`,
/// `inference`, `power_breakdown`, …) describe chips and software; they are neither required nor looked at.
fn read(root: &Node, notices: &mut Vec<Notice>) -> Result<NetworkSpec> {
    let network =
        root.get("network").filter(|node| node.value != Value::Null).ok_or_else(|| no_network(root))?;
    let parallelism_node = root.get("parallelism").filter(|node| node.value != Value::Null);
    let backend_node = root.get("execution_backend").filter(|node| node.value != Value::Null);
    let parallelism = parallelism::read(parallelism_node).map_err(|error| error.under("parallelism"))?;
    let (dimensions, faulty_links) =
        dimension::network(network, &parallelism, notices).map_err(|error| error.under("network"))?;
    let (collectives, sys_options) =
        backend::read(backend_node, notices).map_err(|error| error.under("execution_backend"))?;
    Ok(NetworkSpec { version: SPEC_VERSION, parallelism, dimensions, faulty_links, collectives, sys_options })
}

/// The error for a file without `network`: a section under a near name, the old single-link form, or nothing at all.
fn no_network(root: &Node) -> Error {
    let error = root.error("missing required section").key("network");
    if let Some(old) = root.get("network_topology") {
        return old.error("this is the single-link form of 2025, which is no longer read").key("network_topology").hint(
            "write `network: {dimensions: [{size: auto, topology: {type: Ring, bandwidth: 100 GB, latency: 5e-6}, \
             parallelisms: [tp]}]}` with the bandwidth of one link, and rename `scheduling_param` to `parallelism`",
        );
    }
    let keys = match &root.value {
        Value::Map(entries) => entries.iter().map(|entry| entry.key.as_str()).collect(),
        _ => Vec::new(),
    };
    match crate::error::closest("network", keys) {
        Some(near) => error.hint(format!("the file has `{near}`; did you mean `network`?")),
        None => error.hint("write `network: {dimensions: [...]}`; see docs/deepflow.md"),
    }
}

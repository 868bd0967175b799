//! Which custom collectives a system file names: by type, and by node through a file of its own.

use std::collections::BTreeMap;

use astra_engine::{CollectiveType, Dialect};
use astra_policy::Collective;
use serde_json::Value as Json;

use super::system_file::other_dialect;
use super::system_keys::custom_key;
use crate::yaml::{self, Entry, Value};
use crate::{Error, Result};

/// The key that names the file of collectives by node.
pub(super) const PER_NODE: &str = "per-node-custom-implementation";

/// The custom collectives of a system file. A prefix P stands for the traces `P.<k>.et`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CustomFiles {
    /// Prefix of the traces that carry out a type.
    pub of_type: BTreeMap<CollectiveType, String>,
    /// A YAML file that maps nodes to prefixes.
    pub per_node: Option<String>,
}

impl CustomFiles {
    /// Whether the file names none.
    pub fn is_empty(&self) -> bool {
        self.of_type.is_empty() && self.per_node.is_none()
    }

    /// Whether the dialect has custom collectives of these kinds: its simulator ignores the keys that it does not know.
    ///
    /// # Errors
    /// A key that the dialect does not have.
    pub(super) fn check(&self, dialect: Dialect) -> Result<()> {
        let scatter = self.of_type.contains_key(&CollectiveType::ReduceScatter);
        let lacking = [(self.per_node.is_some(), PER_NODE), (scatter, custom_key(Collective::ReduceScatter))];
        match lacking.into_iter().find(|(given, _)| dialect == Dialect::DeepFlow && *given) {
            None => Ok(()),
            Some((_, key)) => {
                let error = Error::input(format!("exists in dialect astra-sim, not in {dialect}")).key(key);
                Err(error.hint(format!("{}, or remove the key", other_dialect(dialect))))
            }
        }
    }

    /// Takes them from a system file's keys.
    pub(super) fn of_keys(keys: &serde_json::Map<String, Json>) -> Result<Self> {
        let mut files = Self::default();
        for collective in Collective::ALL {
            let key = custom_key(collective);
            let Some(value) = keys.get(key) else { continue };
            match value.as_array().map(Vec::as_slice) {
                Some([Json::String(prefix)]) => {
                    files.of_type.insert(collective_type(collective), prefix.clone());
                }
                _ => return Err(Error::input(expected("a list of one trace prefix", value)).key(key)),
            }
        }
        if let Some(value) = keys.get(PER_NODE) {
            let path = value.as_str().ok_or_else(|| {
                Error::input(expected("the path of a file from node ids to trace prefixes", value))
                    .key(PER_NODE)
            })?;
            files.per_node = Some(path.to_owned());
        }
        Ok(files)
    }
}

fn expected(what: &str, found: &Json) -> String {
    format!("expected {what}, found {found}")
}

/// The same collective in the engine's terms.
const fn collective_type(collective: Collective) -> CollectiveType {
    match collective {
        Collective::AllReduce => CollectiveType::AllReduce,
        Collective::AllGather => CollectiveType::AllGather,
        Collective::ReduceScatter => CollectiveType::ReduceScatter,
        Collective::AllToAll => CollectiveType::AllToAll,
    }
}

/// Reads a file that maps the ids of nodes to prefixes of traces.
///
/// # Errors
/// Text that is no such mapping, with file, line and key.
pub fn read_per_node(bytes: &[u8], file: &str) -> Result<BTreeMap<u64, String>> {
    let document = yaml::parse(bytes, file)?;
    let Value::Map(entries) = &document.value else {
        let message =
            format!("expected a mapping from node ids to trace prefixes, found {}", document.found());
        return Err(document.error(message).in_file(file));
    };
    let entry = |entry: &Entry| {
        let node = entry.key.parse().map_err(|_| entry.error("expected the id of a node"))?;
        match &entry.value.value {
            Value::Text(prefix) => Ok((node, prefix.clone())),
            _ => {
                let message = format!("expected a trace prefix, found {}", entry.value.found());
                Err(entry.value.error(message).key(&entry.key))
            }
        }
    };
    entries.iter().map(|e| entry(e).map_err(|error: Error| error.in_file(file))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(keys: Json) -> Result<CustomFiles> {
        CustomFiles::of_keys(keys.as_object().unwrap())
    }

    #[test]
    fn every_type_may_name_one_prefix() {
        let files = of(
            json!({"reduce-scatter-implementation-custom": ["rs/ring"], "per-node-custom-implementation": "n.yml"}),
        );
        let files = files.unwrap();
        assert_eq!(files.of_type, BTreeMap::from([(CollectiveType::ReduceScatter, "rs/ring".to_owned())]));
        assert_eq!(files.per_node.as_deref(), Some("n.yml"));
        assert!(of(json!({})).unwrap().is_empty());
    }

    #[test]
    fn anything_else_is_an_error_with_its_key() {
        for bad in [json!([]), json!(["a", "b"]), json!("a"), json!([3])] {
            let error = of(json!({"all-to-all-implementation-custom": bad})).unwrap_err().to_string();
            assert!(error.starts_with("all-to-all-implementation-custom: expected a list of one"), "{error}");
        }
        assert!(of(json!({"per-node-custom-implementation": ["x"]})).is_err());
    }

    #[test]
    fn nodes_are_mapped_to_prefixes() {
        let nodes = read_per_node(b"3: rs/a\n12: rs/b\n", "n.yml").unwrap();
        assert_eq!(nodes, BTreeMap::from([(3, "rs/a".to_owned()), (12, "rs/b".to_owned())]));
        for (text, expected) in [
            ("- a\n", "n.yml:1:1: expected a mapping from node ids"),
            ("x: a\n", "n.yml:1:1: x: expected the id of a node"),
            ("3: [a]\n", "n.yml:1:4: 3: expected a trace prefix, found a list"),
        ] {
            let error = read_per_node(text.as_bytes(), "n.yml").unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}

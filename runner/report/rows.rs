//! The report of a recipe (what is printed) and its index (which keys each point was made of).

use std::collections::HashMap;

use artifact_store::{ActionKey, Digest};
use serde::{Deserialize, Serialize};

use crate::derivation::{Hex, PerStep};
use crate::error::{Error, Result};

/// One point of a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The point's name, unique in its recipe.
    pub name: String,
    /// The values of the swept axes, in the order of [`Report::axes`], as written in the recipe.
    pub axes: Vec<String>,
    /// Number of ranks; `None` when neither the recipe nor a result says so.
    pub ranks: Option<u32>,
    /// When the last rank finished; `None` when the point has no result.
    pub finish_ns: Option<u64>,
    /// Bus bandwidth of a workload that is one collective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bus_bandwidth_bytes_per_s: Option<f64>,
    /// Digest of the `result.json`.
    pub result: Option<Hex<Digest>>,
}

/// What a build found out, in the order of the recipe's points. Holds nothing that depends on when or where
/// it was built, or on what was known before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The recipe's name.
    pub recipe: String,
    /// Labels of the swept axes.
    pub axes: Vec<String>,
    /// Number of distinct steps behind the points.
    pub steps: u64,
    /// What is worth saying about the input, each thing once.
    pub notices: Vec<String>,
    /// One row per point.
    pub points: Vec<Row>,
}

/// Which action keys each point was made of: what `--explain` compares with, and where `--out` finds files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Index {
    /// Distinct keys; the points refer to them by position.
    pub keys: Vec<Hex<ActionKey>>,
    /// Per point: its name and the positions of the keys of its steps.
    pub points: Vec<(String, PerStep<Option<u32>>)>,
}

impl Report {
    /// Canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads what [`Report::encode`] wrote.
    ///
    /// # Errors
    /// When the bytes are not a report.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        decode(bytes, "report")
    }
}

impl Index {
    /// Canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads what [`Index::encode`] wrote.
    ///
    /// # Errors
    /// When the bytes are not an index.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        decode(bytes, "index")
    }

    /// The keys of each point, in the order of the points.
    pub fn keys(&self) -> impl Iterator<Item = PerStep<Option<ActionKey>>> {
        self.points.iter().map(|(_, positions)| self.resolve(positions))
    }

    /// The keys of each point, by its name.
    pub fn by_name(&self) -> HashMap<&str, PerStep<Option<ActionKey>>> {
        self.points.iter().map(|(name, positions)| (name.as_str(), self.resolve(positions))).collect()
    }

    fn resolve(&self, positions: &PerStep<Option<u32>>) -> PerStep<Option<ActionKey>> {
        PerStep::of(|kind| positions[kind].and_then(|p| self.keys.get(p as usize)).map(|k| k.0))
    }
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("structs of numbers and text always encode")
}

fn decode<T: for<'de> Deserialize<'de>>(bytes: &[u8], what: &str) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| {
        Error::new(crate::ErrorKind::Store, format!("a stored {what} cannot be read: {e}"))
            .hint("it was written by another version of astra-store; build the recipe again")
    })
}

//! The decision table: one row per distinct question, with who decided it and why.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Question;
use crate::astrasim::Decision;
use crate::error::{Error, ErrorKind, Result};

/// Version of the canonical form.
pub const TABLE_VERSION: u32 = 2;

/// What was decided about one question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// One for each written dimension, or fewer where a list of the recipe ends with an algorithm over all ranks.
    pub decisions: Vec<Decision>,
    /// Time of the whole collective that the policy expects of its choice, in nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_ns: Option<f64>,
    /// The chunks into which the policy wants the collective cut, where it wants another number than asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_splits: Option<u32>,
    /// The chunks that the policy wants active at once per dimension, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_chunks: Option<u32>,
}

impl Row {
    /// The names of the algorithms, in the order of the dimensions.
    pub fn algorithms(&self) -> Vec<&str> {
        self.decisions.iter().map(|decision| decision.algorithm.as_str()).collect()
    }
}

/// What was decided about every question that some workloads ask of one network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DecisionTable {
    rows: BTreeMap<Question, Row>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    version: u32,
    rows: Vec<Decided>,
}

#[derive(Serialize, Deserialize)]
struct Decided {
    #[serde(flatten)]
    question: Question,
    #[serde(flatten)]
    row: Row,
}

impl DecisionTable {
    /// The rows, in the order of the questions.
    pub fn rows(&self) -> impl Iterator<Item = (&Question, &Row)> {
        self.rows.iter()
    }

    /// The row of a question: its own, or else that of a policy which looks at nothing but the collective.
    pub fn row(&self, question: &Question) -> Option<&Row> {
        self.rows.get(question).or_else(|| self.rows.get(&Question::whatever(question.collective)))
    }

    /// The canonical bytes: compact JSON.
    pub fn encode(&self) -> Vec<u8> {
        let decided =
            |(question, row): (&Question, &Row)| Decided { question: question.clone(), row: row.clone() };
        let form = Form { version: TABLE_VERSION, rows: self.rows.iter().map(decided).collect() };
        serde_json::to_vec(&form).expect("structs of numbers and text always encode")
    }

    /// Reads what [`DecisionTable::encode`] wrote.
    ///
    /// # Errors
    /// Bytes that are not a decision table of this version.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let unreadable = |why: String| {
            Error::new(ErrorKind::Store, format!("a stored decision table cannot be read: {why}"))
                .hint("it was written by another version of astra-store; build in a new store")
        };
        let form: Form = serde_json::from_slice(bytes).map_err(|e| unreadable(e.to_string()))?;
        if form.version != TABLE_VERSION {
            return Err(unreadable(format!("version {}, expected {TABLE_VERSION}", form.version)));
        }
        Ok(form.rows.into_iter().map(|decided| (decided.question, decided.row)).collect())
    }
}

impl FromIterator<(Question, Row)> for DecisionTable {
    fn from_iter<I: IntoIterator<Item = (Question, Row)>>(rows: I) -> Self {
        Self { rows: rows.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use astra_policy::Collective;

    use super::*;
    use crate::astrasim::DecidedBy;

    #[test]
    fn the_form_is_golden_and_reads_back() {
        let decision =
            Decision { algorithm: "ring".into(), decided_by: DecidedBy::Policy, reason: "large".into() };
        let row = Row {
            decisions: vec![decision],
            predicted_ns: Some(1.5),
            dataset_splits: None,
            active_chunks: Some(2),
        };
        let table = DecisionTable::from_iter([(Question::of(Collective::AllReduce, 64), row)]);
        let golden = r#"{"version":2,"rows":[{"collective":"all_reduce","bytes":64,"decisions":[{"algorithm":"ring","decided_by":"policy","reason":"large"}],"predicted_ns":1.5,"active_chunks":2}]}"#;
        assert_eq!(String::from_utf8(table.encode()).unwrap(), golden);
        assert_eq!(DecisionTable::decode(golden.as_bytes()).unwrap(), table);
        let newer = golden.replace("\"version\":2", "\"version\":3");
        let error = DecisionTable::decode(newer.as_bytes()).unwrap_err().to_string();
        assert!(error.ends_with("version 3, expected 2"), "{error}");
    }
}

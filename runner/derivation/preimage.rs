//! The full canonical description of what goes into an action key.
//!
//! Encoding: compact JSON with sorted keys and shortest round-trip numbers. The bytes are kept beside the
//! record, so that `why`, `--explain` and `diff` can say later what a key was made of.

use std::collections::BTreeMap;

use artifact_store::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Hex;

/// What goes into an action key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preimage {
    /// Names of what the step reads → digests of the content.
    pub inputs: BTreeMap<String, Hex<Digest>>,
    /// The kind of step, or `build` for a whole recipe.
    pub kind: String,
    /// Everything else that decides the outputs.
    pub params: Value,
    /// Sets these outputs apart from those of the same step without it or with another: whoever no longer believes what
    /// was recorded sets one. Absent from keys that have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// Semantic version of the step kind; bumped when equal inputs would give other outputs.
    pub version: u32,
}

impl Preimage {
    /// A preimage without inputs; add them with [`Preimage::input`].
    pub fn new(kind: impl Into<String>, version: u32, params: Value) -> Self {
        Self { inputs: BTreeMap::new(), kind: kind.into(), params, salt: None, version }
    }

    /// Adds a named input.
    #[must_use]
    pub fn input(mut self, name: impl Into<String>, digest: Digest) -> Self {
        self.inputs.insert(name.into(), Hex(digest));
        self
    }

    /// The same, set apart by a salt if there is one.
    #[must_use]
    pub fn salted(self, salt: Option<&str>) -> Self {
        Self { salt: salt.map(str::to_owned), ..self }
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a tree of strings, numbers and maps with string keys always encodes")
    }

    /// Reads canonical bytes; `None` when they are not a preimage of this version of the program.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_encoding_and_the_key_are_golden() {
        let preimage = Preimage::new("run", 1, json!({"b": 1.5, "a": [1, "x"]}))
            .input("network.yml", Digest::of(b"network"))
            .input("et", Digest::of(b"et"));
        let encoded = preimage.encode();
        let expected = format!(
            r#"{{"inputs":{{"et":"{}","network.yml":"{}"}},"kind":"run","params":{{"a":[1,"x"],"b":1.5}},"version":1}}"#,
            Digest::of(b"et"),
            Digest::of(b"network")
        );
        assert_eq!(String::from_utf8(encoded.clone()).unwrap(), expected);
        assert_eq!(Preimage::decode(&encoded), Some(preimage.clone()));
        assert_eq!(
            artifact_store::ActionKey::of_preimage(&encoded).to_string(),
            "1d8d2dc74757aa2c13eca97be6aedb90b4bd13edcd88444261874fc726b17e61"
        );
        let salted = preimage.salted(Some("second try"));
        let expected = expected.replace(r#","version""#, r#","salt":"second try","version""#);
        assert_eq!(String::from_utf8(salted.encode()).unwrap(), expected);
        assert_eq!(Preimage::decode(&salted.encode()), Some(salted));
    }
}

//! Structural differences between two preimages, or between two JSON values.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Preimage;

/// One place in which two values differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Where: `inputs.network.yml`, `params.workload.size`, `dimensions[0].topology`.
    pub path: String,
    /// What was there before; `None` when nothing was.
    pub before: Option<Value>,
    /// What is there now; `None` when nothing is.
    pub after: Option<Value>,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |v: &Option<Value>| match v {
            None => "nothing".to_owned(),
            Some(Value::String(s)) => shortened(s),
            Some(v) => shortened(&v.to_string()),
        };
        // Two values that are no objects differ as a whole.
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{} → {}", text(&self.before), text(&self.after))
    }
}

/// Cuts long text, and digests to the length people compare by eye.
fn shortened(text: &str) -> String {
    let is_digest = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let limit = if is_digest { 12 } else { 48 };
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// All differences between two preimages, inputs first.
pub fn changes(before: &Preimage, after: &Preimage) -> Vec<Change> {
    let mut out = Vec::new();
    let names: BTreeSet<&String> = before.inputs.keys().chain(after.inputs.keys()).collect();
    for name in names {
        let [b, a] = [before, after].map(|p| p.inputs.get(name).map(|d| Value::String(d.0.to_string())));
        if a != b {
            out.push(Change { path: name.clone(), before: b, after: a });
        }
    }
    if before.version != after.version {
        let [b, a] = [before, after].map(|p| Some(Value::from(p.version)));
        out.push(Change { path: "version of this step".to_owned(), before: b, after: a });
    }
    if before.salt != after.salt {
        let [b, a] = [before, after].map(|p| p.salt.clone().map(Value::String));
        out.push(Change { path: "salt".to_owned(), before: b, after: a });
    }
    walk("", Some(&before.params), Some(&after.params), &mut out);
    out
}

/// All differences between two JSON values, in key order.
pub fn json_changes(before: &Value, after: &Value) -> Vec<Change> {
    let mut out = Vec::new();
    walk("", Some(before), Some(after), &mut out);
    out
}

fn walk(path: &str, before: Option<&Value>, after: Option<&Value>, out: &mut Vec<Change>) {
    match (before, after) {
        (Some(b), Some(a)) if b == a => {}
        (Some(Value::Object(b)), Some(Value::Object(a))) => {
            let keys: BTreeSet<&String> = b.keys().chain(a.keys()).collect();
            for key in keys {
                let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(&inner, b.get(key), a.get(key), out);
            }
        }
        (Some(Value::Array(b)), Some(Value::Array(a))) => {
            for i in 0..b.len().max(a.len()) {
                walk(&format!("{path}[{i}]"), b.get(i), a.get(i), out);
            }
        }
        (b, a) => out.push(Change { path: path.to_owned(), before: b.cloned(), after: a.cloned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artifact_store::Digest;
    use serde_json::json;

    #[test]
    fn changes_name_the_input_and_the_parameter_that_differ() {
        let before = Preimage::new("run", 1, json!({"network": "congestion_aware", "list": [1, 2]}))
            .input("et", Digest::of(b"1"));
        let after = Preimage::new("run", 1, json!({"network": "congestion_unaware", "list": [1, 3]}))
            .input("et", Digest::of(b"2"));
        let found = changes(&before, &after);
        let paths: Vec<&str> = found.iter().map(|c| c.path.as_str()).collect();
        assert_eq!(paths, ["et", "list[1]", "network"]);
        assert_eq!(found[2].to_string(), "network: congestion_aware → congestion_unaware");
        assert_eq!(changes(&before, &before), []);
        let salted = changes(&before, &before.clone().salted(Some("b")));
        assert_eq!(salted.iter().map(ToString::to_string).collect::<Vec<_>>(), ["salt: nothing → b"]);
        assert_eq!(json_changes(&json!(65536), &json!(1024))[0].to_string(), "65536 → 1024");
    }
}

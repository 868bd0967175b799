//! YAML text → [`Node`]: the only file that names the YAML crate.
//!
//! Duplicate keys are errors; depth, size, aliases and merge keys are bounded, because hardware files travel between
//! strangers.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::budget::BudgetBreach;
use serde_yaml::options::NonFiniteFloatPolicy;
use serde_yaml::{Spanned, UserMessageFormatter};

use super::{Entry, Node, Value};
use crate::{Error, Result};

/// Longest accepted document in bytes; real files have a few thousand.
const MAX_BYTES: usize = 16 << 20;
/// Deepest accepted nesting; real files have six levels. Parsing recurses, and some fifty levels fill the stack of a
/// thread in a build without optimisation.
const MAX_DEPTH: usize = 24;
/// Most accepted values, lists and mappings; real files have a few hundred.
const MAX_NODES: usize = 250_000;

/// Reads one YAML document.
///
/// # Errors
///
/// Text that is not UTF-8 or not YAML, a duplicate key, more than one document, or a document beyond the limits.
pub fn parse(bytes: &[u8], file: &str) -> Result<Node> {
    if bytes.len() > MAX_BYTES {
        let message = format!("{} bytes of YAML; at most {MAX_BYTES} are read", bytes.len());
        return Err(Error::input(message).in_file(file));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        Error::input("not UTF-8 text").in_file(file).at(line, 1)
    })?;
    let options = serde_yaml::options! {
        strict_booleans: true,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
        budget: serde_yaml::budget! { max_depth: MAX_DEPTH, max_nodes: MAX_NODES, max_documents: 1 },
    };
    let tree: Spanned<Tree> = serde_yaml::from_str_with_options(text, options).map_err(|error| {
        let message = match &error {
            serde_yaml::Error::Budget { breach, .. } => limit(breach),
            _ => error.render_with_formatter(&UserMessageFormatter),
        };
        match error.location() {
            Some(place) => {
                let (line, column) = (place.line(), place.column());
                let message = message.trim_end_matches(&format!(" at line {line}, column {column}"));
                Error::input(message).in_file(file).at(line, column)
            }
            None => Error::input(message).in_file(file),
        }
    })?;
    Ok(node(tree))
}

/// Which limit a document is beyond.
fn limit(breach: &BudgetBreach) -> String {
    match breach {
        BudgetBreach::Nodes { .. } => format!("more than {MAX_NODES} values, lists and mappings"),
        BudgetBreach::Depth { .. } => format!("nested deeper than {MAX_DEPTH} levels"),
        BudgetBreach::Documents { .. } => "more than one YAML document; a file has one".to_owned(),
        BudgetBreach::Aliases { .. }
        | BudgetBreach::Anchors { .. }
        | BudgetBreach::AliasAnchorRatio { .. } => {
            "too many anchors and aliases; write the values out".to_owned()
        }
        _ => "too large or too complex a document".to_owned(),
    }
}

/// A deserialized value; its children carry their places.
struct Tree(Value);

fn node(tree: Spanned<Tree>) -> Node {
    let (line, column) = (tree.referenced.line(), tree.referenced.column());
    Node { value: tree.value.0, line, column }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor).map(Tree)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Int(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element::<Spanned<Tree>>()? {
            items.push(node(item));
        }
        Ok(Value::Seq(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = access.next_entry::<Spanned<String>, Spanned<Tree>>()? {
            let (line, column) = (key.referenced.line(), key.referenced.column());
            entries.push(Entry { key: key.value, line, column, value: node(value) });
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Node {
        parse(text.as_bytes(), "t.yaml").unwrap()
    }

    fn refused(text: &str) -> String {
        parse(text.as_bytes(), "t.yaml").unwrap_err().to_string()
    }

    #[test]
    fn every_value_knows_its_line_and_column() {
        let tree = read("a: 1\nb:\n  - x\n  - {c: 2.5}\n");
        let list = tree.get("b").unwrap();
        let Value::Seq(items) = &list.value else { panic!("a list") };
        assert_eq!((items[0].line, items[0].column), (3, 5));
        let c = items[1].get("c").unwrap();
        assert_eq!((c.value.clone(), c.line, c.column), (Value::Float(2.5), 4, 9));
        let Value::Map(entries) = &tree.value else { panic!("a mapping") };
        assert_eq!((entries[1].key.as_str(), entries[1].line, entries[1].column), ("b", 2, 1));
    }

    #[test]
    fn five_micro_is_a_number_however_it_is_written() {
        for text in ["v: 5e-6", "v: '5e-6'", "v: 5.0e-06", "v: ' 5e-6 '", "v: 0.000005"] {
            assert_eq!(read(text).get("v").unwrap().number(), Some(5e-6), "{text}");
        }
        for text in ["v: .inf", "v: nan", "v: 2 us", "v: [1]", "v: true", "v: ~"] {
            assert_eq!(read(text).get("v").unwrap().number(), None, "{text}");
        }
    }

    #[test]
    fn an_integer_may_be_spelt_as_text_or_as_an_integral_float() {
        for (text, value) in
            [("v: 16", Some(16)), ("v: '16'", Some(16)), ("v: 16.0", Some(16)), ("v: 1.5", None)]
        {
            assert_eq!(read(text).get("v").unwrap().integer(), value, "{text}");
        }
    }

    #[test]
    fn words_that_old_yaml_takes_for_booleans_stay_text() {
        assert_eq!(read("v: on").get("v").unwrap().value, Value::Text("on".into()));
        assert_eq!(read("v: true").get("v").unwrap().value, Value::Bool(true));
    }

    #[test]
    fn a_duplicate_key_is_refused_with_its_place() {
        let message = refused("a: 1\nb: 2\na: 3\n");
        assert!(message.starts_with("t.yaml:3:1: "), "{message}");
        assert!(message.contains("duplicate") && !message.contains("line"), "{message}");
    }

    #[test]
    fn broken_text_is_refused_with_its_place() {
        let message = refused("a: [1, 2\nb: 3\n");
        assert!(message.starts_with("t.yaml:2:"), "{message}");
        assert!(!message.contains('\n'), "{message}");
        let bytes = parse(b"a: 1\nb: \xff\n", "t.yaml").unwrap_err().to_string();
        assert_eq!(bytes, "t.yaml:2:1: not UTF-8 text");
    }

    #[test]
    fn deep_nesting_alias_bombs_and_huge_files_are_refused() {
        refused(&"[".repeat(100_000));
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let below = format!("*a{}", level - 1);
            bomb += &format!("a{level}: &a{level} [{}]\n", vec![below; 10].join(", "));
        }
        refused(&bomb);
        assert!(parse(&vec![b' '; MAX_BYTES + 1], "t.yaml").is_err());
    }

    #[test]
    fn a_limit_is_named_in_words() {
        for (text, expected) in [
            (format!("[{}]", "1,".repeat(MAX_NODES + 1)), "more than 250000 values, lists and mappings"),
            ("[".repeat(MAX_DEPTH + 1) + &"]".repeat(MAX_DEPTH + 1), "nested deeper than 24 levels"),
        ] {
            let message = refused(&text);
            assert!(message.starts_with("t.yaml:1:") && message.ends_with(expected), "{message}");
        }
        read(&("[".repeat(MAX_DEPTH) + &"]".repeat(MAX_DEPTH)));
        for text in ["a: 1\n---\nb: 2\n", "[*a]", "a: &a [*a]"] {
            let message = refused(text);
            assert!(!message.contains(['{', '}']) && !message.contains("udget"), "{message}");
        }
    }
}

//! YAML text → a tree of values that know their line and column.
//!
//! The only file that names the YAML crate. Duplicate keys are errors; depth, size, aliases and merge keys are
//! bounded, because hardware files travel between strangers. It must never know what the keys mean.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::{Spanned, UserMessageFormatter};

use crate::{Error, Result};

/// Longest accepted document in bytes; real files have a few thousand.
const MAX_BYTES: usize = 16 << 20;
/// Deepest accepted nesting; real files have six levels.
const MAX_DEPTH: usize = 64;

/// A value and the place where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// 1-based line, 0 when the value does not come from a file.
    pub line: u64,
    /// 1-based column, 0 when the value does not come from a file.
    pub column: u64,
}

/// A YAML value. Plain scalars are typed by the core schema; the reader of a key decides what it takes for a number.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer.
    Int(i128),
    /// A floating-point number.
    Float(f64),
    /// Text, quoted or plain.
    Text(String),
    /// A list.
    Seq(Vec<Node>),
    /// A mapping in file order; keys are unique.
    Map(Vec<Entry>),
}

/// A key of a mapping with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// 1-based line of the key.
    pub line: u64,
    /// 1-based column of the key.
    pub column: u64,
    /// The value.
    pub value: Node,
}

impl Node {
    /// A value that stands in no file.
    pub fn unplaced(value: Value) -> Self {
        Self { value, line: 0, column: 0 }
    }

    /// The value of a key, when this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value),
            _ => None,
        }
    }

    /// The number this is: a YAML number, or text that spells one (`"16"`, `"5e-6"`); never infinite or NaN.
    pub fn number(&self) -> Option<f64> {
        match &self.value {
            Value::Int(value) => Some(*value as f64),
            Value::Float(value) => Some(*value),
            Value::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
        .filter(|number: &f64| number.is_finite())
    }

    /// The integer this is: an integer, or a number or text whose value is one exactly (`16`, `16.0`, `"16"`).
    pub fn integer(&self) -> Option<i128> {
        /// Below this every integral double is exact.
        const EXACT: f64 = (1_u64 << 53) as f64;
        match &self.value {
            Value::Int(value) => Some(*value),
            _ => self.number().filter(|n| n.fract() == 0.0 && n.abs() <= EXACT).map(|n| n as i128),
        }
    }

    /// What stands here, for an error message: `` `16` ``, `a list`, …
    pub fn found(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => format!("`{value}`"),
            Value::Int(value) => format!("`{value}`"),
            Value::Float(value) => format!("`{value:?}`"),
            Value::Text(text) => format!("`{}`", shorten(text)),
            Value::Seq(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }

    /// An input error at this place.
    pub fn error(&self, message: impl Into<String>) -> Error {
        let error = Error::input(message);
        if self.line == 0 { error } else { error.at(self.line, self.column) }
    }
}

/// The first characters of a text, for a message.
fn shorten(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

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
        reject_non_finite_typeless_float: false,
        with_snippet: false,
        budget: serde_yaml::budget! { max_depth: MAX_DEPTH, max_documents: 1 },
    };
    let tree: Spanned<Tree> = serde_yaml::from_str_with_options(text, options).map_err(|error| {
        let message = error.render_with_formatter(&UserMessageFormatter::default());
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
}

//! A tree of YAML values that know their line and column.

use crate::Error;

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

impl Entry {
    /// An input error at the key, with the key.
    pub fn error(&self, message: impl Into<String>) -> Error {
        let error = Error::input(message).key(&self.key);
        if self.line == 0 { error } else { error.at(self.line, self.column) }
    }
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
        self.place(Error::input(message))
    }

    /// The error, standing at this place.
    pub fn place(&self, error: Error) -> Error {
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

//! Typed access to a mapping whose keys are all known, with errors that name the key.
//!
//! Key names in errors are relative to the section; whoever opened it puts its own path in front.

use super::{Entry, Node, Value};
use crate::Result;

/// A mapping whose keys are known.
pub(crate) struct Section<'a> {
    node: &'a Node,
}

impl<'a> Section<'a> {
    /// Opens a mapping, all of whose keys must be among `known`.
    pub(crate) fn open(node: &'a Node, known: &[&str]) -> Result<Self> {
        for entry in Self::entries(node)? {
            if !known.contains(&entry.key.as_str()) {
                let error = entry.error("unknown key").suggest(&entry.key, known.iter().copied());
                return Err(error.hint(format!("known keys: {}", known.join(", "))));
            }
        }
        Ok(Self { node })
    }

    /// Opens what may be a mapping with any keys; what is none has no keys.
    pub(crate) fn of(node: &'a Node) -> Self {
        Self { node }
    }

    /// The entries of a mapping.
    pub(crate) fn entries(node: &Node) -> Result<&[Entry]> {
        match &node.value {
            Value::Map(entries) => Ok(entries),
            _ => Err(node.error(format!("expected a mapping, found {}", node.found()))),
        }
    }

    /// The value of a key; a key without a value counts as absent.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Node> {
        self.node.get(key).filter(|node| node.value != Value::Null)
    }

    /// The value of a key that must be there.
    pub(crate) fn required(&self, key: &str, example: &str) -> Result<&'a Node> {
        self.get(key).ok_or_else(|| {
            self.node
                .error("missing required key")
                .key(key)
                .hint(format!("write for example `{key}: {example}`"))
        })
    }

    /// What `read` makes of a key's value, with the key in front of its errors.
    pub(crate) fn read<T>(&self, key: &str, read: impl FnOnce(&'a Node) -> Result<T>) -> Result<Option<T>> {
        self.get(key).map(read).transpose().map_err(|error| error.under(key))
    }
}

/// An integer from `least` to 2^32 - 1.
pub(crate) fn integer(node: &Node, least: u32) -> Result<u32> {
    integer_to(u32::MAX, node, least)
}

/// An integer from `least` to `most`.
pub(crate) fn integer_to(most: u32, node: &Node, least: u32) -> Result<u32> {
    let value = node.integer().and_then(|value| u32::try_from(value).ok());
    value.filter(|value| (least..=most).contains(value)).ok_or_else(|| {
        node.error(format!("expected an integer from {least} to {most}, found {}", node.found()))
    })
}

/// A finite number.
pub(crate) fn number(node: &Node) -> Result<f64> {
    node.number().ok_or_else(|| node.error(format!("expected a number, found {}", node.found())))
}

/// Text; a number or boolean counts as the text it is written as.
pub(crate) fn text(node: &Node) -> Result<String> {
    match &node.value {
        Value::Text(text) => Ok(text.clone()),
        Value::Int(value) => Ok(value.to_string()),
        Value::Float(value) => Ok(value.to_string()),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Null | Value::Seq(_) | Value::Map(_) => {
            Err(node.error(format!("expected text, found {}", node.found())))
        }
    }
}

/// The items of a list.
pub(crate) fn list(node: &Node) -> Result<&[Node]> {
    match &node.value {
        Value::Seq(items) => Ok(items),
        _ => Err(node.error(format!("expected a list, found {}", node.found()))),
    }
}

/// A boolean: `true`, `yes`, `on`, `1` and their opposites.
pub(crate) fn boolean(node: &Node) -> Result<bool> {
    let word = match &node.value {
        Value::Bool(value) => return Ok(*value),
        Value::Int(0) => return Ok(false),
        Value::Int(1) => return Ok(true),
        Value::Text(text) => text.trim().to_lowercase(),
        _ => String::new(),
    };
    match word.as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(node.error(format!("expected true or false, found {}", node.found()))),
    }
}

//! Changes to a hardware document before it is read: one value at a dotted path, as a sweep names it.

use serde_json::Value as Json;

use crate::yaml::{Entry, Node, Value};
use crate::{Error, Result};

/// Replaces the value at `path` (`network.dimensions.0.topology.bandwidth`; numbers index lists).
///
/// A patch replaces what is there and adds nothing, so that a misspelt path cannot go unnoticed.
///
/// # Errors
///
/// A path that does not exist, naming how far it does.
pub(super) fn apply(root: &mut Node, path: &str, value: &Json) -> Result<()> {
    let mut node = root;
    let mut walked = String::new();
    for part in path.split('.') {
        let missing = absent(node, part, &walked, path);
        node = child(node, part).ok_or(missing)?;
        if !walked.is_empty() {
            walked.push('.');
        }
        walked.push_str(part);
    }
    *node = from_json(value);
    Ok(())
}

fn child<'a>(node: &'a mut Node, part: &str) -> Option<&'a mut Node> {
    match &mut node.value {
        Value::Map(entries) => {
            entries.iter_mut().find(|entry| entry.key == part).map(|entry| &mut entry.value)
        }
        Value::Seq(items) => part.parse::<usize>().ok().and_then(|index| items.get_mut(index)),
        _ => None,
    }
}

/// The error for a part of the path that `node` does not have.
fn absent(node: &Node, part: &str, walked: &str, path: &str) -> Error {
    let place = if walked.is_empty() { "the file".to_owned() } else { format!("`{walked}`") };
    let error = match &node.value {
        Value::Map(entries) => {
            let keys: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
            let error = Error::input(format!("{place} has no key `{part}`"));
            let error = error.suggest(part, keys.iter().copied());
            error.hint(format!("a patch replaces what the file has: {}", keys.join(", ")))
        }
        Value::Seq(items) => {
            let message = format!("{place} is a list of {}, which has no entry `{part}`", items.len());
            Error::input(message).hint("entries are counted from 0")
        }
        _ => Error::input(format!("{place} is {}, which has no key `{part}`", node.found())),
    };
    error.key(path)
}

fn from_json(json: &Json) -> Node {
    Node::unplaced(match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match (number.as_i128(), number.as_f64()) {
            (Some(value), _) => Value::Int(value),
            (None, Some(value)) => Value::Float(value),
            (None, None) => Value::Text(number.to_string()),
        },
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(items) => Value::Seq(items.iter().map(from_json).collect()),
        Json::Object(entries) => Value::Map(
            entries
                .iter()
                .map(|(key, value)| Entry { key: key.clone(), line: 0, column: 0, value: from_json(value) })
                .collect(),
        ),
    })
}

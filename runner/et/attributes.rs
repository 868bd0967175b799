//! Looks up the attributes of a node the way ASTRA-sim does.
//!
//! The first attribute of a name wins. Any integer kind and bool stand for an integer or a truth value, converted as C
//! casts; text and bytes stand for text; everything else is an error that names the node and the attribute.

use std::borrow::Cow;

use astra_engine::CollectiveType;

use super::bundle::CollectiveUse;
use super::schema::attribute::Value;
use super::schema::{Node, names};
use crate::{Error, Result};

/// An error about a node, which it names.
pub(super) fn wrong(node: &Node, message: impl std::fmt::Display) -> Error {
    Error::input(format!("node {} `{}`: {message}", node.id, node.name.escape_debug()))
}

/// An integer or bool, sign-extended to 64 bits; `None` when there is no such attribute. A narrower type takes the low
/// bits, as a C cast does.
pub(super) fn integer(node: &Node, name: &str) -> Result<Option<u64>> {
    let Some(value) = find(node, name)? else { return Ok(None) };
    Ok(Some(match *value {
        Value::Int32(v) | Value::Sint32(v) | Value::Sfixed32(v) => i64::from(v) as u64,
        Value::Int64(v) | Value::Sint64(v) | Value::Sfixed64(v) => v as u64,
        Value::Uint32(v) | Value::Fixed32(v) => u64::from(v),
        Value::Uint64(v) | Value::Fixed64(v) => v,
        Value::Bool(v) => u64::from(v),
        _ => return Err(kind_error(node, name, value, "an integer")),
    }))
}

/// An integer or bool that the node has to have.
pub(super) fn required_integer(node: &Node, name: &str) -> Result<u64> {
    integer(node, name)?.ok_or_else(|| wrong(node, format_args!("attribute `{name}` is missing")))
}

/// The number of bytes the node has to say it transfers.
pub(super) fn comm_size(node: &Node) -> Result<u64> {
    let size = required_integer(node, names::COMM_SIZE)?;
    if i64::try_from(size).is_ok() {
        return Ok(size);
    }
    let found = size as i64;
    Err(wrong(
        node,
        format_args!("attribute `comm_size` is {found} (or {size} unsigned), expected bytes below 2^63"),
    ))
}

/// What collective a node takes part in.
pub(super) fn collective(node: &Node) -> Result<CollectiveUse> {
    let number = required_integer(node, names::COMM_TYPE)?;
    let kind = CollectiveType::from_chakra(number).ok_or_else(|| {
        wrong(
            node,
            format_args!("attribute `comm_type` is {number}, expected a Chakra collective type (0 to 9)"),
        )
    })?;
    Ok(CollectiveUse { kind, size_bytes: comm_size(node)?, group: group(node)? })
}

/// The communicator group; no name, an empty one and `0` are all ranks.
fn group(node: &Node) -> Result<Option<u32>> {
    let name = match group_name(node)? {
        Some(name) if name != "0" => name,
        _ => return Ok(None),
    };
    name.parse().map(Some).map_err(|_| {
        wrong(
            node,
            format_args!("attribute `pg_name` is `{name}`, expected the number of a communicator group"),
        )
    })
}

/// Whether a collective names communicator group 0, which not every dialect takes for all ranks.
pub(crate) fn names_group_zero(node: &Node) -> Result<bool> {
    Ok(group_name(node)?.is_some_and(|name| name == "0"))
}

/// The name of the communicator group, unless it is empty.
fn group_name(node: &Node) -> Result<Option<Cow<'_, str>>> {
    let name = match find(node, names::PG_NAME)? {
        None => return Ok(None),
        Some(Value::String(text)) => Cow::Borrowed(text.as_str()),
        Some(Value::Bytes(bytes)) => String::from_utf8_lossy(bytes),
        Some(value) => return Err(kind_error(node, names::PG_NAME, value, "text")),
    };
    Ok(Some(name).filter(|name| !name.is_empty()))
}

/// The flags of a list of bools; `None` when there is no such attribute.
pub(super) fn flags<'a>(node: &'a Node, name: &str) -> Result<Option<&'a [bool]>> {
    match find(node, name)? {
        None => Ok(None),
        Some(Value::BoolList(list)) => Ok(Some(&list.values)),
        Some(value) => Err(kind_error(node, name, value, "a list of bools")),
    }
}

fn find<'a>(node: &'a Node, name: &str) -> Result<Option<&'a Value>> {
    match node.attributes.iter().find(|a| a.name == name) {
        None => Ok(None),
        Some(attribute) => match &attribute.value {
            Some(value) => Ok(Some(value)),
            None => Err(wrong(node, format_args!("attribute `{name}` has no value"))),
        },
    }
}

fn kind_error(node: &Node, name: &str, found: &Value, expected: &str) -> Error {
    wrong(node, format_args!("attribute `{name}` is of kind {}, expected {expected}", found.kind_name()))
}

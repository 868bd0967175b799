//! Nodes, attributes and values as JSON with sorted keys, written as they are met: no tree of values in between.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::kind_name;
use crate::et::schema::attribute::Value;
use crate::et::schema::{Attribute, Node, Tensors};

/// A node with everything it has.
pub(super) struct NodeJson<'a>(pub(super) &'a Node);

impl Serialize for NodeJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let node = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("attributes", &AttributesJson(&node.attributes))?;
        map.serialize_entry("control_deps", &node.control_deps)?;
        map.serialize_entry("data_deps", &node.data_deps)?;
        map.serialize_entry("duration_micros", &node.duration_micros)?;
        map.serialize_entry("id", &node.id)?;
        if let Some(inputs) = &node.inputs {
            map.serialize_entry("inputs", &TensorsJson(inputs))?;
        }
        map.serialize_entry("name", &node.name)?;
        if let Some(outputs) = &node.outputs {
            map.serialize_entry("outputs", &TensorsJson(outputs))?;
        }
        if node.start_time_micros > 0 {
            map.serialize_entry("start_time_micros", &node.start_time_micros)?;
        }
        map.serialize_entry("type", &kind_name(node))?;
        map.end()
    }
}

struct TensorsJson<'a>(&'a Tensors);

impl Serialize for TensorsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Tensors { values, shapes, types } = self.0;
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("shapes", shapes)?;
        map.serialize_entry("types", types)?;
        map.serialize_entry("values", values)?;
        map.end()
    }
}

/// A list of attributes.
pub(super) struct AttributesJson<'a>(pub(super) &'a [Attribute]);

impl Serialize for AttributesJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(AttributeJson))
    }
}

struct AttributeJson<'a>(&'a Attribute);

impl Serialize for AttributeJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Attribute { name, doc_string, value } = self.0;
        let mut map = serializer.serialize_map(None)?;
        if !doc_string.is_empty() {
            map.serialize_entry("doc_string", doc_string)?;
        }
        map.serialize_entry("kind", &value.as_ref().map(Value::kind_name))?;
        map.serialize_entry("name", name)?;
        map.serialize_entry("value", &value.as_ref().map(ValueJson))?;
        map.end()
    }
}

/// A value. Bytes become hexadecimal text; numbers that JSON does not have become text.
pub(in crate::et) struct ValueJson<'a>(pub(in crate::et) &'a Value);

impl Serialize for ValueJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Double(v) => Double(*v).serialize(serializer),
            Value::DoubleList(l) => serializer.collect_seq(l.values.iter().map(|v| Double(*v))),
            Value::Float(v) => Double(f64::from(*v)).serialize(serializer),
            Value::FloatList(l) => serializer.collect_seq(l.values.iter().map(|v| Double(f64::from(*v)))),
            Value::Int32(v) | Value::Sint32(v) | Value::Sfixed32(v) => serializer.serialize_i32(*v),
            Value::Int64(v) | Value::Sint64(v) | Value::Sfixed64(v) => serializer.serialize_i64(*v),
            Value::Uint32(v) | Value::Fixed32(v) => serializer.serialize_u32(*v),
            Value::Uint64(v) | Value::Fixed64(v) => serializer.serialize_u64(*v),
            Value::Int32List(l) => l.values.serialize(serializer),
            Value::Sint32List(l) => l.values.serialize(serializer),
            Value::Sfixed32List(l) => l.values.serialize(serializer),
            Value::Int64List(l) => l.values.serialize(serializer),
            Value::Sint64List(l) => l.values.serialize(serializer),
            Value::Sfixed64List(l) => l.values.serialize(serializer),
            Value::Uint32List(l) => l.values.serialize(serializer),
            Value::Fixed32List(l) => l.values.serialize(serializer),
            Value::Uint64List(l) => l.values.serialize(serializer),
            Value::Fixed64List(l) => l.values.serialize(serializer),
            Value::Bool(v) => serializer.serialize_bool(*v),
            Value::BoolList(l) => l.values.serialize(serializer),
            Value::String(v) => serializer.serialize_str(v),
            Value::StringList(l) => l.values.serialize(serializer),
            Value::Bytes(v) => serializer.serialize_str(&hex(v)),
            Value::BytesList(l) => serializer.collect_seq(l.values.iter().map(|v| hex(v))),
        }
    }
}

struct Double(f64);

impl Serialize for Double {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() { serializer.serialize_f64(self.0) } else { serializer.collect_str(&self.0) }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

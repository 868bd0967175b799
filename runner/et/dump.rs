//! Shows what is in a trace file, as text for people or as JSON, one node after the other whatever the file's size.
//!
//! Knows the file format only: it shows traces that no simulator would accept. Text from the file is escaped.

use std::fmt::Write as _;
use std::io::{self, Write};

use astra_engine::CollectiveType;
use serde_json::{Value as Json, json};

use super::reader::Reader;
use super::schema::attribute::Value;
use super::schema::{Attribute, Node, NodeType, Tensors, names};
use crate::{Error, ErrorKind, Result};

/// How a trace is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DumpFormat {
    /// A header, then one line per node; long texts are cut.
    Text,
    /// One JSON object with one line per node; nothing is cut.
    Json,
    /// One JSON object per line, the metadata first; nothing is cut.
    JsonLines,
}

/// Texts longer than this many characters are cut in [`DumpFormat::Text`].
const LONGEST_TEXT: usize = 120;

/// Shows a trace. When whoever reads the output has gone away, stops without an error.
///
/// # Errors
/// The trace is damaged (what comes before the damage is shown), or the output cannot be written.
pub fn dump(trace: Reader<'_>, format: DumpFormat, out: &mut impl Write) -> Result<()> {
    let written = match format {
        DumpFormat::Text => dump_text(trace, out),
        DumpFormat::Json => dump_json(trace, out),
        DumpFormat::JsonLines => dump_json_lines(trace, out),
    };
    match written {
        Ok(()) => Ok(()),
        Err(Failure::Trace(error)) => Err(error),
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(Failure::Output(error)) => {
            Err(Error::new(ErrorKind::System, format!("cannot write the dump: {error}")))
        }
    }
}

enum Failure {
    Trace(Error),
    Output(io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Trace(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

fn dump_text(mut trace: Reader<'_>, out: &mut impl Write) -> Result<(), Failure> {
    writeln!(out, "file: {}", trace.file().escape_debug())?;
    writeln!(out, "version: {}", quoted(&trace.metadata().version))?;
    for attribute in &trace.metadata().attributes {
        writeln!(out, "{}", attribute_text(attribute))?;
    }
    let mut nodes = 0_u64;
    for node in &mut trace {
        writeln!(out, "{}", node_text(&node?))?;
        nodes += 1;
    }
    writeln!(out, "nodes: {nodes}")?;
    out.flush()?;
    Ok(())
}

fn dump_json(mut trace: Reader<'_>, out: &mut impl Write) -> Result<(), Failure> {
    let metadata = trace.metadata();
    let attributes: Vec<_> = metadata.attributes.iter().map(attribute_json).collect();
    writeln!(out, "{{\"file\": {},", json!(trace.file()))?;
    writeln!(out, " \"version\": {}, \"attributes\": {},", json!(metadata.version), json!(attributes))?;
    write!(out, " \"nodes\": [")?;
    let mut separator = "";
    for node in &mut trace {
        write!(out, "{separator}\n  {}", node_json(&node?))?;
        separator = ",";
    }
    writeln!(out, "\n]}}")?;
    out.flush()?;
    Ok(())
}

fn dump_json_lines(mut trace: Reader<'_>, out: &mut impl Write) -> Result<(), Failure> {
    let metadata = trace.metadata();
    let attributes: Vec<_> = metadata.attributes.iter().map(attribute_json).collect();
    let head = json!({ "file": trace.file(), "version": metadata.version, "attributes": attributes });
    writeln!(out, "{head}")?;
    for node in &mut trace {
        writeln!(out, "{}", node_json(&node?))?;
    }
    out.flush()?;
    Ok(())
}

/// The type's name, or its number when the schema does not know it.
pub(super) fn kind_name(node: &Node) -> String {
    match NodeType::try_from(node.kind) {
        Ok(NodeType::Invalid) => "invalid".to_owned(),
        Ok(NodeType::Metadata) => "metadata".to_owned(),
        Ok(NodeType::MemoryLoad) => "memory_load".to_owned(),
        Ok(NodeType::MemoryStore) => "memory_store".to_owned(),
        Ok(NodeType::Compute) => "compute".to_owned(),
        Ok(NodeType::Send) => "send".to_owned(),
        Ok(NodeType::Recv) => "recv".to_owned(),
        Ok(NodeType::Collective) => "collective".to_owned(),
        Err(_) => format!("type {}", node.kind),
    }
}

fn node_text(node: &Node) -> String {
    let mut text = format!("{} {} {}", node.id, kind_name(node), quoted(&node.name));
    // Writing to a string cannot fail, so the results below carry nothing.
    if node.start_time_micros > 0 {
        let _ = write!(text, " start={}us", node.start_time_micros);
    }
    if node.duration_micros > 0 || node.kind == NodeType::Compute as i32 {
        let _ = write!(text, " duration={}us", node.duration_micros);
    }
    for (label, deps) in [("control", &node.control_deps), ("data", &node.data_deps)] {
        if !deps.is_empty() {
            let _ = write!(text, " {label}_deps={deps:?}");
        }
    }
    for (label, tensors) in [("inputs", &node.inputs), ("outputs", &node.outputs)] {
        if let Some(Tensors { values, shapes, types }) = tensors {
            let _ = write!(text, " {label}=({}, {}, {})", quoted(values), quoted(shapes), quoted(types));
        }
    }
    for attribute in &node.attributes {
        let _ = write!(text, " {}", attribute_text(attribute));
        if let Some(kind) = collective_name(attribute) {
            let _ = write!(text, " ({kind})");
        }
    }
    text
}

/// What a `comm_type` stands for; writers use several integer kinds.
pub(super) fn collective_name(attribute: &Attribute) -> Option<CollectiveType> {
    let number = match attribute.value.as_ref().filter(|_| attribute.name == names::COMM_TYPE)? {
        Value::Int64(v) => u64::try_from(*v).ok()?,
        Value::Int32(v) => u64::try_from(*v).ok()?,
        Value::Uint64(v) => *v,
        Value::Uint32(v) => u64::from(*v),
        _ => return None,
    };
    CollectiveType::from_chakra(number)
}

fn attribute_text(attribute: &Attribute) -> String {
    let value = match &attribute.value {
        Some(Value::String(text)) => quoted(text),
        Some(value) => shortened(&value_json(value).to_string()),
        None => "(no value)".to_owned(),
    };
    format!("{}={value}", attribute.name.escape_debug())
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", shortened(&text.escape_debug().to_string()))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}

fn node_json(node: &Node) -> Json {
    let mut object = json!({
        "id": node.id,
        "name": node.name,
        "type": kind_name(node),
        "duration_micros": node.duration_micros,
        "control_deps": node.control_deps,
        "data_deps": node.data_deps,
        "attributes": node.attributes.iter().map(attribute_json).collect::<Vec<_>>(),
    });
    if node.start_time_micros > 0 {
        object["start_time_micros"] = json!(node.start_time_micros);
    }
    for (label, tensors) in [("inputs", &node.inputs), ("outputs", &node.outputs)] {
        if let Some(Tensors { values, shapes, types }) = tensors {
            object[label] = json!({ "values": values, "shapes": shapes, "types": types });
        }
    }
    object
}

fn attribute_json(attribute: &Attribute) -> Json {
    let (kind, value) = match &attribute.value {
        Some(value) => (json!(value.kind_name()), value_json(value)),
        None => (Json::Null, Json::Null),
    };
    let mut object = json!({ "name": attribute.name, "kind": kind, "value": value });
    if !attribute.doc_string.is_empty() {
        object["doc_string"] = json!(attribute.doc_string);
    }
    object
}

/// A value as JSON; bytes as hexadecimal text, and numbers that JSON does not have as text.
pub(super) fn value_json(value: &Value) -> Json {
    match value {
        Value::Double(v) => double(*v),
        Value::DoubleList(l) => l.values.iter().map(|v| double(*v)).collect(),
        Value::Float(v) => double(f64::from(*v)),
        Value::FloatList(l) => l.values.iter().map(|v| double(f64::from(*v))).collect(),
        Value::Int32(v) | Value::Sint32(v) | Value::Sfixed32(v) => json!(v),
        Value::Int64(v) | Value::Sint64(v) | Value::Sfixed64(v) => json!(v),
        Value::Uint32(v) | Value::Fixed32(v) => json!(v),
        Value::Uint64(v) | Value::Fixed64(v) => json!(v),
        Value::Int32List(l) => json!(l.values),
        Value::Sint32List(l) => json!(l.values),
        Value::Sfixed32List(l) => json!(l.values),
        Value::Int64List(l) => json!(l.values),
        Value::Sint64List(l) => json!(l.values),
        Value::Sfixed64List(l) => json!(l.values),
        Value::Uint32List(l) => json!(l.values),
        Value::Fixed32List(l) => json!(l.values),
        Value::Uint64List(l) => json!(l.values),
        Value::Fixed64List(l) => json!(l.values),
        Value::Bool(v) => json!(v),
        Value::BoolList(l) => json!(l.values),
        Value::String(v) => json!(v),
        Value::StringList(l) => json!(l.values),
        Value::Bytes(v) => json!(hex(v)),
        Value::BytesList(l) => l.values.iter().map(|v| json!(hex(v))).collect(),
    }
}

fn double(value: f64) -> Json {
    if value.is_finite() { json!(value) } else { json!(value.to_string()) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::et::Writer;

    fn trace(nodes: &[Node]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new()).unwrap();
        nodes.iter().for_each(|n| writer.node(n).unwrap());
        writer.finish().unwrap()
    }

    fn shown(bytes: &[u8], format: DumpFormat) -> (String, Result<()>) {
        let mut out = Vec::new();
        let result = dump(Reader::from_bytes("x.0.et", bytes).unwrap(), format, &mut out);
        (String::from_utf8(out).unwrap(), result)
    }

    #[test]
    fn text_has_a_header_a_line_per_node_and_a_count() {
        let nodes = [
            Node::compute(0, "mul", 7),
            Node::collective(1, "sum", CollectiveType::AllReduce, 4096, Some(3)).after([0]),
        ];
        let (text, result) = shown(&trace(&nodes), DumpFormat::Text);
        result.unwrap();
        let expected = "file: x.0.et\n\
                        version: \"0.0.4\"\n\
                        0 compute \"mul\" duration=7us is_cpu_op=false\n\
                        1 collective \"sum\" control_deps=[0] is_cpu_op=false comm_type=0 (all_reduce) \
                        comm_size=4096 pg_name=\"3\"\n\
                        nodes: 2\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn json_is_one_document_with_every_kind_of_value() {
        let mut node = Node::send(u64::MAX, "s\n", 1, 10, 2);
        node.kind = 99;
        node.attributes.push(Attribute::new("nan", Value::Double(f64::NAN)));
        node.attributes.push(Attribute::new("raw", Value::Bytes(vec![0, 255])));
        let (text, result) = shown(&trace(&[node.clone(), node]), DumpFormat::Json);
        result.unwrap();
        let document: Json = serde_json::from_str(&text).unwrap();
        let node = &document["nodes"][1];
        assert_eq!(node["id"], json!(u64::MAX));
        assert_eq!(node["type"], "type 99");
        assert_eq!(node["attributes"][4], json!({ "name": "nan", "kind": "double", "value": "NaN" }));
        assert_eq!(node["attributes"][5]["value"], "00ff");
    }

    #[test]
    fn json_lines_are_the_metadata_and_then_what_json_has_as_nodes() {
        let bytes = trace(&[Node::compute(0, "a", 1), Node::send(7, "b", 1, 2, 3).after([0])]);
        let (document, (lines, result)) =
            (shown(&bytes, DumpFormat::Json).0, shown(&bytes, DumpFormat::JsonLines));
        result.unwrap();
        let document: Json = serde_json::from_str(&document).unwrap();
        let lines: Vec<Json> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0], json!({ "file": "x.0.et", "version": "0.0.4", "attributes": [] }));
        assert_eq!(Json::from(lines[1..].to_vec()), document["nodes"]);
    }

    #[test]
    fn text_from_the_file_cannot_reach_the_terminal_unescaped_and_is_cut() {
        let mut node = Node::compute(0, "\u{1b}[2J\n", 1);
        node.attributes.push(Attribute::new("a\u{7}", Value::String("é".repeat(500))));
        let (text, _) = shown(&trace(&[node]), DumpFormat::Text);
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{text}");
        assert_eq!(text.lines().count(), 4);
        assert!(text.contains("… (1000 bytes)"), "{text}");
    }

    #[test]
    fn what_comes_before_the_damage_is_shown() {
        let mut bytes = trace(&[Node::compute(0, "whole", 1)]);
        bytes.push(200);
        let (text, result) = shown(&bytes, DumpFormat::Text);
        assert!(text.contains("whole"));
        assert!(result.unwrap_err().to_string().contains("truncated"));
    }

    #[test]
    fn a_reader_that_leaves_early_is_no_failure() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let bytes = trace(&[]);
        dump(Reader::from_bytes("x", &bytes).unwrap(), DumpFormat::Json, &mut Gone).unwrap();
    }
}

//! Shows what is in a trace file, as text for people or as JSON, one node after the other whatever the file's size.
//!
//! Knows the file format only: it shows traces that no simulator would accept. Text from the file is escaped.

mod json;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use astra_engine::CollectiveType;
use serde_json::json;

pub(super) use json::ValueJson;
use json::{AttributesJson, NodeJson};

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
    let mut text = String::new();
    writeln!(out, "file: {}", trace.file().escape_debug())?;
    push_quoted(&mut text, &trace.metadata().version);
    writeln!(out, "version: {text}")?;
    for attribute in &trace.metadata().attributes {
        text.clear();
        push_attribute(&mut text, attribute);
        writeln!(out, "{text}")?;
    }
    let mut nodes = 0_u64;
    for node in &mut trace {
        text.clear();
        push_node(&mut text, &node?);
        text.push('\n');
        out.write_all(text.as_bytes())?;
        nodes += 1;
    }
    writeln!(out, "nodes: {nodes}")?;
    out.flush()?;
    Ok(())
}

fn dump_json(mut trace: Reader<'_>, out: &mut impl Write) -> Result<(), Failure> {
    let metadata = trace.metadata();
    let (version, attributes) = (json!(metadata.version), json!(AttributesJson(&metadata.attributes)));
    writeln!(out, "{{\"file\": {},", json!(trace.file()))?;
    writeln!(out, " \"version\": {version}, \"attributes\": {attributes},")?;
    write!(out, " \"nodes\": [")?;
    let mut line = Vec::new();
    let mut separator = "";
    for node in &mut trace {
        line.clear();
        line.extend_from_slice(separator.as_bytes());
        line.extend_from_slice(b"\n  ");
        push_json(&mut line, &node?)?;
        out.write_all(&line)?;
        separator = ",";
    }
    writeln!(out, "\n]}}")?;
    out.flush()?;
    Ok(())
}

fn dump_json_lines(mut trace: Reader<'_>, out: &mut impl Write) -> Result<(), Failure> {
    let metadata = trace.metadata();
    let attributes = AttributesJson(&metadata.attributes);
    let head = json!({ "file": trace.file(), "version": metadata.version, "attributes": attributes });
    writeln!(out, "{head}")?;
    let mut line = Vec::new();
    for node in &mut trace {
        line.clear();
        push_json(&mut line, &node?)?;
        line.push(b'\n');
        out.write_all(&line)?;
    }
    out.flush()?;
    Ok(())
}

fn push_json(line: &mut Vec<u8>, node: &Node) -> io::Result<()> {
    serde_json::to_writer(line, &NodeJson(node)).map_err(io::Error::from)
}

/// The type's name, or its number when the schema does not know it.
pub(super) fn kind_name(node: &Node) -> Cow<'static, str> {
    Cow::Borrowed(match NodeType::try_from(node.kind) {
        Ok(NodeType::Invalid) => "invalid",
        Ok(NodeType::Metadata) => "metadata",
        Ok(NodeType::MemoryLoad) => "memory_load",
        Ok(NodeType::MemoryStore) => "memory_store",
        Ok(NodeType::Compute) => "compute",
        Ok(NodeType::Send) => "send",
        Ok(NodeType::Recv) => "recv",
        Ok(NodeType::Collective) => "collective",
        Err(_) => return Cow::Owned(format!("type {}", node.kind)),
    })
}

/// Appends what is formatted; a string takes everything.
macro_rules! push {
    ($text:expr, $($format:tt)*) => {
        $text.write_fmt(format_args!($($format)*)).expect("a string takes everything")
    };
}

fn push_node(text: &mut String, node: &Node) {
    push!(text, "{} {} ", node.id, kind_name(node));
    push_quoted(text, &node.name);
    if node.start_time_micros > 0 {
        push!(text, " start={}us", node.start_time_micros);
    }
    if node.duration_micros > 0 || node.kind == NodeType::Compute as i32 {
        push!(text, " duration={}us", node.duration_micros);
    }
    for (label, deps) in [(" control_deps=[", &node.control_deps), (" data_deps=[", &node.data_deps)] {
        for (at, dep) in deps.iter().enumerate() {
            text.push_str(if at == 0 { label } else { ", " });
            push!(text, "{dep}");
        }
        text.push_str(if deps.is_empty() { "" } else { "]" });
    }
    for (label, tensors) in [(" inputs=", &node.inputs), (" outputs=", &node.outputs)] {
        if let Some(Tensors { values, shapes, types }) = tensors {
            for (before, tensor) in [(label, values), (", ", shapes), (", ", types)] {
                text.push_str(before);
                text.push_str(if before == label { "(" } else { "" });
                push_quoted(text, tensor);
            }
            text.push(')');
        }
    }
    for attribute in &node.attributes {
        text.push(' ');
        push_attribute(text, attribute);
        if let Some(kind) = collective_name(attribute) {
            push!(text, " ({kind})");
        }
    }
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

fn push_attribute(text: &mut String, attribute: &Attribute) {
    match is_plain(&attribute.name) {
        true => text.push_str(&attribute.name),
        false => push!(text, "{}", attribute.name.escape_debug()),
    }
    text.push('=');
    match &attribute.value {
        Some(Value::String(value)) => push_quoted(text, value),
        Some(Value::Bool(value)) => push!(text, "{value}"),
        Some(Value::Int32(value)) => push!(text, "{value}"),
        Some(Value::Int64(value)) => push!(text, "{value}"),
        Some(value) => push_shortened(text, &json!(ValueJson(value)).to_string()),
        None => text.push_str("(no value)"),
    }
}

fn push_quoted(text: &mut String, value: &str) {
    text.push('"');
    if value.len() <= LONGEST_TEXT && is_plain(value) {
        text.push_str(value);
    } else {
        push_shortened(text, &value.escape_debug().to_string());
    }
    text.push('"');
}

/// Whether a text is the same escaped.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\'' | b'\\'))
}

fn push_shortened(text: &mut String, value: &str) {
    match value.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => push!(text, "{}… ({} bytes)", &value[..end], value.len()),
        None => text.push_str(value),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

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

//! Reads `astra-graph` JSON as a stream: a node is in the flat arrays before the next one is looked at.
//!
//! Memory grows with the graph, not with its text. What is wrong is reported with file, line, column and key path.
//! The format: `docs/graph-format.md`; `astra-graph.schema.json` is held to this reader by tests.

use std::fmt;
use std::io::Read;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Deserializer, Value as Json};

use super::builder::Builder;
use super::layout::Layout;
use super::model::Graph;
use super::read_node::NodeSeed;
use super::read_value::{Info, Known, NodeList, WholeNumber};
use crate::error::json_message;
use crate::et::reader::{damaged_gzip, plain_stream};
use crate::{Error, Result};

/// The version of the format that this reader knows.
pub(super) const GRAPH_FORMAT: u32 = 1;

const FORMAT_HINT: &str = "the format is described in docs/graph-format.md";

/// What to do with a file that is something else.
const NO_GRAPH_HINT: &str = "contrib/deepflow/export_graph.py writes graphs from a run of DeepFlow; the format is described in \
     docs/graph-format.md, and hardware YAML belongs under `hw` of a recipe";

/// The keys of a graph file.
pub(super) const DOCUMENT_KEYS: &[&str] =
    &["$schema", "astra_graph", "description", "info", "layout", "nodes", "replicas", "roots"];

/// The keys of a layout, and of one of its axes.
pub(super) const LAYOUT_KEYS: &[&str] = &["axes", "span"];
pub(super) const AXIS_KEYS: &[&str] = &["axis", "size", "stride"];

impl Graph {
    /// Reads a graph from a stream, plain or gzip; `file` is the name that errors mention.
    ///
    /// # Errors
    /// The stream cannot be read, is not a graph file, or is not a graph: see `docs/graph-format.md`.
    pub fn read(stream: impl Read, file: &str) -> Result<Self> {
        document(&mut Deserializer::from_reader(plain_stream(file, stream)?), file)
    }

    /// Reads a graph from bytes in memory; `file` is the name that errors mention.
    ///
    /// # Errors
    /// As for [`Graph::read`].
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self> {
        document(&mut Deserializer::from_slice(bytes), file)
    }
}

fn document<'de, R: serde_json::de::Read<'de>>(json: &mut Deserializer<R>, file: &str) -> Result<Graph> {
    let mut reading = Reading::new();
    let read =
        de::Deserializer::deserialize_map(&mut *json, Document(&mut reading)).and_then(|()| json.end());
    match read {
        Ok(()) => reading.finish().map_err(|error| error.in_file(file)),
        Err(error) => Err(reading.explain(error).in_file(file)),
    }
}

/// A graph file as far as it has been read.
pub(super) struct Reading {
    pub(super) builder: Builder,
    /// Where the reader is.
    pub(super) place: Place,
    /// The error behind the one that the parser reports, if it is ours.
    refused: Option<Error>,
    format: Option<u32>,
    replicas: Option<u32>,
    layout: Option<Layout>,
    roots: Option<Vec<u32>>,
    has_nodes: bool,
}

/// A key path: a key of the file, or a node and one of its keys, and an item of a list.
#[derive(Default)]
pub(super) struct Place {
    pub(super) node: Option<usize>,
    pub(super) key: &'static str,
    pub(super) item: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.node {
            Some(node) if self.key.is_empty() => write!(f, "nodes[{node}]")?,
            Some(node) => write!(f, "nodes[{node}].{}", self.key)?,
            None => f.write_str(self.key)?,
        }
        self.item.map_or(Ok(()), |item| write!(f, "[{item}]"))
    }
}

impl Reading {
    fn new() -> Self {
        Self {
            builder: Builder::new(),
            place: Place::default(),
            refused: None,
            format: None,
            replicas: None,
            layout: None,
            roots: None,
            has_nodes: false,
        }
    }

    /// Remembers an error, and gives one that stops the parser.
    pub(super) fn refuse<E: de::Error>(&mut self, error: Error) -> E {
        let stop = E::custom(error.message());
        self.refused = Some(error);
        stop
    }

    /// The error of the parser with its place, or the one that made it stop.
    fn explain(&mut self, error: serde_json::Error) -> Error {
        let (line, column) = (error.line(), error.column());
        let place = self.place.to_string();
        let nothing_read = place.is_empty() && self.format.is_none() && !self.has_nodes;
        if error.is_eof() && nothing_read && column == 0 {
            return Error::input("there is nothing in it, expected a graph as JSON").hint(NO_GRAPH_HINT);
        }
        let message = json_message(&error);
        let ours = self.refused.take().unwrap_or_else(|| match error.classify() {
            Category::Io => damaged_gzip(&error.into()).unwrap_or_else(|| Error::input(message)),
            Category::Eof => Error::input(format!("the file ends too early: {message}"))
                .hint("make the file again, or copy it again: what is here is not all of it"),
            Category::Syntax if nothing_read => {
                let expected = "expected a graph, which is a JSON object with `astra_graph` and `nodes`";
                Error::input(format!("this is not JSON ({message}); {expected}"))
            }
            Category::Syntax => Error::input(format!("not valid JSON: {message}")),
            Category::Data => Error::input(message),
        });
        let ours = ours.hint(if nothing_read { NO_GRAPH_HINT } else { FORMAT_HINT });
        let ours = if line > 0 { ours.at(line as u64, column as u64) } else { ours };
        if place.is_empty() { ours } else { ours.key(place) }
    }

    fn finish(self) -> Result<Graph> {
        let missing = |key: &str, what: &str| Err(Error::input(format!("missing: {what}")).key(key));
        if self.format.is_none() {
            return missing("astra_graph", "the version of the format, 1, is needed here");
        }
        if !self.has_nodes {
            return missing("nodes", "a list of nodes is needed here");
        }
        self.builder.finish(self.replicas.unwrap_or(1), self.layout, self.roots)
    }

    fn value<'de, A: MapAccess<'de>>(&mut self, key: &'static str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "astra_graph" => {
                let found = map.next_value_seed(WholeNumber::up_to(u32::MAX, "the version of the format"))?;
                self.format = Some(found);
                if found != GRAPH_FORMAT {
                    let message = format!("format {found}, expected {GRAPH_FORMAT}");
                    return Err(self.refuse(Error::input(message)));
                }
            }
            "replicas" => {
                let what = "the number of replicas";
                self.replicas = Some(map.next_value_seed(WholeNumber::up_to(u32::MAX, what))?);
            }
            "roots" => {
                let mut roots = Vec::new();
                map.next_value_seed(NodeList { reading: self, add: |_: &mut Self, root| roots.push(root) })?;
                self.roots = Some(roots);
            }
            "nodes" => {
                self.has_nodes = true;
                map.next_value_seed(Nodes(self))?;
            }
            "layout" => {
                let read = read_layout(&map.next_value()?).map_err(|error| error.under("layout"));
                self.layout = Some(read.map_err(|error| self.refuse(error))?);
            }
            "info" => map.next_value_seed(Info)?,
            _ => drop(map.next_value::<String>()?),
        }
        Ok(())
    }
}

/// The file itself.
struct Document<'a>(&'a mut Reading);

impl<'de> Visitor<'de> for Document<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a graph: an object with `astra_graph` and `nodes`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let reading = self.0;
        let mut seen: Vec<&str> = Vec::new();
        while let Some(index) = map.next_key_seed(Known { keys: DOCUMENT_KEYS, reading })? {
            let key = DOCUMENT_KEYS[index];
            reading.place = Place { key, ..Place::default() };
            if seen.contains(&key) {
                return Err(reading.refuse(Error::input("the key is there twice")));
            }
            seen.push(key);
            reading.value(key, &mut map)?;
            reading.place = Place::default();
        }
        Ok(())
    }
}

/// The list of nodes.
struct Nodes<'a>(&'a mut Reading);

impl<'de> DeserializeSeed<'de> for Nodes<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Nodes<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of nodes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let reading = self.0;
        let mut seed = NodeSeed::new();
        loop {
            reading.place = Place { node: Some(reading.builder.current()), ..Place::default() };
            if reading.builder.current() >= u32::MAX as usize {
                return Err(reading.refuse(Error::input("more than 2^32 - 1 nodes")));
            }
            if list.next_element_seed(seed.with(reading))?.is_none() {
                return Ok(());
            }
        }
    }
}

/// Reads the layout, which is small enough for a tree of values.
fn read_layout(json: &Json) -> Result<Layout> {
    let fields = known_fields(json, LAYOUT_KEYS)?;
    let Some(Json::Array(axes)) = fields.get("axes") else {
        return Err(Error::input("missing: a list of axes is needed here").key("axes"));
    };
    let axes = (0..).zip(axes).map(|(index, axis): (usize, _)| {
        read_axis(axis).map_err(|error| error.under(&format!("axes[{index}]")))
    });
    let axes = axes.collect::<Result<Vec<_>>>()?;
    let layout = Layout::new(axes.iter().map(|axis| (axis.name.clone(), axis.size)).collect())?;
    let mut stride = 1;
    for (index, axis) in axes.iter().enumerate() {
        if let Some(found) = axis.stride.filter(|found| *found != stride) {
            let message = format!("found {found}, expected {stride}, the product of the sizes before it");
            return Err(Error::input(message).key(format!("axes[{index}].stride")));
        }
        stride *= axis.size;
    }
    match fields.get("span") {
        Some(span) if span.as_u64() != Some(u64::from(layout.span())) => {
            let message = format!("found {span}, expected {}, the product of all sizes", layout.span());
            Err(Error::input(message).key("span"))
        }
        _ => Ok(layout),
    }
}

/// An axis as it is written.
struct Axis {
    name: String,
    size: u32,
    stride: Option<u32>,
}

fn read_axis(json: &Json) -> Result<Axis> {
    let fields = known_fields(json, AXIS_KEYS)?;
    let number = |key: &str| match fields.get(key) {
        None => Ok(None),
        Some(found) => found.as_u64().and_then(|n| u32::try_from(n).ok()).map(Some).ok_or_else(|| {
            Error::input(format!("found {found}, expected a whole number from 1 to {}", u32::MAX)).key(key)
        }),
    };
    let name = match fields.get("axis") {
        Some(Json::String(name)) => name.clone(),
        Some(other) => return Err(Error::input(format!("found {other}, expected text")).key("axis")),
        None => return Err(Error::input("missing: the name of the axis is needed here").key("axis")),
    };
    let size = number("size")?
        .ok_or_else(|| Error::input("missing: the size of the axis is needed here").key("size"))?;
    Ok(Axis { name, size, stride: number("stride")? })
}

fn known_fields<'a>(json: &'a Json, known: &[&str]) -> Result<&'a serde_json::Map<String, Json>> {
    let Json::Object(fields) = json else {
        return Err(Error::input(format!("found {json}, expected an object")));
    };
    match fields.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(fields),
        Some(key) => Err(unknown_key(key, known)),
    }
}

/// The error for a key that the format does not have.
pub(super) fn unknown_key(key: &str, known: &[&str]) -> Error {
    let message = format!("unknown key `{}`, expected one of {}", key.escape_debug(), known.join(", "));
    Error::input(message).suggest(key, known.iter().copied())
}

//! Reads one node of a graph file.

use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, Visitor};

use super::model::{AxisId, Kind, Seconds, Work};
use super::read::Reading;
use super::read_value::{ByteCount, Info, Known, NodeList, Text, Times, TimesFound, WholeNumber};
use crate::et::build::COLLECTIVES;
use crate::{Error, Result};

/// The keys of a node, in the order of [`Key`].
pub(super) const NODE_KEYS: &[&str] = &[
    "type",
    "name",
    "op",
    "parents",
    "children",
    "info",
    "hw",
    "seconds",
    "placeholder",
    "kind",
    "bytes",
    "participants",
    "axis",
];

/// The types of nodes.
pub(super) const NODE_TYPES: [&str; 3] = ["compute", "communication", "join"];

/// The kinds of communication that are no collectives.
pub(super) const TRANSFER: &str = "pipeline";
pub(super) const NOTHING: &str = "none";

/// Tags are signed 32-bit numbers, and so are operation numbers and hardware ids.
const MAX_NUMBER: u32 = i32::MAX as u32;

/// A key of a node; those up to `Info` are for every type.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Type,
    Name,
    Op,
    Parents,
    Children,
    Info,
    Hw,
    Seconds,
    Placeholder,
    Kind,
    Bytes,
    Participants,
    Axis,
}

impl Key {
    const ALL: [Self; NODE_KEYS.len()] = [
        Self::Type,
        Self::Name,
        Self::Op,
        Self::Parents,
        Self::Children,
        Self::Info,
        Self::Hw,
        Self::Seconds,
        Self::Placeholder,
        Self::Kind,
        Self::Bytes,
        Self::Participants,
        Self::Axis,
    ];

    fn name(self) -> &'static str {
        NODE_KEYS[self as usize]
    }

    /// Whether a type of node, by its position in [`NODE_TYPES`], has this key.
    fn belongs_to(self, node_type: usize) -> bool {
        match self {
            Self::Hw => node_type < 2,
            Self::Seconds | Self::Placeholder => node_type == 0,
            Self::Kind | Self::Bytes | Self::Participants | Self::Axis => node_type == 1,
            _ => true,
        }
    }
}

/// The keys of a type of node, for the test that compares them with the schema.
#[cfg(test)]
pub(super) fn keys_of(node_type: usize) -> Vec<&'static str> {
    Key::ALL.into_iter().filter(|key| key.belongs_to(node_type)).map(Key::name).collect()
}

/// What has been read of a node; kept for its memory.
pub(super) struct NodeSeed {
    /// One bit for every key that is there.
    given: u16,
    node_type: String,
    name: String,
    kind: String,
    axis_name: String,
    op: u32,
    hw: Option<u32>,
    seconds: Option<Seconds>,
    placeholder: bool,
    bytes: u64,
    participants: Option<u32>,
    axis: Option<AxisId>,
}

impl NodeSeed {
    pub(super) const fn new() -> Self {
        Self {
            given: 0,
            node_type: String::new(),
            name: String::new(),
            kind: String::new(),
            axis_name: String::new(),
            op: 0,
            hw: None,
            seconds: None,
            placeholder: false,
            bytes: 0,
            participants: None,
            axis: None,
        }
    }

    /// Ready for the next node of a file.
    pub(super) fn with<'a>(&'a mut self, reading: &'a mut Reading) -> NodeVisitor<'a> {
        self.given = 0;
        (self.hw, self.seconds, self.participants, self.axis) = (None, None, None, None);
        self.placeholder = false;
        NodeVisitor { node: self, reading }
    }

    fn has(&self, key: Key) -> bool {
        self.given & (1 << key as u16) != 0
    }

    /// Reads the value of a key.
    fn value<'de, A: MapAccess<'de>>(
        &mut self,
        key: Key,
        map: &mut A,
        reading: &mut Reading,
    ) -> Result<(), A::Error> {
        let number = |what| WholeNumber::up_to(MAX_NUMBER, what);
        match key {
            Key::Type => map.next_value_seed(Text(&mut self.node_type))?,
            Key::Name => map.next_value_seed(Text(&mut self.name))?,
            Key::Op => self.op = map.next_value_seed(number("the number of the operation"))?,
            Key::Parents => {
                map.next_value_seed(NodeList {
                    reading,
                    add: |r: &mut Reading, node| r.builder.parent(node),
                })?;
            }
            Key::Children => {
                reading.builder.has_children();
                map.next_value_seed(NodeList {
                    reading,
                    add: |r: &mut Reading, node| r.builder.child(node),
                })?;
            }
            Key::Info => map.next_value_seed(Info)?,
            Key::Hw => self.hw = Some(map.next_value_seed(number("a hardware id"))?),
            Key::Seconds => {
                let first = u32::try_from(reading.builder.profile_position())
                    .map_err(|_| reading.refuse(Error::input("more than 2^32 entries in all profiles")))?;
                self.seconds = Some(match map.next_value_seed(Times(reading))? {
                    TimesFound::One(seconds) => Seconds::Same(seconds),
                    TimesFound::List => Seconds::Profile(first),
                });
            }
            Key::Placeholder => self.placeholder = map.next_value()?,
            Key::Kind => map.next_value_seed(Text(&mut self.kind))?,
            Key::Bytes => self.bytes = map.next_value_seed(ByteCount)?,
            Key::Participants => {
                self.participants = Some(map.next_value_seed(number("the number of participants"))?);
            }
            Key::Axis => {
                map.next_value_seed(Text(&mut self.axis_name))?;
                let axis = reading.builder.axis(&self.axis_name);
                self.axis = Some(axis.map_err(|message| reading.refuse(Error::input(message)))?);
            }
        }
        Ok(())
    }

    /// What the node does, when all of it has been read.
    fn work(&self, reading: &mut Reading) -> Result<Work> {
        let Some(node_type) = NODE_TYPES.iter().position(|name| *name == self.node_type) else {
            let found = self.node_type.escape_debug();
            let message = format!("found `{found}`, expected one of {}", NODE_TYPES.join(", "));
            return Err(Error::input(message).key("type").suggest(&self.node_type, NODE_TYPES));
        };
        if let Some(key) = Key::ALL.into_iter().find(|key| self.has(*key) && !key.belongs_to(node_type)) {
            let message = format!("a node of type {} has no such key", NODE_TYPES[node_type]);
            return Err(Error::input(message).key(key.name()));
        }
        match node_type {
            0 => {
                let seconds =
                    self.seconds.ok_or_else(|| missing(Key::Seconds, "how long the node computes"))?;
                Ok(Work::Compute { hw: self.hw, seconds, placeholder: self.placeholder })
            }
            1 => {
                self.require(Key::Kind, "the kind of communication")?;
                self.require(Key::Bytes, "the number of bytes")?;
                let kind = self.kind(reading)?;
                let (bytes, participants, axis, hw) = (self.bytes, self.participants, self.axis, self.hw);
                Ok(Work::Communication { kind, bytes, participants, axis, hw })
            }
            _ => Ok(Work::Join),
        }
    }

    fn kind(&self, reading: &mut Reading) -> Result<Kind> {
        if let Some(collective) = COLLECTIVES.into_iter().find(|c| c.as_str() == self.kind) {
            return Ok(Kind::Collective(collective));
        }
        match self.kind.as_str() {
            TRANSFER => Ok(Kind::Transfer),
            NOTHING => Ok(Kind::Nothing),
            "" => Err(Error::input("empty text, expected a kind of communication").key("kind")),
            unknown => {
                let id = reading.builder.unknown_kind(unknown);
                id.map(Kind::Unknown).map_err(|message| Error::input(message).key("kind"))
            }
        }
    }

    fn require(&self, key: Key, what: &str) -> Result<()> {
        if self.has(key) { Ok(()) } else { Err(missing(key, what)) }
    }
}

fn missing(key: Key, what: &str) -> Error {
    Error::input(format!("missing: {what} is needed here")).key(key.name())
}

/// A node being read.
pub(super) struct NodeVisitor<'a> {
    node: &'a mut NodeSeed,
    reading: &'a mut Reading,
}

impl<'de> DeserializeSeed<'de> for NodeVisitor<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for NodeVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a node: an object with `type` and `name`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { node, reading } = self;
        while let Some(index) = map.next_key_seed(Known { keys: NODE_KEYS, reading })? {
            let key = Key::ALL[index];
            reading.place.key = key.name();
            if node.has(key) {
                return Err(reading.refuse(Error::input("the key is there twice")));
            }
            node.given |= 1 << key as u16;
            node.value(key, &mut map, reading)?;
            reading.place.key = "";
        }
        let required = node.require(Key::Type, "what the node does").and_then(|()| {
            node.require(Key::Name, "the name of the node")?;
            node.work(reading)
        });
        let path = reading.place.to_string();
        let work = required.map_err(|error| reading.refuse(error.under(&path)))?;
        let op = if node.has(Key::Op) { node.op } else { reading.builder.current() as u32 };
        reading.builder.end_node(&node.name, op, work);
        Ok(())
    }
}

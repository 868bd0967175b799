//! Writes the trace of a rank: the program of its stage, with the peers, tags and durations of its replica.

use artifact_store::SharedBytes;
use std::fmt::Write;

use astra_engine::CollectiveType;

use super::groups::Groups;
use super::mends::Mends;
use super::messages::{Message, Messages};
use super::model::{Graph, NodeIndex, Work};
use super::program::{Program, Step};
use super::roles;
use crate::Result;
use crate::et::bundle::{FileWriter, Summary};
use crate::et::schema::attribute::Value;
use crate::et::schema::{Node, names};

/// Everything that is known before the first file is written.
pub(super) struct Scene<'a> {
    pub(super) graph: &'a Graph,
    pub(super) mends: &'a Mends,
    pub(super) messages: &'a Messages,
    pub(super) programs: &'a [Program],
    pub(super) groups: &'a Groups,
}

impl Scene<'_> {
    /// Writes the trace of a rank.
    pub(super) fn write(&self, rank: usize) -> Result<(SharedBytes, Summary)> {
        let stages = self.programs.len();
        let (replica, stage) = ((rank / stages) as u32, (rank % stages) as u32);
        let program = &self.programs[stage as usize];
        let mut file = FileWriter::new();
        let mut pens = Pens::new();
        for (id, step) in program.steps.iter().enumerate() {
            let node = match *step {
                Step::Compute(node) => self.compute(&mut pens.compute, node, replica),
                Step::Collective(node) => self.collective(&mut pens, node, stage, replica)?,
                Step::Send(message) => {
                    let message = &self.messages.all[message as usize];
                    let peer = (names::COMM_DST, self.rank(message.to, replica));
                    self.message(&mut pens.send, message, "send", peer, replica)
                }
                Step::Receive(message) => {
                    let message = &self.messages.all[message as usize];
                    let peer = (names::COMM_SRC, self.rank(message.from, replica));
                    self.message(&mut pens.receive, message, "recv", peer, replica)
                }
            };
            node.id = id as u64;
            node.control_deps.clear();
            node.control_deps.extend_from_slice(program.dependencies.row(id));
            file.node(node)?;
        }
        Ok(file.finish())
    }

    fn compute<'p>(&self, node: &'p mut Node, task: NodeIndex, replica: u32) -> &'p mut Node {
        let seconds = match self.graph.work(task) {
            Work::Compute { seconds, .. } => self.graph.seconds(seconds, replica),
            _ => 0.0,
        };
        name(node, format_args!("{}_{}", self.graph.name(task), self.graph.op(task)));
        // Traces count whole microseconds; DeepFlow rounds halves to even ones.
        node.duration_micros = (seconds * 1e6).round_ties_even() as u64;
        node
    }

    fn collective<'p>(
        &self,
        pens: &'p mut Pens,
        task: NodeIndex,
        stage: u32,
        replica: u32,
    ) -> Result<&'p mut Node> {
        let node = &mut pens.collective;
        let kind = roles::collective(self.graph, self.mends, task)?.unwrap_or(CollectiveType::AllReduce);
        let bytes = match self.graph.work(task) {
            Work::Communication { bytes, .. } => bytes as i64,
            _ => 0,
        };
        let group = match self.groups.of(task, replica) {
            Some((label, group)) => {
                name(node, format_args!("{label}"));
                group
            }
            None => {
                name(node, format_args!("{}_{}_dp{replica}", self.graph.name(task), self.graph.op(task)));
                stage + 1
            }
        };
        set(node, names::COMM_TYPE, Value::Int64(kind.chakra() as i64));
        set(node, names::COMM_SIZE, Value::Int64(bytes));
        set(node, names::PG_NAME, Value::String(group.to_string()));
        Ok(node)
    }

    fn message<'p>(
        &self,
        node: &'p mut Node,
        message: &Message,
        end: &str,
        (peer_name, peer): (&str, i32),
        replica: u32,
    ) -> &'p mut Node {
        let edge = message.edge.map_or("pipeline", |edge| self.graph.name(edge));
        if message.is_control {
            name(node, format_args!("{edge}_{end}_control"));
        } else {
            name(node, format_args!("{edge}_{end}_dp{replica}"));
        }
        set(node, names::COMM_SIZE, Value::Int64(message.bytes as i64));
        set(node, peer_name, Value::Int32(peer));
        set(node, names::COMM_TAG, Value::Int32(message.tag(replica) as i32));
        node
    }

    /// The rank of a stage on a replica. The number of ranks has been checked.
    fn rank(&self, stage: u32, replica: u32) -> i32 {
        (replica * self.programs.len() as u32 + stage) as i32
    }
}

/// A node of each type, written over and over again: making one anew costs more than encoding it.
struct Pens {
    compute: Node,
    collective: Node,
    send: Node,
    receive: Node,
}

impl Pens {
    fn new() -> Self {
        Self {
            compute: Node::compute(0, "", 0),
            collective: Node::collective(0, "", CollectiveType::AllReduce, 0, Some(0)),
            send: Node::send(0, "", 0, 0, 0),
            receive: Node::recv(0, "", 0, 0, 0),
        }
    }
}

fn name(node: &mut Node, text: std::fmt::Arguments<'_>) {
    node.name.clear();
    node.name.write_fmt(text).expect("a string takes everything");
}

/// Gives an attribute that the node has another value.
fn set(node: &mut Node, name: &str, value: Value) {
    if let Some(attribute) = node.attributes.iter_mut().find(|attribute| attribute.name == name) {
        attribute.value = Some(value);
    }
}

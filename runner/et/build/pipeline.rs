//! A forward pipeline in the manner of GPipe: microbatches pass through a chain of stages, one rank per stage.
//!
//! Each stage receives a microbatch from the stage before, computes, and sends the result on; microbatches in order.

use super::{comm_size, whole_micros};
use crate::et::bundle::{Bundle, FileWriter, check_ranks};
use crate::et::schema::Node;
use crate::{Error, Result};

/// The most messages a pipeline may send: ASTRA-sim takes tags modulo this number, and every message has its own.
pub const MAX_PIPELINE_MESSAGES: u64 = 500_000_000;

/// Microbatches through a chain of stages. One microbatch through two stages without computation is DeepFlow's
/// `pipeline` microbenchmark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// For each stage how long it computes on one microbatch; a multiple of 1000. With 0 it only passes messages on.
    /// There are as many ranks as stages.
    pub compute_ns: Vec<u64>,
    /// How many microbatches pass through; at least one.
    pub microbatches: u32,
    /// Size of the message between two stages for one microbatch.
    pub message_bytes: u64,
}

impl Pipeline {
    /// Writes the traces.
    ///
    /// # Errors
    /// There are no stages or no microbatches or too many of them, a stage would have nothing to do, or a size or time
    /// cannot be expressed; with the key `ranks`, `microbatches`, `size` or `compute`.
    pub fn build(&self) -> Result<Bundle> {
        let stages = self.compute_ns.len() as u64;
        check_ranks(stages)?;
        if self.microbatches == 0 {
            return Err(Error::input("0 microbatches, expected at least one").key("microbatches"));
        }
        // With at most MAX_RANKS stages and a 32-bit number of microbatches the product cannot overflow.
        let messages = (stages - 1) * u64::from(self.microbatches);
        if messages > MAX_PIPELINE_MESSAGES {
            let message = format!(
                "{messages} messages between {stages} stages, more than the {MAX_PIPELINE_MESSAGES} tags there are"
            );
            return Err(Error::input(message).key("microbatches"));
        }
        if self.compute_ns == [0] {
            return Err(Error::input("one stage that computes for 0 ns has nothing to do")
                .key("compute")
                .hint("give it a time, or use at least two ranks"));
        }
        let message_bytes = comm_size(self.message_bytes)?;
        Bundle::of_ranks((0..stages as i32).zip(&self.compute_ns).map(|(rank, compute_ns)| {
            let compute_micros = whole_micros(*compute_ns).map_err(|e| e.key("compute"))?;
            let is_last = rank as u64 == stages - 1;
            let stage =
                Stage { rank, is_last, compute_micros, microbatches: self.microbatches, message_bytes };
            stage.write().map(FileWriter::finish)
        }))
    }
}

/// One rank of a pipeline.
struct Stage {
    rank: i32,
    is_last: bool,
    compute_micros: u64,
    microbatches: u32,
    message_bytes: i64,
}

impl Stage {
    fn write(&self) -> Result<FileWriter> {
        let mut file = FileWriter::new();
        let mut next_id = 0_u64;
        let mut previous_compute = None;
        for microbatch in 0..self.microbatches {
            let mut id = || {
                next_id += 1;
                next_id - 1
            };
            let mut last = None;
            if self.rank > 0 {
                let (recv, src) = (id(), self.rank - 1);
                let tag = self.tag(src, microbatch);
                file.node(&Node::recv(recv, self.name("recv", microbatch), src, self.message_bytes, tag))?;
                last = Some(recv);
            }
            if self.compute_micros > 0 {
                let compute = id();
                let name = self.name("compute", microbatch);
                let after = last.into_iter().chain(previous_compute);
                file.node(&Node::compute(compute, name, self.compute_micros).after(after))?;
                previous_compute = Some(compute);
                last = previous_compute;
            }
            if !self.is_last {
                let (send, dst) = (id(), self.rank + 1);
                let tag = self.tag(self.rank, microbatch);
                let node = Node::send(send, self.name("send", microbatch), dst, self.message_bytes, tag);
                file.node(&node.after(last))?;
            }
        }
        Ok(file)
    }

    /// The tag of the message that stage `src` sends for a microbatch: below [`MAX_PIPELINE_MESSAGES`], so it fits.
    fn tag(&self, src: i32, microbatch: u32) -> i32 {
        src * self.microbatches as i32 + microbatch as i32
    }

    fn name(&self, what: &str, microbatch: u32) -> String {
        if self.microbatches == 1 {
            format!("pipeline_{what}")
        } else {
            format!("pipeline_{what}_{microbatch}")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::et::schema::NodeType;
    use crate::et::{Reader, Value};

    fn pipeline(compute_ns: &[u64], microbatches: u32) -> Pipeline {
        Pipeline { compute_ns: compute_ns.to_vec(), microbatches, message_bytes: 4096 }
    }

    fn nodes(bundle: &Bundle, rank: u32) -> Vec<Node> {
        Reader::from_bytes("p", bundle.file_of(rank).unwrap()).unwrap().map(Result::unwrap).collect()
    }

    fn tags(nodes: &[Node], kind: NodeType) -> Vec<i32> {
        let tag = |n: &Node| match n.attributes.iter().find(|a| a.name == "comm_tag")?.value {
            Some(Value::Int32(tag)) => Some(tag),
            _ => None,
        };
        nodes.iter().filter(|n| n.kind == kind as i32).filter_map(tag).collect()
    }

    #[test]
    fn every_message_has_its_own_tag_and_a_receiver_that_expects_it() {
        let bundle = pipeline(&[1_000; 4], 3).build().unwrap();
        let mut seen = BTreeSet::new();
        for rank in 0..3 {
            let sent = tags(&nodes(&bundle, rank), NodeType::Send);
            assert_eq!(sent, tags(&nodes(&bundle, rank + 1), NodeType::Recv));
            seen.extend(sent);
        }
        assert_eq!(seen.len(), 9);
        assert!(tags(&nodes(&bundle, 3), NodeType::Send).is_empty());
    }

    #[test]
    fn a_stage_computes_on_what_it_received_and_in_order() {
        let middle = nodes(&pipeline(&[1_000, 2_000, 1_000], 2).build().unwrap(), 1);
        let deps: Vec<_> = middle.iter().map(|n| (n.name.as_str(), n.control_deps.clone())).collect();
        let expected = [
            ("pipeline_recv_0", vec![]),
            ("pipeline_compute_0", vec![0]),
            ("pipeline_send_0", vec![1]),
            ("pipeline_recv_1", vec![]),
            ("pipeline_compute_1", vec![3, 1]),
            ("pipeline_send_1", vec![4]),
        ];
        assert_eq!(deps, expected);
    }

    #[test]
    fn stages_that_do_not_compute_pass_messages_on() {
        let bundle = pipeline(&[0, 0, 0], 1).build().unwrap();
        let middle = nodes(&bundle, 1);
        assert_eq!(middle.len(), 2);
        assert_eq!(middle[1].control_deps, [0]);
    }

    #[test]
    fn what_cannot_be_built_names_the_key() {
        for (wanted, start) in [
            (pipeline(&[], 1), "ranks: "),
            (pipeline(&[1_000], 0), "microbatches: "),
            (pipeline(&[0; 3], 250_000_001), "microbatches: "),
            (pipeline(&[0], 1), "compute: "),
            (pipeline(&[0, 1], 1), "compute: "),
            (Pipeline { message_bytes: 0, ..pipeline(&[0, 0], 1) }, "size: "),
        ] {
            let error = wanted.build().unwrap_err();
            assert!(error.to_string().starts_with(start), "{error}");
        }
    }
}

//! Messages between this process and the helper: `proto/policy.proto`, generated while building, and its framing.
//!
//! What arrives may have been written by a plugin that found the pipe: lengths are bounded and everything is checked.

use std::io::{self, Read, Write};

use astra_policy::{
    AlgorithmSet, Collective, CollectiveOptimization, Dialect, NetworkModel, Request, Topology,
};
use prost::Message;

use super::about::About;

#[expect(unreachable_pub, reason = "generated from proto/policy.proto")]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/policy.rs"));
}

pub(super) use generated::from_helper::What as Said;
pub(super) use generated::to_helper::What as Told;
pub(super) use generated::{Answer, Dimension, FromHelper, NoOpinion, Open, Question, Questions, ToHelper};

/// The longest message either side accepts: a question about a group of a million ranks fits.
const MAX_BYTES: u64 = 16 << 20;

/// A message with its length in front.
pub(super) fn framed(message: &impl Message) -> Vec<u8> {
    message.encode_length_delimited_to_vec()
}

/// Writes a message in one piece.
pub(super) fn write(to: &mut impl Write, message: &impl Message) -> io::Result<()> {
    to.write_all(&framed(message))
}

/// Reads a message; `None` at the end of the stream.
pub(super) fn read<M: Message + Default>(from: &mut impl Read) -> io::Result<Option<M>> {
    let Some(len) = length(from)? else { return Ok(None) };
    if len > MAX_BYTES {
        return Err(invalid(format!("a message of {len} bytes")));
    }
    // Grows with what really comes, not with what was announced.
    let mut bytes = Vec::new();
    from.take(len).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    M::decode(bytes.as_slice()).map(Some).map_err(|e| invalid(e.to_string()))
}

/// A base-128 varint, or nothing at the end of the stream.
fn length(from: &mut impl Read) -> io::Result<Option<u64>> {
    let mut len = 0_u64;
    for position in 0..10 {
        let mut byte = [0];
        if from.read(&mut byte)? == 0 {
            return if position == 0 { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        len |= u64::from(byte[0] & 0x7f) << (7 * position);
        if byte[0] < 0x80 {
            return Ok(Some(len));
        }
    }
    Err(invalid("a length without an end".to_owned()))
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

impl From<&About> for generated::About {
    fn from(about: &About) -> Self {
        let About { name, version, description } = about.clone();
        Self { name, version, description }
    }
}

impl From<generated::About> for About {
    fn from(about: generated::About) -> Self {
        let generated::About { name, version, description } = about;
        Self { name, version, description }
    }
}

impl From<&Request> for Question {
    fn from(request: &Request) -> Self {
        let dimensions = request.dimensions.iter().map(|dimension| Dimension {
            id: dimension.id.clone(),
            topology: dimension.topology.number(),
            npus: dimension.npus,
            bandwidth_bytes_per_s: dimension.bandwidth_bytes_per_s,
            latency_ns: dimension.latency_ns,
            allowed: dimension.allowed.bits(),
        });
        Self {
            collective: request.collective.number(),
            element_bytes: request.element_bytes,
            payload_bytes: request.payload_bytes,
            ranks: request.ranks,
            group: request.group.clone().unwrap_or_default(),
            dimensions: dimensions.collect(),
            endpoint_delay_ns: request.endpoint_delay_ns,
            dataset_splits: request.dataset_splits,
            active_chunks: request.active_chunks,
            network_model: request.network_model.number(),
            dialect: request.dialect.number(),
            local_memory_bytes_per_s: request.local_memory_bytes_per_s,
            collective_optimization: request.collective_optimization.number(),
            queues_per_dimension: request.queues_per_dimension,
        }
    }
}

impl Question {
    /// The request; `None` when a number has no meaning.
    pub(super) fn request(self) -> Option<Request> {
        let dimension = |dimension: Dimension| {
            Some(astra_policy::Dimension {
                topology: Topology::from_number(dimension.topology)?,
                id: dimension.id,
                npus: dimension.npus,
                bandwidth_bytes_per_s: dimension.bandwidth_bytes_per_s,
                latency_ns: dimension.latency_ns,
                allowed: AlgorithmSet::from_bits(dimension.allowed),
            })
        };
        Some(Request {
            collective: Collective::from_number(self.collective)?,
            element_bytes: self.element_bytes,
            payload_bytes: self.payload_bytes,
            ranks: self.ranks,
            group: (!self.group.is_empty()).then_some(self.group),
            dimensions: self.dimensions.into_iter().map(dimension).collect::<Option<_>>()?,
            endpoint_delay_ns: self.endpoint_delay_ns,
            dataset_splits: self.dataset_splits,
            active_chunks: self.active_chunks,
            network_model: NetworkModel::from_number(self.network_model)?,
            dialect: Dialect::from_number(self.dialect)?,
            local_memory_bytes_per_s: self.local_memory_bytes_per_s,
            collective_optimization: CollectiveOptimization::from_number(self.collective_optimization)?,
            queues_per_dimension: self.queues_per_dimension,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::sample_questions;

    #[test]
    fn a_question_arrives_as_it_was_sent() {
        for request in sample_questions() {
            let bytes = framed(&Question::from(&request));
            let read: Question = read(&mut bytes.as_slice()).unwrap().unwrap();
            assert_eq!(read.request(), Some(request));
        }
    }

    #[test]
    fn what_is_no_message_is_an_error_and_the_end_is_none() {
        let read = |bytes: &[u8]| read::<FromHelper>(&mut &*bytes);
        assert!(read(&[]).unwrap().is_none());
        assert_eq!(read(&[0x80]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(read(&[5, 1, 2]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(read(&[0xff; 12]).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(read(b"\xff\xff\xff\x7f").unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(read(b"\x04abcd").unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn an_unknown_number_makes_no_request() {
        let question = Question { collective: 99, ..Question::from(&sample_questions()[0]) };
        assert_eq!(question.request(), None);
    }
}

//! The `result.json` of a run: per-rank times as the engine reported them.

use astra_engine::{Nanos, Rank, RankReport, Report as EngineReport};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// Times in nanoseconds, one entry per rank in rank order. Canonical: equal runs give equal bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// When the last rank finished.
    pub finish_ns: u64,
    /// When each rank finished.
    pub rank_finish_ns: Vec<u64>,
    /// Finish time less the compute time, as the original defines exposed communication.
    pub rank_exposed_ns: Vec<u64>,
    /// Time with a GPU compute node in flight.
    pub rank_compute_ns: Vec<u64>,
    /// Time with communication in flight.
    pub rank_communication_ns: Vec<u64>,
    /// Time in which computation and communication overlap, as the original defines it: `compute + communication -
    /// finish` modulo 2^64; 0 for a rank that does not have both.
    pub rank_overlap_ns: Vec<u64>,
    /// Time with a CPU compute node in flight.
    pub rank_cpu_ns: Vec<u64>,
    /// Time with a remote memory access in flight.
    pub rank_memory_ns: Vec<u64>,
    /// Ranks in the order in which they finished.
    pub finish_order: Vec<u32>,
}

impl RunResult {
    /// Takes over what the engine reports.
    ///
    /// # Errors
    /// When a rank's finish time is zero, which no real workload gives.
    pub fn from_engine(report: &EngineReport) -> Result<Self> {
        let of = |f: fn(&RankReport) -> u64| report.ranks.iter().map(f).collect::<Vec<u64>>();
        let rank_finish_ns = of(|r| r.finish.0);
        if let Some(rank) = rank_finish_ns.iter().position(|t| *t == 0) {
            return Err(Error::failed(format!(
                "rank {rank} finished at time 0: its trace has no node that takes time"
            ))
            .hint("give every rank at least one compute or communication node"));
        }
        Ok(Self {
            finish_ns: rank_finish_ns.iter().copied().max().unwrap_or(0),
            rank_finish_ns,
            rank_exposed_ns: of(|r| r.exposed.0),
            rank_compute_ns: of(|r| r.gpu.unwrap_or_default().0),
            rank_communication_ns: of(|r| r.comm.unwrap_or_default().0),
            rank_overlap_ns: of(|r| r.overlap.unwrap_or_default().0),
            rank_cpu_ns: of(|r| r.cpu.unwrap_or_default().0),
            rank_memory_ns: of(|r| r.memory.unwrap_or_default().0),
            finish_order: report.finish_order.iter().map(|r| r.0).collect(),
        })
    }

    /// The figures by rank, as the engine reported them. Work of a kind that took a rank no time is not told apart from
    /// work that it did not have; how many messages and events there were is not kept.
    pub fn to_engine(&self) -> EngineReport {
        let at = |times: &[u64], rank: usize| times.get(rank).copied().unwrap_or_default();
        let some = |times: &[u64], rank| Some(Nanos(at(times, rank))).filter(|time| time.0 > 0);
        let rank = |(rank, &finish): (usize, &u64)| RankReport {
            finish: Nanos(finish),
            exposed: Nanos(at(&self.rank_exposed_ns, rank)),
            gpu: some(&self.rank_compute_ns, rank),
            cpu: some(&self.rank_cpu_ns, rank),
            comm: some(&self.rank_communication_ns, rank),
            memory: some(&self.rank_memory_ns, rank),
            overlap: some(&self.rank_overlap_ns, rank),
        };
        EngineReport {
            ranks: self.rank_finish_ns.iter().enumerate().map(rank).collect(),
            finish_order: self.finish_order.iter().copied().map(Rank).collect(),
            messages: 0,
            events: 0,
        }
    }

    /// Canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a struct of numbers always encodes")
    }

    /// Reads what [`RunResult::encode`] wrote.
    ///
    /// # Errors
    /// When the bytes are not a result.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes)
            .map_err(|e| Error::new(ErrorKind::Store, format!("a stored result cannot be read: {e}")))
    }
}

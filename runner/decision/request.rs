//! A question in the form in which policies are asked: with the network, how the simulation is set up, and which
//! algorithms are possible.

use astra_engine as engine;
use astra_policy::{Algorithm, AlgorithmSet, Dimension, Request};

use super::{Question, Situation};
use crate::algorithm;
use crate::astrasim::{self, AlgorithmLists, SystemFile, SystemOptions};
use crate::error::Result;
use crate::policy;

/// Traces do not say of what their bytes are numbers.
const ELEMENT_BYTES: u32 = 1;

impl Situation<'_> {
    /// Whether the answer to a question counts on a dimension. A group that is not all ranks is one ring of its members
    /// with one algorithm: the only one, or in dialect `deepflow` the first; where `astra-sim` has several, it takes `ring`.
    pub(super) fn matters(&self, question: &Question, dimension: usize) -> bool {
        match (&question.group, &question.dimensions) {
            (Some(_), _) => {
                dimension == 0
                    && (self.layout.dimensions.len() == 1 || self.dialect == engine::Dialect::DeepFlow)
            }
            (None, Some(only)) => only.iter().any(|d| *d as usize == dimension),
            (None, None) => true,
        }
    }

    /// The system that simulates, without algorithms.
    ///
    /// # Errors
    /// An override that the engine cannot take.
    pub fn engine_system(&self) -> Result<engine::System> {
        let none = AlgorithmLists::default();
        let files = astrasim::write(self.layout, &none, &self.spec.sys_options, self.system);
        let (file, _) = SystemFile::parse(files.system_json.as_bytes(), "system.json")?;
        let options =
            SystemOptions { queues_per_dimension: self.queues_per_dimension, ..SystemOptions::default() };
        file.system(self.dialect, &options, engine::RemoteMemory::None)
    }

    /// What a policy is asked. A policy that looks at nothing but the collective is never asked.
    pub fn request(&self, system: &engine::System, question: &Question) -> Request {
        let dimensions = self.layout.dimensions.iter().enumerate().map(|(index, written)| Dimension {
            id: written.id.clone(),
            topology: policy::topology(written.link.topology),
            npus: written.link.npus,
            bandwidth_bytes_per_s: written.link.bandwidth.0 * (1_u64 << 30) as f64,
            latency_ns: written.link.latency_ns,
            allowed: self.allowed(question, index),
        });
        Request {
            collective: question.collective,
            element_bytes: ELEMENT_BYTES,
            payload_bytes: question.bytes.unwrap_or_default(),
            ranks: self.layout.ranks,
            group: question.group.clone(),
            dimensions: dimensions.collect(),
            endpoint_delay_ns: system.endpoint_delay.0,
            dataset_splits: system.preferred_dataset_splits,
            active_chunks: system.active_chunks_per_dimension,
            network_model: policy::network_model(self.model),
            dialect: policy::dialect(self.dialect),
            local_memory_bytes_per_s: system.local_mem_bw.bytes_per_sec(),
            collective_optimization: policy::collective_optimization(system.collective_optimization),
            queues_per_dimension: system.queues_per_dimension,
        }
    }

    /// The algorithms that can answer a question on a dimension; all there are where the answer does not count.
    pub(super) fn allowed(&self, question: &Question, dimension: usize) -> AlgorithmSet {
        let dialect = policy::dialect(self.dialect);
        let parsed = |algorithm: &Algorithm| algorithm::parse(algorithm.name()).ok();
        if !self.matters(question, dimension) {
            let exists =
                |a: &Algorithm| parsed(a).is_some_and(|a| algorithm::exists(a, self.dialect).is_ok());
            return Algorithm::ALL.into_iter().filter(exists).collect();
        }
        let Some(group) = &question.group else {
            let npus = self.layout.dimensions[dimension].link.npus;
            return policy::allowed(dialect, question.collective, npus, self.layout.ranks);
        };
        let members = u32::try_from(group.len()).unwrap_or(u32::MAX);
        let possible = policy::allowed(dialect, question.collective, members, members);
        let in_groups = |a: &Algorithm| parsed(a).is_some_and(engine::Algorithm::runs_in_groups);
        possible.iter().filter(in_groups).collect()
    }
}

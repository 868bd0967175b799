//! What was decided for the points of a build, and what of it is simulated: read back from what the store keeps.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use artifact_store::{ActionKey, Digest, Store};
use astra_engine::{Algorithm, Dialect, NetworkModel, Topology};
use serde_json::Value;

use crate::algorithm;
use crate::astrasim;
use crate::decision::{DecisionTable, Demand, Question, Row};
use crate::derivation::{PerStep, Preimage, StepKind};
use crate::error::{Error, ErrorKind, Result};

use super::{configs, content, et, output_of, policy, run};

/// What was decided about a collective of a point.
#[derive(Clone, Debug, PartialEq)]
pub struct PointDecision {
    /// The collective.
    pub question: Question,
    /// How many nodes of all ranks carry it out.
    pub nodes: u64,
    /// What was decided.
    pub row: Row,
    /// The algorithms that the system file names for it, in the order of the dimensions.
    pub simulated: Vec<String>,
    /// Whether they are others than were decided, where the decision counts.
    pub is_lost: bool,
}

/// Reads decisions back; what points share is read once.
#[derive(Debug)]
pub struct DecisionReader<'a> {
    store: &'a Store,
    tables: HashMap<Digest, Arc<DecisionTable>>,
}

impl<'a> DecisionReader<'a> {
    /// A reader of what this store keeps.
    pub fn new(store: &'a Store) -> Self {
        Self { store, tables: HashMap::new() }
    }

    /// The decisions about a point, from the keys of its steps, in the order of the questions. Empty when its steps
    /// `policy`, `configs` and `et` did not all succeed.
    ///
    /// # Errors
    /// When something that a record names is gone.
    pub fn of_point(&mut self, keys: &PerStep<Option<ActionKey>>) -> Result<Vec<PointDecision>> {
        let (Some(decided), Some(configured), Some(traced)) =
            (keys[StepKind::Policy], keys[StepKind::Configs], keys[StepKind::Et])
        else {
            return Ok(Vec::new());
        };
        let table = self.table(self.output(StepKind::Policy, &decided, policy::DECISIONS)?)?;
        let demand = self.output(StepKind::Et, &traced, et::COLLECTIVES)?;
        let demand = Demand::decode(&content(self.store, &demand)?)?;
        let system = self.output(StepKind::Configs, &configured, configs::SYSTEM)?;
        let system: Value = serde_json::from_slice(&content(self.store, &system)?)
            .map_err(|e| Error::new(ErrorKind::Store, format!("a stored system file cannot be read: {e}")))?;
        let first_in_groups = self.dialect(&decided)? == Some(Dialect::DeepFlow);
        let decision = |(question, nodes): (&Question, u64)| {
            let row = table.row(question)?.clone();
            let list = system[astrasim::algorithm_key(question.collective)].as_array();
            let simulated: Vec<String> =
                list.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect();
            let counts = |d: usize| match (&question.group, &question.dimensions) {
                (Some(_), _) => d == 0 && (row.decisions.len() == 1 || first_in_groups),
                (None, Some(only)) => only.iter().any(|dimension| *dimension as usize == d),
                (None, None) => true,
            };
            let differs = |d: usize| simulated.get(d) != row.decisions.get(d).map(|x| &x.algorithm);
            let is_lost = (0..row.decisions.len()).any(|d| counts(d) && differs(d));
            Some(PointDecision { question: question.clone(), nodes, row, simulated, is_lost })
        };
        Ok(demand.iter().filter_map(decision).collect())
    }

    /// Whether a point without congestion uses `direct` where its messages would share links.
    ///
    /// # Errors
    /// As for [`DecisionReader::of_point`].
    pub fn direct_looks_free(&mut self, keys: &PerStep<Option<ActionKey>>) -> Result<bool> {
        let (Some(configured), Some(run)) = (keys[StepKind::Configs], keys[StepKind::Run]) else {
            return Ok(false);
        };
        let preimage = self.store.preimage(&run)?.as_deref().and_then(Preimage::decode);
        let model = preimage.and_then(|preimage| {
            preimage.params["engine"]["network_model"].as_str()?.parse::<NetworkModel>().ok()
        });
        if model != Some(NetworkModel::CongestionUnaware) {
            return Ok(false);
        }
        let network = self.output(StepKind::Configs, &configured, configs::NETWORK)?;
        let network =
            run::read_network(&content(self.store, &network)?)?.network(NetworkModel::CongestionUnaware);
        let shares = |d: usize| {
            let dimension = network.dimensions.get(d);
            dimension.is_some_and(|d| d.topology != Topology::FullyConnected && d.npus > 2)
        };
        let looks_free = |(d, name): (usize, &String)| match algorithm::parse(name) {
            Ok(Algorithm::Direct { .. }) => shares(d),
            // Over all ranks, and so over all dimensions.
            Ok(Algorithm::OneDirect { .. }) => (0..network.dimensions.len()).any(shares),
            _ => false,
        };
        let decisions = self.of_point(keys)?;
        Ok(decisions.iter().flat_map(|decision| decision.simulated.iter().enumerate()).any(looks_free))
    }

    fn output(&self, kind: StepKind, key: &ActionKey, name: &str) -> Result<Digest> {
        let record = self.store.record(key)?.ok_or_else(|| {
            Error::new(ErrorKind::Store, format!("action {key} is no longer in the store"))
                .hint("build the recipe again")
        })?;
        output_of(kind, &record, name)
    }

    fn table(&mut self, digest: Digest) -> Result<Arc<DecisionTable>> {
        Ok(match self.tables.entry(digest) {
            Entry::Occupied(entry) => Arc::clone(entry.get()),
            Entry::Vacant(entry) => {
                let table = DecisionTable::decode(&content(self.store, &digest)?)?;
                Arc::clone(entry.insert(Arc::new(table)))
            }
        })
    }

    fn dialect(&self, key: &ActionKey) -> Result<Option<Dialect>> {
        let preimage = self.store.preimage(key)?.as_deref().and_then(Preimage::decode);
        Ok(preimage.and_then(|preimage| preimage.params["engine"]["dialect"].as_str()?.parse().ok()))
    }
}

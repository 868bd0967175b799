//! Step `policy`: network specification, a policy, the collectives asked about → which algorithm runs each of them.
//!
//! Reads: `network-spec.json`, the library and the configuration of the policy, and of existing traces and graphs
//! `collectives.json` and `placement.json`. Writes: `decisions.json`, one row per question. In its key: the digests of
//! those, what identifies a policy that ships, what the recipe fixes, the engine's dialect and network model, rank
//! count, choice of dimensions and the overrides of the system file. Only the algorithms are in what comes after:
//! who decides the same, or for another reason, executes nothing again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use artifact_store::OutputKind;
use astra_policy::Collective;
use serde_json::{Value, json};

use crate::astrasim::{self, ConfigRequest};
use crate::decision::{self, Decider, Situation};
use crate::derivation::{Preimage, StepKind};
use crate::error::{Error, ErrorKind, Result};
use crate::hw::NetworkSpec;
use crate::recipe::Point;

use super::placement::{self, Placement};
use super::policies::{FoundPolicy, Kind, Sessions};
use super::{Context, Derivation, Inputs, Produced, et, hw};

pub(super) const VERSION: u32 = 1;
/// The name of the decision table.
pub const DECISIONS: &str = "decisions.json";
/// The names of the inputs that are the policy's, whatever its files are called.
const PLUGIN: &str = "plugin";
const CONFIG: &str = "config";

/// The key of the step. Points that differ in nothing but the workload, and are asked about together, share it.
pub(super) fn derive(context: &Context, point: &Point, inputs: &Inputs) -> Result<Arc<Derivation>> {
    let spec = inputs.output(StepKind::Hw, hw::OUTPUT)?;
    let questions = context.questions(point, inputs)?;
    let placement = inputs.optional(StepKind::Et, et::PLACEMENT);
    let shared = (point.setting, point.workload.ranks(), spec, questions.digest, placement);
    context.policy_steps.get_or(shared, || {
        let found = context.sources.policy(&point.policy)?;
        let known = Placement::find(context, inputs)?;
        let spec_content = context.spec(spec)?;
        let request = placement::request(&spec_content, point, known.as_ref())?;
        placement::layout(&spec_content, point, &request)?;
        let mut preimage = Preimage::new(StepKind::Policy.as_str(), VERSION, params(point, found, &request))
            .input(hw::OUTPUT, spec)
            .input(et::COLLECTIVES, questions.digest);
        if let Some(library) = found.library() {
            preimage = preimage.input(PLUGIN, library);
        }
        if let Some(config) = found.config_digest() {
            preimage = preimage.input(CONFIG, config);
        }
        Ok(Derivation::of(&preimage.salted(context.sources.salt.as_deref())))
    })
}

fn params(point: &Point, found: &FoundPolicy, request: &ConfigRequest) -> Value {
    let fixed: serde_json::Map<String, Value> =
        point.policy.collectives.iter().map(|(c, fixed)| (c.name().to_owned(), json!(fixed))).collect();
    let ConfigRequest { ranks, axes, flatten_2d, synthetic_pair, .. } = request;
    let mut params = json!({
        "engine": {
            "dialect": point.engine.dialect.as_str(),
            "network_model": point.engine.network.as_str(),
            "queues_per_dimension": point.engine.queues_per_dimension,
        },
        "fixed": fixed,
        "layout": { "axes": axes, "flatten_2d": flatten_2d },
        "ranks": ranks,
        "system": point.system.entries(),
    });
    if let Some(preferred) = synthetic_pair {
        params["layout"]["synthetic_pair"] = json!(preferred);
    }
    if let Some(shipped) = found.shipped() {
        params["policy"] = shipped.into();
    }
    if matches!(found.kind, Kind::Best) {
        params["engine"]["semantic_version"] = astra_engine::SEMANTIC_VERSION.into();
    }
    params
}

pub(super) fn execute(
    context: &Context,
    point: &Point,
    inputs: &Inputs,
    cancel: &AtomicBool,
) -> Result<Produced> {
    let spec = context.spec(inputs.output(StepKind::Hw, hw::OUTPUT)?)?;
    let placement = Placement::find(context, inputs)?;
    let questions = context.questions(point, inputs)?;
    let found = context.sources.policy(&point.policy)?;
    let table = table(&context.sessions, found, &spec, point, placement.as_ref(), &questions.list, cancel)?;
    let mut produced = Produced::default();
    produced.output(OutputKind::Blob, DECISIONS, table.encode());
    Ok(produced)
}

/// How long questions that fail may take altogether until the rest is not asked any more: some that hang, thousands that crash.
const PATIENCE: Duration = Duration::from_secs(60);

/// After the step failed that asks for several points together: asks each question alone, and sets apart those that fail, so
/// that the step of the others is another one. Gives whether there are any.
///
/// # Errors
/// When it is interrupted; whatever is no failure of a question.
pub(super) fn ask_apart(
    context: &Context,
    point: &Point,
    inputs: &Inputs,
    cancel: &AtomicBool,
) -> Result<bool> {
    let found = context.sources.policy(&point.policy)?;
    let Some(together) = context.asked.together(point, found)?.filter(|all| all.list.len() > 1) else {
        return Ok(false);
    };
    let spec = context.spec(inputs.output(StepKind::Hw, hw::OUTPUT)?)?;
    let placement = Placement::find(context, inputs)?;
    let mut failed = BTreeMap::new();
    let mut spent = Duration::ZERO;
    for question in &together.list {
        if cancel.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Interrupted, "interrupted"));
        }
        if spent > PATIENCE {
            let seconds = spent.as_secs();
            let error = format!("not asked any more: other questions failed for {seconds} s");
            failed.insert(question.clone(), Error::failed(error).in_file(point.policy.plugin.as_str()));
            continue;
        }
        let began = Instant::now();
        let alone = std::slice::from_ref(question);
        match table(&context.sessions, found, &spec, point, placement.as_ref(), alone, cancel) {
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::Failed => {
                spent += began.elapsed();
                failed.insert(question.clone(), e);
            }
            Err(e) => return Err(e),
        }
    }
    let any = !failed.is_empty();
    context.asked.set_apart(point, failed);
    Ok(any)
}

/// Decides about questions.
pub(super) fn table(
    sessions: &Sessions,
    found: &FoundPolicy,
    spec: &NetworkSpec,
    point: &Point,
    placement: Option<&Placement>,
    questions: &[decision::Question],
    cancel: &AtomicBool,
) -> Result<decision::DecisionTable> {
    let request = placement::request(spec, point, placement)?;
    let layout = placement::layout(spec, point, &request)?;
    let situation = situation(spec, &layout, point);
    let blame = |error| point.blame(error);
    match &found.kind {
        Kind::Default => decision::decide(&situation, questions, Decider::Default).map_err(blame),
        Kind::Best => decision::decide(&situation, questions, Decider::Best(cancel)).map_err(blame),
        Kind::Asked(source) => {
            let mut ask = |requests: &[_]| sessions.ask(source, found, requests);
            decision::decide(&situation, questions, Decider::Policy(&mut ask)).map_err(blame)
        }
    }
}

/// What decisions about a point depend on besides its workload.
pub(super) fn situation<'a>(
    spec: &'a NetworkSpec,
    layout: &'a astrasim::Layout,
    point: &'a Point,
) -> Situation<'a> {
    Situation {
        spec,
        layout,
        dialect: point.engine.dialect,
        model: point.engine.network,
        queues_per_dimension: point.engine.queues_per_dimension,
        chosen: &point.policy.collectives,
        system: &point.system,
    }
}

/// The collectives in a list of questions, each once.
pub(super) fn collectives<'a>(
    questions: impl IntoIterator<Item = &'a decision::Question>,
) -> std::collections::BTreeSet<Collective> {
    questions.into_iter().map(|question| question.collective).collect()
}

//! Why a step is executed: its preimage against that of the same step in the recipe's last build.

use std::collections::HashMap;

use artifact_store::{ActionKey, Digest, Store};
use serde_json::Value;

use crate::derivation::{Change, PerStep, Preimage, StepKind, changes, json_changes};
use crate::error::Result;
use crate::recipe::Point;
use crate::steps::{self, Derivation};

use super::known::KnownRecipe;
use super::latest;

/// How many differences a line names before it counts the rest.
const NAMED: usize = 3;
/// Inputs larger than this are compared by digest only.
const COMPARED_BYTES: usize = 1 << 20;

pub(super) struct Explainer<'a> {
    store: &'a Store,
    /// The keys of the points of the last build, if there was one.
    last: Option<HashMap<String, PerStep<Option<ActionKey>>>>,
}

impl<'a> Explainer<'a> {
    /// Compares with the latest build of a recipe.
    pub(super) fn load(store: &'a Store, recipe: &KnownRecipe) -> Result<Self> {
        let index = latest::index(store, recipe)?;
        let last = index
            .map(|index| index.by_name().into_iter().map(|(name, keys)| (name.to_owned(), keys)).collect());
        Ok(Self { store, last })
    }

    /// One line: which input changed, from what to what.
    pub(super) fn why(&self, point: &Point, kind: StepKind, now: &Derivation) -> Result<String> {
        let Some(last) = &self.last else { return Ok("first build of this recipe".to_owned()) };
        let Some(keys) = last.get(&point.name) else { return Ok("new point".to_owned()) };
        let Some(before) = keys[kind] else { return Ok("did not succeed in the last build".to_owned()) };
        if before == now.key {
            return Ok("its outputs are no longer in the store".to_owned());
        }
        let (Some(before), Some(now)) = (self.preimage(&before)?, Preimage::decode(&now.encoded)) else {
            return Ok("what it was made of in the last build is no longer in the store".to_owned());
        };
        let found = changes(&before, &now);
        let mut parts = Vec::new();
        for change in found.iter().take(NAMED) {
            parts.push(self.detail(point, change)?);
        }
        if found.len() > NAMED {
            parts.push(format!("and {} more", found.len() - NAMED));
        }
        Ok(parts.join("; "))
    }

    fn preimage(&self, key: &ActionKey) -> Result<Option<Preimage>> {
        Ok(self.store.preimage(key)?.and_then(|bytes| Preimage::decode(&bytes)))
    }

    /// A changed input with what differs inside it, where both sides are at hand and structured.
    fn detail(&self, point: &Point, change: &Change) -> Result<String> {
        if change.path == steps::HARDWARE {
            return Ok(Change { path: point.hw.to_string(), ..change.clone() }.to_string());
        }
        let (Some(before), Some(after)) = (self.json(&change.before)?, self.json(&change.after)?) else {
            return Ok(change.to_string());
        };
        let inner = json_changes(&before, &after);
        Ok(match inner.as_slice() {
            [] => change.to_string(),
            [only] => format!("{}: {only}", change.path),
            [first, rest @ ..] => format!("{}: {first} and {} more", change.path, rest.len()),
        })
    }

    fn json(&self, side: &Option<Value>) -> Result<Option<Value>> {
        let digest = side.as_ref().and_then(Value::as_str).and_then(|s| s.parse::<Digest>().ok());
        let Some(digest) = digest else { return Ok(None) };
        let bytes = self.store.get(&digest)?.filter(|b| b.len() <= COMPARED_BYTES);
        Ok(bytes.and_then(|b| serde_json::from_slice(&b).ok()))
    }
}

//! Changes to the traces of a workload, whatever its kind: the list `workload.edits`.
//!
//! Reads form and units; whether ranks and nodes exist shows when the traces are there.

use std::collections::BTreeSet;

use super::document::Json;
use super::place::{Fault, Place};
use super::section::{MAX_COUNT, Section, array, describe, list, text, trace_time};
use crate::et::{Change, Edit};

/// The keys of an edit that say what it changes; each edit has one of them.
const CHANGES: [&str; 3] = ["scale_durations", "scale_sizes", "delay"];

/// The keys of an edit.
pub(super) const EDIT_KEYS: &[&str] = &["scale_durations", "scale_sizes", "delay", "before", "ranks"];

/// The largest factor: beyond it nothing is scaled, but mistyped.
const MAX_FACTOR: f64 = 1e6;

/// Reads the edits of a `workload` section.
pub(super) fn read(json: &Json, place: &Place<'_>) -> Result<Vec<Edit>, Fault> {
    let Some(edits) = json.get("edits") else { return Ok(Vec::new()) };
    let place = place.key("edits");
    array(edits, &place)?.iter().enumerate().map(|(i, json)| edit(json, &place.index(i))).collect()
}

fn edit(json: &Json, place: &Place<'_>) -> Result<Edit, Fault> {
    let section = Section::open(json, place, EDIT_KEYS)?;
    let durations = section.optional("scale_durations", factor)?;
    let sizes = section.optional("scale_sizes", factor)?;
    let delay = section.optional("delay", trace_time)?;
    let before = section.optional("before", text)?;
    let ranks = section.optional("ranks", ranks)?;
    if before.is_some() && delay.is_none() {
        return Err(place.key("before").fault("only a `delay` is put before something"));
    }
    if ranks.is_some() && sizes.is_some() {
        let message =
            "sizes are scaled on all ranks: a message or collective has the same size on all that take part";
        return Err(place.key("ranks").fault(message));
    }
    let change = match (durations, sizes, delay) {
        (Some(factor), None, None) => Change::ScaleDurations(factor),
        (None, Some(factor), None) => Change::ScaleSizes(factor),
        (None, None, Some(delay)) => Change::Delay { micros: delay.0 / 1_000, before },
        _ => return Err(place.fault(format!("expected exactly one of {}", list(&CHANGES)))),
    };
    Ok(Edit { ranks, change })
}

fn factor(json: &Json, place: &Place<'_>) -> Result<f64, Fault> {
    let number = if let Json::Number(number) = json { number.as_f64() } else { None };
    number.filter(|factor| (0.0..=MAX_FACTOR).contains(factor)).ok_or_else(|| {
        place.fault(format!("expected a factor from 0 to {MAX_FACTOR}, found {}", describe(json)))
    })
}

fn ranks(json: &Json, place: &Place<'_>) -> Result<BTreeSet<u32>, Fault> {
    let ranks = array(json, place)?;
    if ranks.is_empty() {
        return Err(place.fault("an empty list changes nothing; leave it out to change all ranks"));
    }
    ranks.iter().enumerate().map(|(index, json)| rank(json, &place.index(index))).collect()
}

fn rank(json: &Json, place: &Place<'_>) -> Result<u32, Fault> {
    let number = if let Json::Number(number) = json { number.as_u64() } else { None };
    let rank = number.and_then(|number| u32::try_from(number).ok()).filter(|rank| *rank < MAX_COUNT);
    rank.ok_or_else(|| place.fault(format!("expected a rank, counted from 0; found {}", describe(json))))
}

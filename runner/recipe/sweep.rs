//! The axes of a sweep: which paths of the recipe vary, over which values, and how they are called.
//!
//! Axes are in the order in which they are written. Reads form only: whether a path exists and a value fits is decided
//! where points are made, by reading the patched section like any other.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::document::Json;
use super::place::{Fault, Place, Step};
use super::section::{Section, array, describe, list, object, text};

/// The most points a sweep may have.
pub const MAX_POINTS: usize = 1_000_000;

/// The sections of a recipe that a sweep can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Hw,
    Workload,
    Policy,
    Engine,
    System,
    Layout,
}

impl Part {
    pub(super) const ALL: [(&str, Part); 6] = [
        ("hw", Part::Hw),
        ("workload", Part::Workload),
        ("policy", Part::Policy),
        ("engine", Part::Engine),
        ("system", Part::System),
        ("layout", Part::Layout),
    ];

    pub(super) fn key(self) -> &'static str {
        Self::ALL[self as usize].0
    }
}

/// A dotted path into the recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The path as written.
    pub(super) path: Arc<str>,
    pub(super) part: Part,
}

impl Target {
    /// The steps below the section.
    pub(super) fn inner(&self) -> impl Iterator<Item = &str> {
        self.path.split('.').skip(1)
    }

    /// The path below the section; empty when the whole section is replaced.
    pub(super) fn inner_text(&self) -> &str {
        self.path.split_once('.').map_or("", |(_, inner)| inner)
    }

    pub(super) fn depth(&self) -> usize {
        self.inner().count()
    }
}

/// One path and the value it gets.
#[derive(Debug)]
pub(super) struct Override {
    pub(super) target: Target,
    pub(super) value: Json,
}

/// How the axes of a block vary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    Grid,
    Zip,
    Cases,
}

impl Block {
    const ALL: [(&str, Block); 3] = [("grid", Block::Grid), ("zip", Block::Zip), ("cases", Block::Cases)];

    pub(super) fn key(self) -> &'static str {
        Self::ALL[self as usize].0
    }
}

/// What varies as one: each entry is one value of the axis.
#[derive(Debug)]
pub(super) struct Axis {
    pub(super) block: Block,
    pub(super) entries: Vec<Entry>,
}

/// One value of an axis.
#[derive(Debug)]
pub(super) struct Entry {
    /// The name of a case that has one.
    case: Option<String>,
    pub(super) overrides: Vec<Override>,
    /// Label and value as they name a point.
    pub(super) settings: Vec<(Arc<str>, Arc<str>)>,
}

impl Axis {
    /// Where the value of a target stands in the document.
    pub(super) fn origin(&self, entry: usize, target: &Target) -> Origin {
        Origin { block: self.block, entry, path: Arc::clone(&target.path) }
    }

    /// Whether some entry of this axis changes a part of the recipe.
    pub(super) fn changes(&self, part: Part) -> bool {
        self.entries.iter().any(|entry| entry.overrides.iter().any(|o| o.target.part == part))
    }

    fn targets(&self) -> impl Iterator<Item = &Target> {
        self.entries.iter().flat_map(|entry| entry.overrides.iter().map(|o| &o.target))
    }
}

/// Where a value of the sweep stands.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    block: Block,
    entry: usize,
    path: Arc<str>,
}

impl Origin {
    /// The steps from the root of the recipe to the value.
    pub(super) fn steps(&self) -> Vec<Step> {
        let key = |key: &str| Step::Key(key.to_owned());
        let last = match self.block {
            Block::Grid | Block::Zip => [key(&self.path), Step::Index(self.entry)],
            Block::Cases => [Step::Index(self.entry), key(&self.path)],
        };
        [key("sweep"), key(self.block.key())].into_iter().chain(last).collect()
    }
}

/// The keys of the `sweep` section.
pub(super) const SWEEP_KEYS: &[&str] = &["grid", "zip", "cases"];

/// The key that names a case.
pub(super) const CASE_NAME: &str = "name";

/// Reads the `sweep` section into its axes.
pub(super) fn read(json: &Json, place: &Place<'_>) -> Result<Vec<Axis>, Fault> {
    Section::open(json, place, SWEEP_KEYS)?;
    let mut axes = Vec::new();
    for (key, json) in object(json, place)? {
        let place = place.key(key);
        match Block::ALL.iter().find(|(name, _)| name == key) {
            Some((_, Block::Grid)) => grid(json, &place, &mut axes)?,
            Some((_, Block::Zip)) => axes.extend(zip(json, &place)?),
            _ => axes.push(cases(json, &place)?),
        }
    }
    one_axis_for_each_path(&axes, place)?;
    name_settings(&mut axes);
    for axis in &axes {
        distinct(axis, place)?;
    }
    points(&axes).ok_or_else(|| {
        let lengths: Vec<_> = axes.iter().map(|axis| axis.entries.len().to_string()).collect();
        place.fault(format!("{} points are more than {MAX_POINTS}", lengths.join(" \u{d7} ")))
    })?;
    Ok(axes)
}

/// How many points the axes span, unless too many.
pub(super) fn points(axes: &[Axis]) -> Option<usize> {
    axes.iter()
        .try_fold(1usize, |product, axis| product.checked_mul(axis.entries.len()))
        .filter(|product| *product <= MAX_POINTS)
}

fn grid(json: &Json, place: &Place<'_>, axes: &mut Vec<Axis>) -> Result<(), Fault> {
    for (path, values) in object(json, place)? {
        let place = place.key(path);
        let target = target(path, &place)?;
        let entries = values_of(values, &place)?.iter().map(|value| Entry {
            case: None,
            overrides: vec![Override { target: target.clone(), value: value.clone() }],
            settings: Vec::new(),
        });
        axes.push(Axis { block: Block::Grid, entries: entries.collect() });
    }
    Ok(())
}

fn zip(json: &Json, place: &Place<'_>) -> Result<Option<Axis>, Fault> {
    let mut columns: Vec<(Target, &[Json])> = Vec::new();
    for (path, values) in object(json, place)? {
        let place = place.key(path);
        let column = (target(path, &place)?, values_of(values, &place)?);
        if let Some((first, values)) = columns.first()
            && values.len() != column.1.len()
        {
            return Err(place.fault(format!(
                "{} values, but `{}` has {}; lists that advance together need equal lengths",
                column.1.len(),
                first.path,
                values.len()
            )));
        }
        columns.push(column);
    }
    let Some((_, first)) = columns.first() else { return Ok(None) };
    let entry = |i: usize| Entry {
        case: None,
        overrides: columns
            .iter()
            .map(|(target, values)| Override { target: target.clone(), value: values[i].clone() })
            .collect(),
        settings: Vec::new(),
    };
    Ok(Some(Axis { block: Block::Zip, entries: (0..first.len()).map(entry).collect() }))
}

fn cases(json: &Json, place: &Place<'_>) -> Result<Axis, Fault> {
    let mut entries: Vec<Entry> = Vec::new();
    for (i, json) in values_of(json, place)?.iter().enumerate() {
        let place = place.index(i);
        let entry = case(json, &place)?;
        if let Some(first) = entries.first()
            && first.case.is_some() != entry.case.is_some()
        {
            return Err(place.fault("either every case has a `name` or none has"));
        }
        entries.push(entry);
    }
    Ok(Axis { block: Block::Cases, entries })
}

fn case(json: &Json, place: &Place<'_>) -> Result<Entry, Fault> {
    let mut entry = Entry { case: None, overrides: Vec::new(), settings: Vec::new() };
    for (path, value) in object(json, place)? {
        let place = place.key(path);
        if path == CASE_NAME {
            entry.case = Some(text(value, &place)?);
        } else {
            entry.overrides.push(Override { target: target(path, &place)?, value: value.clone() });
        }
    }
    if entry.overrides.is_empty() && entry.case.is_none() {
        return Err(place.fault("a case that changes nothing needs a `name`"));
    }
    Ok(entry)
}

fn values_of<'a>(json: &'a Json, place: &Place<'_>) -> Result<&'a [Json], Fault> {
    let values = array(json, place)?;
    if values.is_empty() { Err(place.fault("an empty list leaves no point to build")) } else { Ok(values) }
}

/// Reads a dotted path: a section that can be swept, then keys and list indices.
fn target(path: &str, place: &Place<'_>) -> Result<Target, Fault> {
    if path.split('.').any(str::is_empty) {
        return Err(place.fault(format!("`{path}` is not a dotted path such as `workload.size`")));
    }
    let first = path.split('.').next().unwrap_or(path);
    let known = Part::ALL.map(|(key, _)| key);
    let part = Part::ALL.iter().find(|(key, _)| *key == first).map(|(_, part)| *part).ok_or_else(|| {
        let message = format!("`{first}` cannot be swept; a path starts with one of {}", list(&known));
        place.fault(message).suggest(first, known)
    })?;
    Ok(Target { path: path.into(), part })
}

fn one_axis_for_each_path(axes: &[Axis], place: &Place<'_>) -> Result<(), Fault> {
    let mut seen: HashSet<&str> = HashSet::new();
    for axis in axes {
        let paths: BTreeSet<&str> = axis.targets().map(|t| &*t.path).collect();
        if let Some(path) = paths.iter().find(|path| seen.contains(**path)) {
            let place = place.key(axis.block.key());
            return Err(place.fault(format!("`{path}` is swept by another axis already")));
        }
        seen.extend(paths);
    }
    Ok(())
}

/// Gives every entry its settings, with the shortest label that tells its path from all others.
fn name_settings(axes: &mut [Axis]) {
    let mut paths: BTreeSet<Arc<str>> =
        axes.iter().flat_map(|axis| axis.targets().map(|t| t.path.clone())).collect();
    let case: Arc<str> = "case".into();
    if axes.iter().any(|axis| axis.entries.iter().any(|entry| entry.case.is_some())) {
        paths.insert(case.clone());
    }
    let labels: std::collections::BTreeMap<Arc<str>, Arc<str>> =
        paths.iter().map(|path| (path.clone(), label(path, &paths))).collect();
    for entry in axes.iter_mut().flat_map(|axis| &mut axis.entries) {
        entry.settings = match &entry.case {
            Some(name) => vec![(case.clone(), name.as_str().into())],
            None => entry
                .overrides
                .iter()
                .map(|o| (labels[&o.target.path].clone(), o.value.label().into()))
                .collect(),
        };
    }
}

/// The shortest tail of a path, beginning at a word, that is the tail of no other path.
fn label(path: &Arc<str>, paths: &BTreeSet<Arc<str>>) -> Arc<str> {
    let is_tail = |tail: &str, of: &str| {
        of.strip_suffix(tail).is_some_and(|head| head.is_empty() || head.ends_with('.'))
    };
    let starts = path.rmatch_indices('.').map(|(dot, _)| dot + 1);
    starts
        .map(|start| &path[start..])
        .find(|tail| {
            !tail.starts_with(|c: char| c.is_ascii_digit())
                && !paths.iter().any(|other| other != path && is_tail(tail, other))
        })
        .map_or_else(|| path.clone(), Into::into)
}

/// Two entries that are written alike would be two points of one name.
fn distinct(axis: &Axis, place: &Place<'_>) -> Result<(), Fault> {
    let mut seen = HashSet::new();
    for (i, entry) in axis.entries.iter().enumerate() {
        let mut written: Vec<_> = entry.settings.iter().collect();
        written.sort();
        if seen.insert(written) {
            continue;
        }
        let block = place.key(axis.block.key());
        return Err(match (&entry.case, axis.block, &entry.overrides[..]) {
            (Some(name), ..) => {
                block.index(i).key(CASE_NAME).fault(format!("the case `{name}` is there twice"))
            }
            (None, Block::Cases, _) => block.index(i).fault("the same case is there twice"),
            (None, _, [only]) => block
                .key(&only.target.path)
                .index(i)
                .fault(format!("the value {} is there twice", describe(&only.value))),
            (None, ..) => block.fault(format!("the values at index {i} are there twice")),
        });
    }
    Ok(())
}

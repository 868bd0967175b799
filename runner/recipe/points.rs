//! From a recipe to its points: the cartesian product of the axes, each point with its sections read.
//!
//! A section is read once for every distinct combination of the axes that change it, not once for every point, so that
//! ten thousand points take milliseconds. A value that does not fit is reported where it is written in the sweep.

use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;

use super::document::Json;
use super::edits;
use super::load::Recipe;
use super::options::{self, Engine, LayoutOptions, Policy};
use super::patched::{Active, Misfit};
use super::place::{Fault, Place, Source};
use super::section::relative_path;
use super::sweep::{self, Axis, Origin, Part};
use super::workload::{self, Workload};
use crate::Result;
use crate::astrasim::SystemOverrides;
use crate::et::Edit;

/// One simulation of a recipe.
#[derive(Clone, Debug)]
pub struct Point {
    /// Stands for everything but the workload: points with equal numbers differ in nothing else.
    pub setting: u32,
    /// What varies, as `label=value,label=value`; the recipe's name when nothing does.
    pub name: String,
    /// Label and value of what varies, as written, in the order of the axes.
    pub axes: Vec<(Arc<str>, Arc<str>)>,
    /// The hardware file, as written in the recipe.
    pub hw: Arc<str>,
    /// Changes to the hardware document before it is read: dotted path below its root, new value. Outer paths come first.
    pub hw_patches: Arc<[(String, Value)]>,
    /// What the ranks do.
    pub workload: Arc<Workload>,
    /// What is changed in their traces.
    pub edits: Arc<[Edit]>,
    /// Who chooses algorithms.
    pub policy: Arc<Policy>,
    /// What simulates.
    pub engine: Engine,
    /// Overrides of system keys.
    pub system: Arc<SystemOverrides>,
    /// Which part of the network is simulated.
    pub layout: Arc<LayoutOptions>,
    /// Where each of `hw_patches` is written; for messages, never in a key.
    pub(super) hw_origins: Arc<[Origin]>,
    /// The recipe; for messages, never in a key.
    pub(super) source: Arc<Source>,
}

impl Recipe {
    /// All points, the last axis fastest.
    ///
    /// # Errors
    /// A path of the sweep that does not exist or a value that does not fit, with its place in the file. Paths below `hw`
    /// are only known to exist when the hardware file is read.
    pub fn points(&self) -> Result<Vec<Point>> {
        let count = sweep::points(&self.axes).unwrap_or(0);
        let mut sections = Sections::new(self);
        let mut points = Vec::with_capacity(count);
        let mut chosen = vec![0; self.axes.len()];
        for _ in 0..count {
            points.push(sections.point(&chosen)?);
            advance(&mut chosen, &self.axes);
        }
        distinct_names(&points, self)?;
        Ok(points)
    }
}

impl Recipe {
    /// What a section says in all points in which it can be read, in their order; the same may be there several times.
    pub(super) fn all_of<T>(
        &self,
        part: Part,
        read: impl Fn(&Json, &Place<'_>) -> Result<T, Fault>,
    ) -> Vec<T> {
        let changing = |axis: &Axis| axis.changes(part);
        let mut chosen = vec![0; self.axes.len()];
        let mut all = Vec::new();
        loop {
            let active = self.active(part, &chosen);
            all.extend(self.read(&active, part, &read));
            // The last axis fastest, as in `advance`, but only over those that make a difference.
            let next = (0..chosen.len()).rev().filter(|&axis| changing(&self.axes[axis])).find(|&axis| {
                chosen[axis] = (chosen[axis] + 1) % self.axes[axis].entries.len();
                chosen[axis] != 0
            });
            if next.is_none() {
                return all;
            }
        }
    }
}

/// The next combination, the last axis fastest.
fn advance(chosen: &mut [usize], axes: &[Axis]) {
    for (digit, axis) in chosen.iter_mut().zip(axes).rev() {
        *digit += 1;
        if *digit < axis.entries.len() {
            return;
        }
        *digit = 0;
    }
}

/// Values of an axis are distinct, so names can only meet when a value itself holds what separates values.
fn distinct_names(points: &[Point], recipe: &Recipe) -> Result<()> {
    let settings = recipe.axes.iter().flat_map(|axis| axis.entries.iter().flat_map(|e| &e.settings));
    if !settings.into_iter().any(|(_, value)| value.contains(',')) {
        return Ok(());
    }
    let mut seen = HashSet::with_capacity(points.len());
    match points.iter().find(|point| !seen.insert(&point.name)) {
        None => Ok(()),
        Some(point) => Err(Place::ROOT
            .key("sweep")
            .fault(format!("two points would be named `{}`", point.name))
            .hint("use `cases` and give each a `name`")
            .into_error(&recipe.source)),
    }
}

/// What has been read so far, part by part.
struct Sections<'a> {
    recipe: &'a Recipe,
    hw: Memo<Arc<str>>,
    hw_patches: Memo<Patches>,
    workload: Memo<Arc<Workload>>,
    edits: Memo<Arc<[Edit]>>,
    policy: Memo<Arc<Policy>>,
    engine: Memo<Engine>,
    system: Memo<Arc<SystemOverrides>>,
    layout: Memo<Arc<LayoutOptions>>,
    /// The axes that change anything but the workload.
    settings: Vec<usize>,
}

impl<'a> Sections<'a> {
    fn new(recipe: &'a Recipe) -> Self {
        let axes = &recipe.axes;
        Self {
            recipe,
            hw: Memo::new(axes, Part::Hw),
            hw_patches: Memo::new(axes, Part::Hw),
            workload: Memo::new(axes, Part::Workload),
            edits: Memo::new(axes, Part::Workload),
            policy: Memo::new(axes, Part::Policy),
            engine: Memo::new(axes, Part::Engine),
            system: Memo::new(axes, Part::System),
            layout: Memo::new(axes, Part::Layout),
            settings: (0..axes.len())
                .filter(|i| {
                    Part::ALL.iter().any(|(_, part)| *part != Part::Workload && axes[*i].changes(*part))
                })
                .collect(),
        }
    }

    /// The number of the combination of the axes that change anything but the workload; there are at most as many as points.
    fn setting(&self, chosen: &[usize]) -> u32 {
        let settings = self.settings.iter().map(|&axis| (self.recipe.axes[axis].entries.len(), chosen[axis]));
        settings.fold(0, |number, (entries, entry)| number * entries as u32 + entry as u32)
    }

    fn point(&mut self, chosen: &[usize]) -> Result<Point> {
        let recipe = self.recipe;
        let hardware = self.hw_patches.get(recipe, chosen, |active| Ok(patches(active)))?;
        let policy = self
            .policy
            .get(recipe, chosen, |active| recipe.read(active, Part::Policy, options::policy).map(Arc::new))?;
        let system = self
            .system
            .get(recipe, chosen, |active| recipe.read(active, Part::System, options::system).map(Arc::new))?;
        options::fixed_once(&policy, &system).map_err(|fault| {
            recipe.blame(Misfit::Section(fault), &recipe.active(Part::System, chosen), chosen)
        })?;
        Ok(Point {
            setting: self.setting(chosen),
            name: recipe.point_name(chosen),
            axes: recipe.settings(chosen).cloned().collect(),
            hw: self.hw.get(recipe, chosen, |active| {
                recipe.read(active, Part::Hw, |json, place| relative_path(json, place).map(Arc::from))
            })?,
            hw_patches: hardware.values,
            workload: self.workload.get(recipe, chosen, |active| {
                recipe.read(active, Part::Workload, workload::read).map(Arc::new)
            })?,
            edits: self.edits.get(recipe, chosen, |active| {
                recipe.read(active, Part::Workload, edits::read).map(Arc::from)
            })?,
            policy,
            engine: self
                .engine
                .get(recipe, chosen, |active| recipe.read(active, Part::Engine, options::engine))?,
            system,
            layout: self.layout.get(recipe, chosen, |active| {
                recipe.read(active, Part::Layout, options::layout).map(Arc::new)
            })?,
            hw_origins: hardware.origins,
            source: Arc::clone(&recipe.source),
        })
    }
}

/// Changes of the hardware document, and where each is written.
#[derive(Clone)]
struct Patches {
    values: Arc<[(String, Value)]>,
    origins: Arc<[Origin]>,
}

/// The overrides of paths below `hw`. The path `hw` itself chooses the file and changes nothing in it.
fn patches(active: &Active<'_>) -> Patches {
    let below = || active.iter().filter(|(.., o)| !o.target.inner_text().is_empty());
    Patches {
        values: below().map(|(.., o)| (o.target.inner_text().to_owned(), o.value.to_value())).collect(),
        origins: below().map(|(axis, entry, o)| axis.origin(*entry, &o.target)).collect(),
    }
}

/// One value for every combination of the axes that change a part.
struct Memo<T> {
    part: Part,
    axes: Vec<usize>,
    made: Vec<Option<T>>,
}

impl<T: Clone> Memo<T> {
    fn new(axes: &[Axis], part: Part) -> Self {
        let changing: Vec<usize> = (0..axes.len()).filter(|i| axes[*i].changes(part)).collect();
        let combinations = changing.iter().map(|i| axes[*i].entries.len()).product();
        Self { part, axes: changing, made: vec![None; combinations] }
    }

    fn get(
        &mut self,
        recipe: &Recipe,
        chosen: &[usize],
        make: impl FnOnce(&Active<'_>) -> Result<T, Misfit>,
    ) -> Result<T> {
        let index =
            self.axes.iter().fold(0, |index, &axis| index * recipe.axes[axis].entries.len() + chosen[axis]);
        if let Some(made) = &self.made[index] {
            return Ok(made.clone());
        }
        let active = recipe.active(self.part, chosen);
        let made = make(&active).map_err(|misfit| recipe.blame(misfit, &active, chosen))?;
        self.made[index] = Some(made.clone());
        Ok(made)
    }
}

impl Recipe {
    fn settings<'a>(&'a self, chosen: &'a [usize]) -> impl Iterator<Item = &'a (Arc<str>, Arc<str>)> {
        self.axes.iter().zip(chosen).flat_map(|(axis, entry)| &axis.entries[*entry].settings)
    }

    /// What a combination of entries is called.
    pub(super) fn point_name(&self, chosen: &[usize]) -> String {
        let mut name = String::with_capacity(48);
        for (label, value) in self.settings(chosen) {
            if !name.is_empty() {
                name.push(',');
            }
            name.push_str(label);
            name.push('=');
            name.push_str(value);
        }
        if name.is_empty() { self.name.clone() } else { name }
    }
}

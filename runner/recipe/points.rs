//! From a recipe to its points: the cartesian product of the axes, each point with its sections read.
//!
//! A section is read once for every distinct combination of the axes that change it, not once for every point, so that
//! ten thousand points take milliseconds. A value that does not fit is reported where it is written in the sweep.

use serde_json::{Map, Value};
use std::collections::HashSet;
use std::sync::Arc;

use super::document::Json;
use super::load::{Recipe, hw_path};
use super::options::{self, Engine, Layout, Policy};
use super::place::{Fault, Place, Step};
use super::sweep::{self, Axis, Override, Part};
use super::workload::{self, Workload};
use crate::{Error, Result};

/// One simulation of a recipe.
#[derive(Clone, Debug)]
pub struct Point {
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
    /// Who chooses algorithms.
    pub policy: Arc<Policy>,
    /// What simulates.
    pub engine: Engine,
    /// Overrides of system keys, as given.
    pub system: Arc<Map<String, Value>>,
    /// Which part of the network is simulated.
    pub layout: Arc<Layout>,
}

/// Judges one key and value of a `system` section. Errors need no file and no key; both are added here.
pub type SystemCheck<'a> = dyn Fn(&str, &Value) -> Result<()> + 'a;

/// The active overrides of one part: axis, entry, and the override itself; outer paths first.
type Active<'a> = Vec<(&'a Axis, usize, &'a Override)>;

impl Recipe {
    /// All points, the last axis fastest. System overrides are taken as given.
    ///
    /// # Errors
    /// A path of the sweep that does not exist or a value that does not fit, with its place in the file.
    pub fn points(&self) -> Result<Vec<Point>> {
        self.points_checked(&|_, _| Ok(()))
    }

    /// Like [`Recipe::points`], with a judge for every distinct system override.
    ///
    /// # Errors
    /// As [`Recipe::points`], and what the judge says.
    pub fn points_checked(&self, check: &SystemCheck<'_>) -> Result<Vec<Point>> {
        let count = sweep::points(&self.axes).unwrap_or(0);
        let mut sections = Sections::new(self);
        let mut points = Vec::with_capacity(count);
        let mut chosen = vec![0; self.axes.len()];
        for _ in 0..count {
            points.push(sections.point(&chosen, check)?);
            advance(&mut chosen, &self.axes);
        }
        distinct_names(&points, self)?;
        Ok(points)
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
            .into_error(&recipe.file, &recipe.text)),
    }
}

/// What has been read so far, part by part.
struct Sections<'a> {
    recipe: &'a Recipe,
    hw: Memo<Arc<str>>,
    hw_patches: Memo<Arc<[(String, Value)]>>,
    workload: Memo<Arc<Workload>>,
    policy: Memo<Arc<Policy>>,
    engine: Memo<Engine>,
    system: Memo<Arc<Map<String, Value>>>,
    layout: Memo<Arc<Layout>>,
}

impl<'a> Sections<'a> {
    fn new(recipe: &'a Recipe) -> Self {
        let axes = &recipe.axes;
        Self {
            recipe,
            hw: Memo::new(axes, Part::Hw),
            hw_patches: Memo::new(axes, Part::Hw),
            workload: Memo::new(axes, Part::Workload),
            policy: Memo::new(axes, Part::Policy),
            engine: Memo::new(axes, Part::Engine),
            system: Memo::new(axes, Part::System),
            layout: Memo::new(axes, Part::Layout),
        }
    }

    fn point(&mut self, chosen: &[usize], check: &SystemCheck<'_>) -> Result<Point> {
        let recipe = self.recipe;
        let system = |json: &Json, place: &Place<'_>| checked_system(json, place, check);
        Ok(Point {
            name: recipe.point_name(chosen),
            axes: recipe.settings(chosen).cloned().collect(),
            hw: self.hw.get(recipe, chosen, |active| {
                recipe.read(active, Part::Hw, |json, place| hw_path(json, place).map(Arc::from))
            })?,
            hw_patches: self.hw_patches.get(recipe, chosen, |active| Ok(patches(active)))?,
            workload: self.workload.get(recipe, chosen, |active| {
                recipe.read(active, Part::Workload, workload::read).map(Arc::new)
            })?,
            policy: self.policy.get(recipe, chosen, |active| {
                recipe.read(active, Part::Policy, options::policy).map(Arc::new)
            })?,
            engine: self
                .engine
                .get(recipe, chosen, |active| recipe.read(active, Part::Engine, options::engine))?,
            system: self
                .system
                .get(recipe, chosen, |active| recipe.read(active, Part::System, system).map(Arc::new))?,
            layout: self.layout.get(recipe, chosen, |active| {
                recipe.read(active, Part::Layout, options::layout).map(Arc::new)
            })?,
        })
    }
}

fn checked_system(
    json: &Json,
    place: &Place<'_>,
    check: &SystemCheck<'_>,
) -> Result<Map<String, Value>, Fault> {
    let system = options::system(json, place)?;
    for (key, value) in &system {
        check(key, value).map_err(|error| Fault { path: place.key(key).path(), error })?;
    }
    Ok(system)
}

/// Changes of the hardware document: paths below `hw`. The path `hw` itself chooses the file and is none.
fn patches(active: &Active<'_>) -> Arc<[(String, Value)]> {
    active
        .iter()
        .filter(|(.., o)| !o.target.inner_text().is_empty())
        .map(|(.., o)| (o.target.inner_text().to_owned(), o.value.to_value()))
        .collect()
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
        let mut active: Active<'_> = Vec::new();
        for &axis in &self.axes {
            let (axis, entry) = (&recipe.axes[axis], chosen[axis]);
            let overrides = axis.entries[entry].overrides.iter();
            active.extend(overrides.filter(|o| o.target.part == self.part).map(|o| (axis, entry, o)));
        }
        active.sort_by_key(|(.., o)| o.target.depth());
        let made = make(&active).map_err(|misfit| recipe.blame(misfit, &active, chosen))?;
        self.made[index] = Some(made.clone());
        Ok(made)
    }
}

/// What does not fit in a section with its overrides applied.
enum Misfit {
    /// An override has no place in the section: its index among the active ones, and why.
    Path(usize, Error),
    /// The section that results cannot be read.
    Section(Fault),
}

impl Recipe {
    fn settings<'a>(&'a self, chosen: &'a [usize]) -> impl Iterator<Item = &'a (Arc<str>, Arc<str>)> {
        self.axes.iter().zip(chosen).flat_map(|(axis, entry)| &axis.entries[*entry].settings)
    }

    fn point_name(&self, chosen: &[usize]) -> String {
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

    /// Reads a section with overrides applied.
    fn read<T>(
        &self,
        active: &Active<'_>,
        part: Part,
        read: impl FnOnce(&Json, &Place<'_>) -> Result<T, Fault>,
    ) -> Result<T, Misfit> {
        let mut section = self.document.get(part.key()).cloned().unwrap_or(Json::Object(Vec::new()));
        for (i, (.., o)) in active.iter().enumerate() {
            if part == Part::Hw && !o.target.inner_text().is_empty() {
                continue;
            }
            apply(&mut section, o).map_err(|error| Misfit::Path(i, error))?;
        }
        read(&section, &Place::ROOT.key(part.key())).map_err(Misfit::Section)
    }

    /// Turns a misfit into an error at the value in the sweep that caused it, or else at the base recipe, naming the point.
    fn blame(&self, misfit: Misfit, active: &Active<'_>, chosen: &[usize]) -> Error {
        let fault = match misfit {
            Misfit::Path(i, error) => {
                let (axis, entry, o) = active[i];
                Fault { path: axis.origin(entry, &o.target), error }
            }
            Misfit::Section(fault) => {
                let cause = active.iter().rev().find_map(|(axis, entry, o)| {
                    let below = below(&fault.path, &o.target.path)?;
                    Some([axis.origin(*entry, &o.target).as_slice(), below].concat())
                });
                match cause {
                    Some(path) => Fault { path, ..fault },
                    None if chosen.is_empty() => fault,
                    None => in_point(fault, &self.point_name(chosen)),
                }
            }
        };
        fault.into_error(&self.file, &self.text)
    }
}

/// Says in which point a fault shows that no single value of the sweep causes.
fn in_point(fault: Fault, point: &str) -> Fault {
    let message = format!("{}; this is so in the point `{point}`", fault.error.message());
    let mut error = Error::new(fault.error.kind(), message);
    if let Some(hint) = fault.error.hint_text() {
        error = error.hint(hint);
    }
    Fault { error, ..fault }
}

/// The steps of a path below a dotted path; none of them when the dotted path leads deeper.
fn below<'a>(path: &'a [Step], dotted: &str) -> Option<&'a [Step]> {
    let segments: Vec<&str> = dotted.split('.').collect();
    let common = path.len().min(segments.len());
    let same = path.iter().zip(&segments).all(|(step, segment)| step.matches(segment));
    same.then(|| &path[common..])
}

/// Sets the value at a path, making objects on the way where there is nothing yet.
fn apply(section: &mut Json, o: &Override) -> Result<()> {
    let mut at = section;
    let mut done = o.target.part.key().to_owned();
    for segment in o.target.inner() {
        at = match at {
            Json::Object(fields) => {
                let found = fields.iter().position(|(key, _)| key == segment).unwrap_or_else(|| {
                    fields.push((segment.to_owned(), Json::Object(Vec::new())));
                    fields.len() - 1
                });
                &mut fields[found].1
            }
            Json::Array(items) => {
                let count = items.len();
                let item = segment.parse().ok().and_then(|index: usize| items.get_mut(index));
                item.ok_or_else(|| {
                    Error::input(format!("`{done}` is a list of {count}; `{segment}` is no index into it"))
                })?
            }
            other => {
                return Err(Error::input(format!("`{done}` is {}; it has no `{segment}`", other.kind())));
            }
        };
        done = format!("{done}.{segment}");
    }
    *at = o.value.clone();
    Ok(())
}

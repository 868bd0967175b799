//! A section of the recipe with overrides applied, and which value of the sweep is to blame when it cannot be read.
//!
//! Knows documents, places and axes; the meaning of a section is the reader's, which is given.

use super::document::Json;
use super::load::Recipe;
use super::place::{Fault, Place, Step};
use super::sweep::{Axis, Override, Part};
use crate::{Error, Result};

/// The active overrides of one part: axis, entry, and the override itself; outer paths first.
pub(super) type Active<'a> = Vec<(&'a Axis, usize, &'a Override)>;

/// What does not fit in a section with its overrides applied.
pub(super) enum Misfit {
    /// An override has no place in the section: its index among the active ones, and why.
    Path(usize, Error),
    /// The section that results cannot be read.
    Section(Fault),
}

impl Recipe {
    /// The overrides of a part in a combination of entries.
    pub(super) fn active(&self, part: Part, chosen: &[usize]) -> Active<'_> {
        let mut active: Active<'_> = Vec::new();
        for (axis, &entry) in self.axes.iter().zip(chosen) {
            let overrides = axis.entries[entry].overrides.iter();
            active.extend(overrides.filter(|o| o.target.part == part).map(|o| (axis, entry, o)));
        }
        active.sort_by_key(|(.., o)| o.target.depth());
        active
    }

    /// Reads a section with overrides applied.
    pub(super) fn read<T>(
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
    pub(super) fn blame(&self, misfit: Misfit, active: &Active<'_>, chosen: &[usize]) -> Error {
        let fault = match misfit {
            Misfit::Path(i, error) => {
                let (axis, entry, o) = active[i];
                Fault { path: axis.origin(entry, &o.target).steps(), error }
            }
            Misfit::Section(fault) => {
                let cause = active.iter().rev().find_map(|(axis, entry, o)| {
                    let below = below(&fault.path, &o.target.path)?;
                    Some([axis.origin(*entry, &o.target).steps().as_slice(), below].concat())
                });
                match cause {
                    Some(path) => Fault { path, ..fault },
                    None if chosen.is_empty() => fault,
                    None => fault.remark(&format!("this is so in the point `{}`", self.point_name(chosen))),
                }
            }
        };
        fault.into_error(&self.source)
    }
}

/// The steps of a path below a dotted path; none of them when the dotted path leads deeper.
pub(super) fn below<'a>(path: &'a [Step], dotted: &str) -> Option<&'a [Step]> {
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

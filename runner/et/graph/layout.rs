//! Where hardware ids lie: the axes of parallelism, fastest-varying first, and the coordinates of an id on them.

use crate::{Error, Result};

/// The axes that hardware ids count along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    axes: Vec<(String, u32)>,
    span: u32,
}

impl Layout {
    /// A layout of axes with their sizes, fastest-varying first.
    ///
    /// # Errors
    /// There is an axis without name, twice or of size 0, or the sizes span more than 2^31 hardware ids; with the key
    /// below `axes`.
    pub fn new(axes: Vec<(String, u32)>) -> Result<Self> {
        let mut span = 1_u32;
        for (index, (name, size)) in axes.iter().enumerate() {
            let wrong =
                |key: &str, message: String| Error::input(message).key(format!("axes[{index}].{key}"));
            if name.is_empty() {
                return Err(wrong("axis", "an axis needs a name".to_owned()));
            }
            if axes[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(wrong("axis", format!("axis `{name}` is there twice")));
            }
            if *size == 0 {
                return Err(wrong("size", format!("axis `{name}` has size 0, expected at least 1")));
            }
            span = span.checked_mul(*size).filter(|span| *span <= 1 << 31).ok_or_else(|| {
                wrong("size", "the axes up to this one span more than 2^31 hardware ids".to_owned())
            })?;
        }
        Ok(Self { axes, span })
    }

    /// The axes with their sizes, fastest-varying first.
    pub fn axes(&self) -> &[(String, u32)] {
        &self.axes
    }

    /// How many hardware ids there are: the product of all sizes, data-parallel replicas included.
    pub fn span(&self) -> u32 {
        self.span
    }

    /// The id without its coordinate on an axis: equal for ids that differ on that axis only. `None` when there is no
    /// such axis, or nothing varies along it.
    pub(super) fn without_axis(&self, hw: u32, axis: &str) -> Option<u32> {
        let mut stride = 1;
        for (name, size) in &self.axes {
            if name == axis {
                let coordinate = hw / stride % size;
                return (*size > 1).then(|| hw % self.span - coordinate * stride);
            }
            stride *= size;
        }
        None
    }

    /// The axes along which something varies, data parallelism last: those that a configuration for the ranks covers.
    pub(super) fn active_axes(&self) -> Vec<String> {
        let active = self.axes.iter().filter(|(_, size)| *size > 1).map(|(name, _)| name.clone());
        let (replicas, others): (Vec<_>, Vec<_>) = active.partition(|name| name == super::REPLICA_AXIS);
        others.into_iter().chain(replicas).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(axes: &[(&str, u32)]) -> Result<Layout> {
        Layout::new(axes.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect())
    }

    #[test]
    fn ids_that_differ_on_one_axis_only_are_equal_without_it() {
        let layout = layout(&[("tp", 2), ("cp", 1), ("lp", 3)]).unwrap();
        let without = |axis: &str| (0..6).map(|hw| layout.without_axis(hw, axis)).collect::<Vec<_>>();
        assert_eq!(without("tp"), [0, 0, 2, 2, 4, 4].map(Some));
        assert_eq!(without("lp"), [0, 1, 0, 1, 0, 1].map(Some));
        assert_eq!(without("cp"), [None; 6]);
        assert_eq!(without("xp"), [None; 6]);
    }

    #[test]
    fn data_parallelism_is_the_last_active_axis() {
        let layout = layout(&[("dp", 2), ("tp", 4), ("cp", 1), ("lp", 2)]).unwrap();
        assert_eq!(layout.active_axes(), ["tp", "lp", "dp"]);
    }

    #[test]
    fn impossible_axes_are_named() {
        for (axes, start) in [
            (&[("", 2)][..], "axes[0].axis: "),
            (&[("tp", 2), ("tp", 2)], "axes[1].axis: axis `tp` is there twice"),
            (&[("tp", 0)], "axes[0].size: "),
            (&[("tp", 1 << 31), ("lp", 2)], "axes[1].size: "),
        ] {
            let error = layout(axes).unwrap_err().to_string();
            assert!(error.starts_with(start), "{error}");
        }
    }
}

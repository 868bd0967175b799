//! The `size` of a dimension: `auto`, a number, or rows and columns.

use super::spec::{Axis, Parallelism};
use crate::yaml::list;
use crate::yaml::{Node, Value};
use crate::{Error, Result};

/// Rows and columns of a dimension, when the file gives them.
pub(super) type Shape = Option<(u32, u32)>;

/// Checks the written size against `product`, the product of the degrees of the dimension's axes.
///
/// # Errors
///
/// A number or shape that disagrees with the product, or something that is no size.
pub(super) fn read(node: &Node, product: u32, parallelism: &Parallelism) -> Result<Shape> {
    match &node.value {
        Value::Text(text) if text.trim() == "auto" => Ok(None),
        Value::Text(text) if text.trim().starts_with('(') => {
            let inner = text.trim().trim_start_matches('(').trim_end_matches(')');
            let entries = inner.split(',').map(|entry| Side::parse(entry, parallelism));
            let sides: Vec<Side> = entries.collect::<Result<_>>().map_err(|error| node.place(error))?;
            shape(&sides, product).map(Some).map_err(|error| node.place(error))
        }
        Value::Seq(_) => {
            let entries = list(node)?.iter().map(|entry| Side::read(entry, parallelism));
            let sides: Vec<Side> = entries.collect::<Result<_>>()?;
            shape(&sides, product).map(Some).map_err(|error| node.place(error))
        }
        _ => match node.integer() {
            Some(size) if size == i128::from(product) => Ok(None),
            Some(size) => {
                let message =
                    format!("size {size}, but the degrees of the dimension's axes multiply to {product}");
                Err(node.error(message).hint("write `size: auto`, or change `parallelism`"))
            }
            None => {
                let message = format!("expected `auto`, an integer or a pair, found {}", node.found());
                Err(node.error(message).hint("write for example `size: auto` or `size: [4, 8]`"))
            }
        },
    }
}

/// One entry of a pair.
enum Side {
    Auto,
    Known(u32),
}

impl Side {
    fn read(node: &Node, parallelism: &Parallelism) -> Result<Self> {
        match &node.value {
            Value::Text(text) => Self::parse(text, parallelism).map_err(|error| node.place(error)),
            _ => node.integer().and_then(positive).ok_or_else(|| {
                let found = node.found();
                node.error(format!(
                    "expected an integer from 1 to {}, an axis or `auto`, found {found}",
                    u32::MAX
                ))
            }),
        }
    }

    fn parse(text: &str, parallelism: &Parallelism) -> Result<Self> {
        let text = text.trim();
        if text == "auto" {
            return Ok(Self::Auto);
        }
        if let Ok(number) = text.parse::<i128>() {
            return positive(number).ok_or_else(|| {
                Error::input(format!("expected a size from 1 to {}, found `{text}`", u32::MAX))
            });
        }
        Axis::parse(text).map(|axis| Self::Known(parallelism.degree(axis)))
    }
}

fn positive(number: i128) -> Option<Side> {
    u32::try_from(number).ok().filter(|number| *number >= 1).map(Side::Known)
}

fn shape(sides: &[Side], product: u32) -> Result<(u32, u32)> {
    let [rows, columns] = sides else {
        let message = format!("expected two entries (rows and columns), found {}", sides.len());
        return Err(Error::input(message));
    };
    let rest = |known: u32| match product.is_multiple_of(known) {
        true => Ok(product / known),
        false => {
            let message = format!("`auto` cannot be {product} / {known}, which is not a whole number");
            Err(Error::input(message))
        }
    };
    let (rows, columns) = match (rows, columns) {
        (Side::Auto, Side::Auto) => return Err(Error::input("at most one entry of a pair may be `auto`")),
        (Side::Known(rows), Side::Auto) => (*rows, rest(*rows)?),
        (Side::Auto, Side::Known(columns)) => (rest(*columns)?, *columns),
        (Side::Known(rows), Side::Known(columns)) => (*rows, *columns),
    };
    if u64::from(rows) * u64::from(columns) != u64::from(product) {
        let message = format!(
            "shape {rows} × {columns}, but the degrees of the dimension's axes multiply to {product}"
        );
        return Err(Error::input(message));
    }
    Ok((rows, columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_size(text: &str) -> Result<Shape> {
        let tree = crate::yaml::parse(format!("size: {text}").as_bytes(), "t").unwrap();
        let parallelism = Parallelism { tp: 4, cp: 8, lp: 1, dp: 1 };
        read(tree.get("size").unwrap(), 32, &parallelism)
    }

    #[test]
    fn a_size_is_auto_or_the_product_or_a_pair_that_multiplies_to_it() {
        for text in ["auto", "32", "'32'", "32.0"] {
            assert_eq!(read_size(text).unwrap(), None, "{text}");
        }
        for (text, shape) in [
            ("[4, 8]", (4, 8)),
            ("(4,8)", (4, 8)),
            ("(tp, cp)", (4, 8)),
            ("[tp, auto]", (4, 8)),
            ("(auto, 16)", (2, 16)),
            ("[1, 32]", (1, 32)),
        ] {
            assert_eq!(read_size(text).unwrap(), Some(shape), "{text}");
        }
    }

    #[test]
    fn a_size_that_disagrees_with_the_axes_is_refused() {
        for text in [
            "16",
            "'64'",
            "[4, 4]",
            "[auto, auto]",
            "(5, auto)",
            "[2, 2, 8]",
            "[0, auto]",
            "(xp, 8)",
            "many",
            "-32",
        ] {
            assert!(read_size(text).is_err(), "{text}");
        }
    }
}

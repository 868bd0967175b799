//! Bandwidth as hardware files write it.
//!
//! Here `K`, `M`, `G`, `T` are powers of 1024 (`100 GB` is 100 × 2^30 bytes/s), `b` is a bit and `B` a byte, as in
//! DeepFlow. A recipe's units are decimal; see `docs/deepflow.md`.

use crate::yaml::{Node, Value};
use crate::{Error, Result};

const FORMS: &str = "write a number and a unit separated by a blank, such as `100 GB` (100 × 2^30 bytes/s), \
                     `400 Gb`, `1 TB`, or a plain number of bytes per second";

/// Bytes per second of a bandwidth.
///
/// # Errors
///
/// Anything that is not a positive finite number, with or without a unit of the table above.
pub(super) fn bytes_per_s(node: &Node) -> Result<f64> {
    let value = match (node.number(), &node.value) {
        (Some(number), _) => number,
        (None, Value::Text(text)) => with_unit(text).map_err(|error| node.place(error))?,
        (None, _) => {
            return Err(node.error(format!("expected a bandwidth, found {}", node.found())).hint(FORMS));
        }
    };
    if value > 0.0 && value.is_finite() {
        Ok(value)
    } else {
        Err(node.error(format!("expected a bandwidth above 0, found {}", node.found())))
    }
}

/// Number and unit in either order; what follows the unit's second letter (`/s`) is not read.
fn with_unit(text: &str) -> Result<f64> {
    let cannot = || Error::input(format!("cannot read the bandwidth `{text}`")).hint(FORMS);
    let is_number = |word: &&str| word.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.split_whitespace().find(is_number).ok_or_else(cannot)?;
    let unit = text.split_whitespace().find(|word| !is_number(word)).ok_or_else(cannot)?;
    let number: f64 = number.parse().map_err(|_| cannot())?;
    let mut letters = unit.chars();
    let prefix = match letters.next() {
        Some('K') => 1_u64 << 10,
        Some('M') => 1 << 20,
        Some('G') => 1 << 30,
        Some('T') => 1 << 40,
        _ => {
            let message = format!("unknown unit `{unit}` in the bandwidth `{text}`");
            return Err(Error::input(message).hint("a unit begins with K, M, G or T (capital)"));
        }
    };
    let bits_per_letter = match letters.next() {
        Some('B') | None => 1.0,
        Some('b') => 8.0,
        Some('i') => {
            let plain = unit.replacen('i', "", 1);
            let message = format!("unknown unit `{unit}` in the bandwidth `{text}`");
            return Err(Error::input(message).hint(format!("write `{plain}`: here it is binary already")));
        }
        Some(_) => {
            let message = format!("unknown unit `{unit}` in the bandwidth `{text}`");
            return Err(Error::input(message).hint("after the prefix comes `B` (bytes) or `b` (bits)"));
        }
    };
    Ok(number * prefix as f64 / bits_per_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<f64> {
        bytes_per_s(&Node::unplaced(Value::Text(text.into())))
    }

    #[test]
    fn prefixes_are_binary_and_a_small_b_is_a_bit() {
        for (text, expected) in [
            ("100 GB", 107_374_182_400.0),
            ("GB 100", 107_374_182_400.0),
            ("100 GB/s", 107_374_182_400.0),
            ("100  G", 107_374_182_400.0),
            ("100 Gb", 13_421_772_800.0),
            ("1 TB", 1_099_511_627_776.0),
            ("3 Mb", 393_216.0),
            ("1 KB", 1024.0),
            ("107374182400", 107_374_182_400.0),
            ("1e11", 1e11),
        ] {
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_a_bandwidth_is_refused() {
        for text in [
            "100GB", "100.5 GB", "100 GiB", "1 Tx", "100 gb", "5 XB", "GB", "", "0", "-5", "inf", "nan",
            "0 GB",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(bytes_per_s(&Node::unplaced(Value::Null)).is_err());
        assert_eq!(read("100 GiB").unwrap_err().hint_text(), Some("write `GB`: here it is binary already"));
    }
}

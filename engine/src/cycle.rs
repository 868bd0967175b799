//! How a cycle is written: all of a short one, beginning and end of a long one.

use std::fmt::{self, Display, Formatter};

/// Cycles of more members than this are cut.
const LONGEST_WHOLE: usize = 9;
/// How many members of a cut cycle are written before the gap; the last one follows it.
const BEFORE_GAP: usize = 7;

/// Writes the members with `joint` between them.
pub(crate) fn write_cycle<T: Display>(f: &mut Formatter<'_>, members: &[T], joint: &str) -> fmt::Result {
    let is_cut = members.len() > LONGEST_WHOLE;
    for (position, member) in members.iter().enumerate() {
        match position {
            0 => write!(f, "{member}")?,
            BEFORE_GAP if is_cut => write!(f, "{joint}…")?,
            _ if is_cut && position > BEFORE_GAP && position + 1 < members.len() => {}
            _ => write!(f, "{joint}{member}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Cycle(Vec<u32>);

    impl Display for Cycle {
        fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
            write_cycle(f, &self.0, " → ")
        }
    }

    #[test]
    fn a_long_cycle_keeps_its_beginning_and_its_end() {
        assert_eq!(Cycle(vec![1, 2, 1]).to_string(), "1 → 2 → 1");
        assert_eq!(Cycle((1..=9).collect()).to_string(), "1 → 2 → 3 → 4 → 5 → 6 → 7 → 8 → 9");
        assert_eq!(Cycle((1..=20).collect()).to_string(), "1 → 2 → 3 → 4 → 5 → 6 → 7 → … → 20");
    }
}

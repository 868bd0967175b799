//! Which part of a simulation a timeline shows.

use astra_engine::{Nanos, Rank};

use crate::error::{Error, ErrorKind, Result};
use crate::report::format_nanos;

/// Ranks, as ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RankSet(Vec<(u32, u32)>);

impl RankSet {
    /// Reads `0-3,8`.
    ///
    /// # Errors
    /// When the text is not of that form, or a range goes backwards.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |part: &str| {
            Error::new(ErrorKind::Usage, format!("`{part}` is neither a rank nor a range of ranks"))
                .hint("write ranks and ranges with commas between them, such as 0-3,8")
        };
        let mut ranges = Vec::new();
        for part in text.split(',').map(str::trim) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| text.trim().parse::<u32>().map_err(|_| wrong(part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                let message = format!("the range `{part}` ends before it begins");
                return Err(Error::new(ErrorKind::Usage, message).hint(format!("write {last}-{first}")));
            }
            ranges.push((first, last));
        }
        Ok(Self(ranges))
    }

    /// Whether a rank is among them.
    pub fn contains(&self, rank: Rank) -> bool {
        self.0.iter().any(|&(first, last)| (first..=last).contains(&rank.0))
    }

    /// Sees whether a simulation of so many ranks has all of them.
    ///
    /// # Errors
    /// The first that it does not have.
    pub fn check(&self, ranks: u32) -> Result<()> {
        let Some(&(first, _)) = self.0.iter().find(|&&(_, last)| last >= ranks) else { return Ok(()) };
        let (unknown, last) = (first.max(ranks), ranks.saturating_sub(1));
        let message = format!("there is no rank {unknown}: the ranks are 0 to {last}");
        Err(Error::new(ErrorKind::Usage, message))
    }
}

/// Which part of a simulation a timeline shows. An interval is shown whole when a part of it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Whose nodes; `None` for all.
    pub ranks: Option<RankSet>,
    /// From when on.
    pub from: Nanos,
    /// Until when.
    pub to: Nanos,
    /// Whether the chunks of collectives are shown.
    pub chunks: bool,
    /// Whether links are shown: what they carry from and to the selected ranks.
    pub links: bool,
}

impl Selection {
    /// All nodes of all ranks, at all times.
    pub const ALL_NODES: Self =
        Self { ranks: None, from: Nanos(0), to: Nanos(u64::MAX), chunks: false, links: false };

    /// Sees whether there is a time at which there can be anything to show.
    ///
    /// # Errors
    /// Times that leave nothing.
    pub fn check_times(&self) -> Result<()> {
        if self.from > self.to {
            let (from, to) = (format_nanos(self.from.0), format_nanos(self.to.0));
            let message = format!("a timeline from {from} to {to} ends before it begins");
            return Err(Error::new(ErrorKind::Usage, message));
        }
        Ok(())
    }

    pub(super) fn has_rank(&self, rank: Rank) -> bool {
        self.ranks.as_ref().is_none_or(|set| set.contains(rank))
    }

    pub(super) fn has_time(&self, start: Nanos, end: Nanos) -> bool {
        start <= self.to && end >= self.from
    }
}

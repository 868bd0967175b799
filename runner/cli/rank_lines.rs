//! What the original prints of a simulation: the lines that programs around it look for.

use std::io::{self, Write};

use astra_engine::{Rank, RankReport, Report};

use crate::astrasim::{RankLine, Said};

use super::moments;

/// The lines of all ranks, in the order in which they finish.
pub(super) struct RankLines {
    /// Whether the time of day and the logger stand in front, as in the original; without, equal runs print equal text.
    prefixed: bool,
}

impl RankLines {
    pub(super) fn new(prefixed: bool) -> Self {
        Self { prefixed }
    }

    pub(super) fn write(&self, out: &mut dyn Write, report: &Report) -> io::Result<()> {
        for &rank in &report.finish_order {
            self.write_rank(out, rank, &report.ranks[rank.0 as usize])?;
        }
        // The last thing that the original says; without the logger it would say nothing.
        if self.prefixed { self.line(out, "system", "warning", "Exiting") } else { Ok(()) }
    }

    fn write_rank(&self, out: &mut dyn Write, rank: Rank, r: &RankReport) -> io::Result<()> {
        let of = |said| RankLine { rank: rank.0.into(), said }.to_string();
        self.line(out, "workload", "info", &of(Said::finished(r)))?;
        let mut statistics = |text: &str| self.line(out, "statistics", "info", text);
        statistics(&format!("sys[{rank}]. Post statistics processing start."))?;
        statistics(&format!("sys[{rank}]. Post statistics processing end."))?;
        Said::times(r).try_for_each(|time| statistics(&of(time)))
    }

    fn line(&self, out: &mut dyn Write, logger: &str, level: &str, text: &str) -> io::Result<()> {
        if self.prefixed {
            write!(out, "[{}] [{logger}] [{level}] ", moments::in_log(moments::unix_ms_now()))?;
        }
        writeln!(out, "{text}")
    }
}

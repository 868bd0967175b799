//! The lines with figures that the simulator prints of a rank: written as it writes them, and read with or without time of day
//! and logger in front. Programs around the simulator look for these.

use std::fmt;

use astra_engine::RankReport;

/// A line about a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RankLine {
    /// The rank, whether or not there is one of that number.
    pub rank: u64,
    /// What is said of it.
    pub said: Said,
}

/// What a line says of a rank. A cycle is a nanosecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It finished at this cycle, and so many of the cycles before were exposed communication.
    Finished {
        /// When.
        cycles: u64,
        /// Of these, not hidden behind computation.
        exposed: u64,
    },
    /// So many nanoseconds of something.
    Time(Time, u64),
}

/// What time is spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// All of it, from the beginning to the finish.
    Wall,
    /// Nodes that compute on the GPU.
    Gpu,
    /// Nodes that compute on the CPU.
    Cpu,
    /// Communication.
    Comm,
    /// Remote memory.
    Memory,
    /// Computation and communication at once.
    Overlap,
}

impl Time {
    /// In the order of the lines.
    const ALL: [Self; 6] = [Self::Wall, Self::Gpu, Self::Cpu, Self::Comm, Self::Memory, Self::Overlap];

    fn name(self) -> &'static str {
        match self {
            Self::Wall => "Wall time",
            Self::Gpu => "GPU time",
            Self::Cpu => "CPU time",
            Self::Comm => "Comm time",
            Self::Memory => "Remote mem time",
            Self::Overlap => "Total compute-communication overlap",
        }
    }

    /// How much of it a rank has, if there is a line for that.
    fn of(self, r: &RankReport) -> Option<u64> {
        let time = match self {
            Self::Wall => Some(r.finish),
            Self::Gpu => r.gpu,
            Self::Cpu => r.cpu,
            Self::Comm => r.comm,
            Self::Memory => r.memory,
            Self::Overlap => r.overlap.filter(|overlap| overlap.0 > 0),
        };
        time.map(|time| time.0)
    }
}

impl Said {
    /// That a rank finished.
    pub fn finished(r: &RankReport) -> Self {
        Self::Finished { cycles: r.finish.0, exposed: r.exposed.0 }
    }

    /// The times of a rank, in the order of the lines.
    pub fn times(r: &RankReport) -> impl Iterator<Item = Self> {
        Time::ALL.into_iter().filter_map(move |time| Some(Self::Time(time, time.of(r)?)))
    }
}

impl RankLine {
    /// Reads a line; nothing when it is another one or is cut.
    pub fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.split_once("sys[")?;
        let (rank, rest) = rest.split_once(']')?;
        let rank = rank.parse().ok()?;
        if let Some(finished) = rest.strip_prefix(" finished, ") {
            let (cycles, exposed) = finished.split_once(" cycles, exposed communication ")?;
            let exposed = exposed.trim_end().strip_suffix(" cycles.")?;
            let said = Said::Finished { cycles: cycles.parse().ok()?, exposed: exposed.parse().ok()? };
            return Some(Self { rank, said });
        }
        let (name, time) = rest.strip_prefix(", ")?.split_once(": ")?;
        let what = Time::ALL.into_iter().find(|what| what.name() == name)?;
        Some(Self { rank, said: Said::Time(what, time.trim_end().parse().ok()?) })
    }
}

impl fmt::Display for RankLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rank = self.rank;
        match self.said {
            Said::Finished { cycles, exposed } => {
                write!(f, "sys[{rank}] finished, {cycles} cycles, exposed communication {exposed} cycles.")
            }
            Said::Time(what, time) => write!(f, "sys[{rank}], {}: {time}", what.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_the_original_and_are_read_as_they_are_written() {
        let said = |said| RankLine { rank: 7, said };
        for (text, line) in [
            (
                "sys[7] finished, 43000 cycles, exposed communication 18446744073709551615 cycles.",
                said(Said::Finished { cycles: 43_000, exposed: u64::MAX }),
            ),
            ("sys[7], Wall time: 43000", said(Said::Time(Time::Wall, 43_000))),
            ("sys[7], GPU time: 1", said(Said::Time(Time::Gpu, 1))),
            ("sys[7], CPU time: 2", said(Said::Time(Time::Cpu, 2))),
            ("sys[7], Comm time: 3", said(Said::Time(Time::Comm, 3))),
            ("sys[7], Remote mem time: 4", said(Said::Time(Time::Memory, 4))),
            ("sys[7], Total compute-communication overlap: 5", said(Said::Time(Time::Overlap, 5))),
        ] {
            assert_eq!(line.to_string(), text);
            assert_eq!(
                RankLine::parse(&format!("[2026-11-22 23:54:09.401] [x] [info] {text}\n")),
                Some(line)
            );
        }
    }

    #[test]
    fn lines_that_are_cut_or_of_something_else_say_nothing() {
        for line in [
            "",
            "sys[",
            "sys[0",
            "sys[-1], Wall time: 5",
            "sys[0] finished, 12",
            "sys[0] finished, 12 cycles, exposed communication 3",
            "sys[0], Wall time: ",
            "sys[0], Wall time: 1e5",
            "sys[0], Wall time: 99999999999999999999",
            "sys[0], Wall clock: 5",
        ] {
            assert_eq!(RankLine::parse(line), None, "{line}");
        }
    }
}

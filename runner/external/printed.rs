//! The figures in what a simulator prints: for each rank when it finished and what it spent its time on.
//!
//! Success is judged here, by the lines alone: the simulator ends with success also when ranks wait for each other for ever.

use std::fmt;

use crate::astrasim::{RankLine, Said, Time};
use crate::report::RunResult;

/// The longest line that can be one of a rank's, in bytes.
pub(super) const LONGEST: usize = 512;

/// How many ranks a message names.
const NAMED: usize = 8;

/// What has been printed of each rank so far.
#[derive(Clone, Debug)]
pub struct Figures {
    ranks: Vec<Rank>,
    finish_order: Vec<u32>,
    /// The first line that contradicts another, or the number of ranks.
    contradiction: Option<String>,
}

/// Times in nanoseconds.
#[derive(Clone, Debug, Default)]
struct Rank {
    finish: Option<u64>,
    exposed: Option<u64>,
    wall: Option<u64>,
    gpu: Option<u64>,
    cpu: Option<u64>,
    comm: Option<u64>,
    memory: Option<u64>,
    overlap: Option<u64>,
}

/// Why what was printed is no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incomplete {
    /// Lines that cannot both be right.
    Contradiction(String),
    /// Ranks without the line that they finished, of so many.
    Unfinished(Vec<u32>, usize),
    /// Ranks that finished, and have no wall time.
    NoTime(Vec<u32>),
    /// Ranks that finished at time 0.
    Zero(Vec<u32>),
}

impl Figures {
    /// Nothing, of so many ranks.
    pub fn new(ranks: usize) -> Self {
        Self { ranks: vec![Rank::default(); ranks], finish_order: Vec::new(), contradiction: None }
    }

    /// How many ranks have finished.
    pub fn finished(&self) -> u32 {
        self.finish_order.len() as u32
    }

    /// Takes a line into account, if it is one of a rank's.
    pub fn line(&mut self, line: &str) {
        let Some(RankLine { rank, said }) = RankLine::parse(line) else { return };
        if let Some(contradiction) = self.take(rank, said) {
            self.contradiction.get_or_insert(contradiction);
        }
    }

    /// Gives the contradiction, if this line is one.
    fn take(&mut self, number: u64, said: Said) -> Option<String> {
        let count = self.ranks.len();
        let Some(rank) = usize::try_from(number).ok().and_then(|i| self.ranks.get_mut(i)) else {
            return Some(format!("there is a line about rank {number}, and there are {count} ranks"));
        };
        let (known, value, what) = match said {
            Said::Finished { cycles, exposed } => {
                rank.exposed = Some(exposed);
                if rank.finish.is_none() {
                    self.finish_order.push(number as u32);
                }
                (&mut rank.finish, cycles, "finish")
            }
            Said::Time(Time::Wall, time) => (&mut rank.wall, time, "wall time"),
            Said::Time(Time::Gpu, time) => (&mut rank.gpu, time, "GPU time"),
            Said::Time(Time::Cpu, time) => (&mut rank.cpu, time, "CPU time"),
            Said::Time(Time::Comm, time) => (&mut rank.comm, time, "communication time"),
            Said::Time(Time::Memory, time) => (&mut rank.memory, time, "remote memory time"),
            Said::Time(Time::Overlap, time) => (&mut rank.overlap, time, "overlap"),
        };
        known.replace(value).map(|_| format!("the {what} of rank {number} is printed twice"))
    }

    /// The result, if every rank finished and every time is there and above 0.
    ///
    /// # Errors
    /// What is missing.
    pub fn result(&self) -> Result<RunResult, Incomplete> {
        let those = |lacks: fn(&Rank) -> bool| -> Option<Vec<u32>> {
            let ranks: Vec<u32> =
                (0..).zip(&self.ranks).filter(|(_, r)| lacks(r)).map(|(rank, _)| rank).collect();
            (!ranks.is_empty()).then_some(ranks)
        };
        if let Some(contradiction) = &self.contradiction {
            return Err(Incomplete::Contradiction(contradiction.clone()));
        }
        if let Some(unfinished) = those(|r| r.finish.is_none()) {
            return Err(Incomplete::Unfinished(unfinished, self.ranks.len()));
        }
        if let Some(ranks) = those(|r| r.finish == Some(0) || r.wall == Some(0)) {
            return Err(Incomplete::Zero(ranks));
        }
        if let Some(ranks) = those(|r| r.wall.is_none()) {
            return Err(Incomplete::NoTime(ranks));
        }
        let of = |f: fn(&Rank) -> Option<u64>| {
            self.ranks.iter().map(|r| f(r).unwrap_or_default()).collect::<Vec<_>>()
        };
        let rank_finish_ns = of(|r| r.finish);
        Ok(RunResult {
            finish_ns: rank_finish_ns.iter().copied().max().unwrap_or_default(),
            rank_finish_ns,
            rank_exposed_ns: of(|r| r.exposed),
            rank_compute_ns: of(|r| r.gpu),
            rank_communication_ns: of(|r| r.comm),
            rank_overlap_ns: of(|r| r.overlap),
            rank_cpu_ns: of(|r| r.cpu),
            rank_memory_ns: of(|r| r.memory),
            finish_order: self.finish_order.clone(),
        })
    }
}

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contradiction(what) => write!(f, "it cannot be believed: {what}"),
            Self::Unfinished(ranks, all) if ranks.len() == *all => write!(f, "no rank of {all} finished"),
            Self::Unfinished(ranks, all) => {
                write!(f, "{} of {all} ranks never finished: {}", ranks.len(), named(ranks))
            }
            Self::NoTime(ranks) => write!(f, "it printed no wall time of {}", of_ranks(ranks)),
            Self::Zero(ranks) => write!(f, "it printed a time of 0 for {}", of_ranks(ranks)),
        }
    }
}

fn of_ranks(ranks: &[u32]) -> String {
    let word = if ranks.len() == 1 { "rank" } else { "ranks" };
    format!("{word} {}", named(ranks))
}

/// `1, 2, 3` and how many more.
fn named(ranks: &[u32]) -> String {
    let first: Vec<String> = ranks.iter().take(NAMED).map(u32::to_string).collect();
    match ranks.len().checked_sub(NAMED) {
        None | Some(0) => first.join(", "),
        Some(more) => format!("{} and {more} more", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(ranks: usize, text: &str) -> Figures {
        let mut figures = Figures::new(ranks);
        text.lines().for_each(|line| figures.line(line));
        figures
    }

    /// As the original prints it, the kinds of time in an order of its own.
    const PRINTED: &str = "\
[2026-11-22 23:54:09.401] [system::topology::RingTopology] [info] ring of node 0, id: 0 dimension: local
[2026-11-22 23:54:09.401] [workload] [info] sys[1] finished, 31905 cycles, exposed communication 27905 cycles.
[2026-11-22 23:54:09.401] [statistics] [info] sys[1]. Post statistics processing start.
[2026-11-22 23:54:09.401] [statistics] [info] sys[1]. Post statistics processing end.
[2026-11-22 23:54:09.401] [statistics] [info] sys[1], Wall time: 31905
[2026-11-22 23:54:09.401] [statistics] [info] sys[1], Comm time: 30905
[2026-11-22 23:54:09.401] [statistics] [info] sys[1], GPU time: 4000
[2026-11-22 23:54:09.401] [statistics] [info] sys[1], Total compute-communication overlap: 3000
sys[0] finished, 43000 cycles, exposed communication 18446744073709551615 cycles.
sys[0]. Post statistics processing end.
sys[0], Wall time: 43000
sys[0], Compute bound percentage: 12.500%
[2026-11-22 23:54:09.402] [system] [warning] Exiting
";

    #[test]
    fn figures_are_by_rank_whatever_the_order_of_the_lines() {
        let figures = figures(2, PRINTED);
        assert_eq!(figures.finished(), 2);
        let result = figures.result().unwrap();
        assert_eq!((result.finish_ns, &result.rank_finish_ns[..]), (43000, &[43000, 31905][..]));
        assert_eq!(result.rank_exposed_ns, [u64::MAX, 27905]);
        assert_eq!(
            (&result.rank_compute_ns[..], &result.rank_communication_ns[..]),
            (&[0, 4000][..], &[0, 30905][..])
        );
        assert_eq!((&result.rank_overlap_ns[..], &result.rank_cpu_ns[..]), (&[0, 3000][..], &[0, 0][..]));
        assert_eq!(result.finish_order, [1, 0]);
    }

    #[test]
    fn without_every_line_of_every_rank_there_is_no_result() {
        let without = |needle: &str| -> String {
            PRINTED.lines().filter(|line| !line.contains(needle)).map(|line| format!("{line}\n")).collect()
        };
        let incomplete = |ranks, text: &str| figures(ranks, text).result().unwrap_err().to_string();
        assert_eq!(incomplete(2, &without("sys[1] finished")), "1 of 2 ranks never finished: 1");
        assert_eq!(incomplete(2, ""), "no rank of 2 finished");
        assert_eq!(
            incomplete(20, PRINTED),
            "18 of 20 ranks never finished: 2, 3, 4, 5, 6, 7, 8, 9 and 10 more"
        );
        assert_eq!(incomplete(2, &without("sys[0], Wall time")), "it printed no wall time of rank 0");
        let zero = PRINTED.replace("Wall time: 43000", "Wall time: 0");
        assert_eq!(incomplete(2, &zero), "it printed a time of 0 for rank 0");
        let zero = PRINTED.replace("finished, 31905", "finished, 0");
        assert_eq!(incomplete(2, &zero), "it printed a time of 0 for rank 1");
    }

    #[test]
    fn lines_that_contradict_each_other_are_no_result() {
        let refused = |text: &str| figures(2, &format!("{PRINTED}{text}")).result().unwrap_err().to_string();
        let again = "sys[0] finished, 43000 cycles, exposed communication 1 cycles.";
        assert_eq!(refused(again), "it cannot be believed: the finish of rank 0 is printed twice");
        let beyond = "sys[99999999999] finished, 1 cycles, exposed communication 1 cycles.";
        let expected = "it cannot be believed: there is a line about rank 99999999999, and there are 2 ranks";
        assert_eq!(refused(beyond), expected);
    }
}

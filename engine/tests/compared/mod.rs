//! The figures of a rank that are compared with recorded runs, by the names that the records have for them.

use astra_engine::{Nanos, RankReport};

/// A figure of a rank's report.
pub(crate) type Figure = fn(&RankReport) -> Option<Nanos>;

pub(crate) const FIGURES: [(&str, Figure); 5] = [
    ("finish", |rank| Some(rank.finish)),
    ("exposed", |rank| Some(rank.exposed)),
    ("gpu", |rank| rank.gpu),
    ("comm", |rank| rank.comm),
    ("overlap", |rank| rank.overlap),
];

//! What a build found out: the report over a recipe's points, a single result, and how both are shown.
//!
//! Values in, text out. Knows neither the store nor terminals.

mod figures;
mod links;
mod nodes;
mod result;
mod rows;
mod stall;
mod table;
mod timeline;

pub use figures::{bus_bandwidth, format_bandwidth, format_bytes, format_nanos};
pub use links::LinkReport;
pub use nodes::nodes_csv;
pub use result::RunResult;
pub use rows::{Index, Report, Row};
pub use stall::stall_json;
pub use table::{Align, Table};
pub use timeline::{RankSet, Selection, Timeline};

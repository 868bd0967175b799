//! What a build found out: the report over a recipe's points, a single result, and how both are shown.
//!
//! Values in, text out. Knows neither the store nor terminals.

mod figures;
mod result;
mod rows;
mod table;

pub use figures::{bus_bandwidth, format_bandwidth, format_bytes, format_nanos};
pub use result::RunResult;
pub use rows::{Index, Report, Row};
pub use table::{Align, Table};

//! The table of a recipe's points.

use crate::exec::PointStatus;
use crate::report::{Align, Row, Table, format_bandwidth, format_nanos};

/// One row per point: what varies, ranks, when the last rank finished, bus bandwidth where there is one, and the
/// status where it is known.
pub(super) fn points<'a>(
    recipe: &str,
    axes: &[String],
    rows: impl Iterator<Item = (&'a Row, Option<PointStatus>)> + Clone,
) -> Table {
    let bandwidth = rows.clone().any(|(row, _)| row.bus_bandwidth_bytes_per_s.is_some());
    let status = rows.clone().any(|(_, status)| status.is_some());
    let mut columns: Vec<(String, Align)> = axes.iter().map(|a| (a.clone(), Align::Left)).collect();
    if columns.is_empty() {
        columns.push(("recipe".to_owned(), Align::Left));
    }
    let ranks = !axes.iter().any(|a| a == "ranks");
    if ranks {
        columns.push(("ranks".to_owned(), Align::Right));
    }
    columns.push(("finish".to_owned(), Align::Right));
    if bandwidth {
        columns.push(("bus bandwidth".to_owned(), Align::Right));
    }
    if status {
        columns.push(("status".to_owned(), Align::Left));
    }
    let mut table = Table::new(columns);
    for (row, point_status) in rows {
        let mut cells = if row.axes.is_empty() { vec![recipe.to_owned()] } else { row.axes.clone() };
        if ranks {
            cells.push(row.ranks.map_or_else(none, |ranks| ranks.to_string()));
        }
        cells.push(row.finish_ns.map_or_else(none, format_nanos));
        if bandwidth {
            cells.push(row.bus_bandwidth_bytes_per_s.map_or_else(none, format_bandwidth));
        }
        if status {
            cells.push(point_status.map_or_else(String::new, |s| s.as_str().to_owned()));
        }
        table.row(cells);
    }
    table
}

fn none() -> String {
    "-".to_owned()
}

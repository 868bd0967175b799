//! Aligned text columns.

use std::io::{self, Write};

/// How a column is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Rows of text under headings. Widths are counted in characters.
#[derive(Debug)]
pub struct Table {
    columns: Vec<(String, Align)>,
    cells: Vec<String>,
}

impl Table {
    /// A table with headings and no rows.
    pub fn new(columns: impl IntoIterator<Item = (impl Into<String>, Align)>) -> Self {
        Self { columns: columns.into_iter().map(|(h, a)| (h.into(), a)).collect(), cells: Vec::new() }
    }

    /// Adds a row; missing cells are empty, surplus ones dropped. What would do something else to a terminal than appear
    /// on it is escaped: names and labels come from elsewhere.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let width = self.columns.len();
        let end = self.cells.len() + width;
        let shown = |cell: String| match cell.contains(char::is_control) {
            true => cell.escape_debug().to_string(),
            false => cell,
        };
        self.cells.extend(cells.into_iter().take(width).map(shown));
        self.cells.resize(end, String::new());
    }

    /// Whether no row was added.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Writes headings and rows, two blanks between columns, no trailing blanks.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let count = self.columns.len().max(1);
        let mut widths: Vec<usize> = self.columns.iter().map(|(h, _)| h.chars().count()).collect();
        for (i, cell) in self.cells.iter().enumerate() {
            widths[i % count] = widths[i % count].max(cell.chars().count());
        }
        let headings: Vec<String> = self.columns.iter().map(|(h, _)| h.clone()).collect();
        let mut line = String::new();
        for row in std::iter::once(headings.as_slice()).chain(self.cells.chunks(count)) {
            line.clear();
            for ((cell, width), (_, align)) in row.iter().zip(&widths).zip(&self.columns) {
                let pad = width - cell.chars().count();
                if *align == Align::Right {
                    line.extend(std::iter::repeat_n(' ', pad));
                }
                line.push_str(cell);
                if *align == Align::Left {
                    line.extend(std::iter::repeat_n(' ', pad));
                }
                line.push_str("  ");
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_without_blanks() {
        let mut table = Table::new([("size", Align::Left), ("finish", Align::Right)]);
        table.row(["1 KiB".to_owned(), "9".to_owned()]);
        table.row(["1024 KiB".to_owned(), "1000".to_owned()]);
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "size      finish\n1 KiB          9\n1024 KiB    1000\n");
    }

    #[test]
    fn what_would_control_a_terminal_is_escaped() {
        let mut table = Table::new([("name", Align::Left)]);
        table.row(["a\u{1b}[2J\nforged".to_owned()]);
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "name\na\\u{1b}[2J\\nforged\n");
    }
}

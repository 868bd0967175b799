//! The table as text: `collective,min_bytes,max_bytes,algorithm[,protocol,channels,nNodes,nRanks,numPipeOps,regBuff]`.
//!
//! Source of the layout: the public description of the configuration files of NCCL's example tuner plugin. Beyond it
//! `ring+direct` names an algorithm for each dimension.

use std::fmt;

use astra_policy::{Algorithm, Collective};

/// One row of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Line of the text, from 1.
    pub line: u64,
    /// The collective it is about.
    pub collective: Collective,
    /// Smallest size it is for.
    pub min_bytes: u64,
    /// Largest size it is for.
    pub max_bytes: u64,
    /// What to use: one algorithm for every dimension, or as many as there are dimensions.
    pub algorithms: Vec<Algorithm>,
    /// Number of taking part ranks it is for; `None` is any.
    pub ranks: Option<u64>,
}

impl Row {
    /// Whether the row is about this; a row for another number of dimensions is not.
    pub fn fits(&self, collective: Collective, bytes: u64, ranks: u64, dimensions: usize) -> bool {
        let size = self.min_bytes..=self.max_bytes;
        self.collective == collective
            && size.contains(&bytes)
            && self.ranks.is_none_or(|wanted| wanted == ranks)
            && (self.algorithms.len() == 1 || self.algorithms.len() == dimensions)
    }

    /// The algorithm for each of so many dimensions, of a row that fits.
    pub fn on(&self, dimensions: usize) -> impl Iterator<Item = Algorithm> {
        self.algorithms.iter().copied().cycle().take(dimensions)
    }
}

/// A table; [`Table::parse`] reads what its `Display` writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The rows, first come first served.
    pub rows: Vec<Row>,
}

impl Table {
    /// Reads a table. Lines that are empty or begin with `#` are skipped.
    ///
    /// # Errors
    /// The first line that is wrong, with its number, what was found and what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines = (1..).zip(text.lines());
        let rows = lines.filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
        let row = |(number, line): (u64, &str)| {
            row(number, line).map_err(|wrong| format!("line {number} of the table: {wrong}"))
        };
        Ok(Self { rows: rows.map(row).collect::<Result<_, _>>()? })
    }
}

/// The columns behind the first four, which may be left out.
const OPTIONAL: [&str; 6] = ["protocol", "channels", "nNodes", "nRanks", "numPipeOps", "regBuff"];

fn row(line: u64, text: &str) -> Result<Row, String> {
    let fields: Vec<&str> = text.split(',').map(str::trim).collect();
    let [collective, min_bytes, max_bytes, algorithm, optional @ ..] = fields.as_slice() else {
        return Err(format!("{} columns, expected collective,min_bytes,max_bytes,algorithm,…", fields.len()));
    };
    if optional.len() > OPTIONAL.len() {
        return Err(format!("{} columns, there are at most {}", fields.len(), 4 + OPTIONAL.len()));
    }
    let mut ranks = None;
    for (name, field) in OPTIONAL.into_iter().zip(optional) {
        match name {
            "nRanks" => ranks = if *field == "-1" { None } else { Some(number(name, field)?) },
            // A protocol is how NCCL moves bytes; a simulation has one way.
            "protocol" => protocol(field)?,
            _ if *field == "-1" => {}
            _ => {
                return Err(format!(
                    "{name} is `{field}`, which a simulation does not know; write -1 for any"
                ));
            }
        }
    }
    let (min_bytes, max_bytes) = (number("min_bytes", min_bytes)?, number("max_bytes", max_bytes)?);
    if min_bytes > max_bytes {
        return Err(format!("min_bytes {min_bytes} is above max_bytes {max_bytes}"));
    }
    let collective = self::collective(collective)?;
    let algorithms =
        algorithm.split('+').map(|name| self::algorithm(name.trim())).collect::<Result<_, _>>()?;
    Ok(Row { line, collective, min_bytes, max_bytes, algorithms, ranks })
}

fn number(name: &str, text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{name} is `{text}`, expected a whole number"))
}

fn protocol(text: &str) -> Result<(), String> {
    let known = ["any", "-1", "simple", "ll", "ll128"].contains(&text.to_lowercase().as_str());
    if known { Ok(()) } else { Err(format!("protocol is `{text}`, expected any, simple, ll or ll128")) }
}

fn collective(text: &str) -> Result<Collective, String> {
    let plain = |name: &str| name.to_lowercase().replace(['_', '-'], "");
    let known = || Collective::ALL.map(Collective::name).join(", ");
    Collective::ALL
        .into_iter()
        .find(|collective| plain(collective.name()) == plain(text))
        .ok_or_else(|| format!("collective is `{text}`, expected one of {}", known()))
}

/// NCCL's trees are what `doubleBinaryTree` imitates; its algorithms in switches have no likeness here.
fn algorithm(text: &str) -> Result<Algorithm, String> {
    if text.eq_ignore_ascii_case("tree") {
        return Ok(Algorithm::DoubleBinaryTree);
    }
    let known = || Algorithm::ALL.map(Algorithm::name).join(", ");
    Algorithm::ALL
        .into_iter()
        .find(|algorithm| algorithm.name().eq_ignore_ascii_case(text))
        .ok_or_else(|| format!("algorithm is `{text}`, expected tree or one of {}", known()))
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# collective_type,min_bytes,max_bytes,algorithm,{}", OPTIONAL.join(","))?;
        for row in &self.rows {
            let collective = row.collective.name().replace('_', "");
            let name = |algorithm: &Algorithm| match algorithm {
                Algorithm::DoubleBinaryTree => "tree",
                other => other.name(),
            };
            let algorithm = row.algorithms.iter().map(name).collect::<Vec<_>>().join("+");
            let ranks = row.ranks.map_or_else(|| "-1".to_owned(), |ranks| ranks.to_string());
            let Row { min_bytes, max_bytes, .. } = row;
            writeln!(f, "{collective},{min_bytes},{max_bytes},{algorithm},simple,-1,-1,{ranks},-1,-1")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_is_written_reads_back() {
        let row = |line, collective, algorithm, ranks| Row {
            line,
            collective,
            min_bytes: line,
            max_bytes: u64::MAX,
            algorithms: vec![algorithm; line as usize],
            ranks,
        };
        let mut rows = Vec::new();
        for (index, algorithm) in Algorithm::ALL.into_iter().enumerate() {
            let collective = Collective::ALL[index % Collective::ALL.len()];
            rows.push(row(2 + index as u64, collective, algorithm, (index % 2 == 0).then_some(8)));
        }
        let table = Table { rows };
        assert_eq!(Table::parse(&table.to_string()), Ok(table));
    }

    #[test]
    fn what_is_wrong_is_told_with_line_column_and_what_was_expected() {
        for (text, expected) in [
            ("allreduce,0,1", "line 1 of the table: 3 columns, expected collective,"),
            (
                "\n# x\nallreduce,0,1,nvls",
                "line 3 of the table: algorithm is `nvls`, expected tree or one of ring, ",
            ),
            ("allreduce,0,1,ring+", "algorithm is ``, expected tree or one of ring, "),
            ("broadcast,0,1,ring", "collective is `broadcast`, expected one of all_reduce, "),
            ("allreduce,64k,1,ring", "min_bytes is `64k`, expected a whole number"),
            ("allreduce,2,1,ring", "min_bytes 2 is above max_bytes 1"),
            ("allreduce,0,-1,ring", "max_bytes is `-1`"),
            ("allreduce,0,1,ring,simple,4", "channels is `4`, which a simulation does not know; write -1"),
            ("allreduce,0,1,ring,fast", "protocol is `fast`"),
            ("allreduce,0,1,ring,any,-1,-1,-1,-1,-1,1", "11 columns, there are at most 10"),
        ] {
            let wrong = Table::parse(text).unwrap_err();
            assert!(wrong.contains(expected), "{wrong}");
        }
    }
}

//! The policy `csv`: a table of algorithms by collective, size and ranks; the first row that fits decides.
//!
//! The configuration is the text of the table, in the column layout of the files that NCCL's example tuner reads. Columns
//! that have no meaning in a simulation (protocol, channels, …) have to say "any". A row that no simulator here can carry
//! out is an error when the table is read, not when it is met.
#![forbid(unsafe_code)]

mod table;

use astra_policy::{Answer, Policy, Refusal, Request};

pub use table::{Row, Table};

/// The policy `csv`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csv(
    /// What it looks algorithms up in.
    pub Table,
);

impl Policy for Csv {
    const NAME: &'static str = "csv";
    const VERSION: &'static str = "2";
    const DESCRIPTION: &'static str =
        "a table by collective, size and ranks, as NCCL's example tuner reads it";

    fn open(config: &str) -> Result<Self, Refusal> {
        let table = Table::parse(config)?;
        if table.rows.is_empty() {
            return Err("the configuration is a table without rows".into());
        }
        Ok(Self(table))
    }

    fn decide(&self, request: &Request) -> Result<Option<Answer>, Refusal> {
        let ranks = request.group.as_ref().map_or(u64::from(request.ranks), |group| group.len() as u64);
        let dimensions = request.dimensions.len();
        let fits = |row: &&Row| row.fits(request.collective, request.payload_bytes, ranks, dimensions);
        Ok(self
            .0
            .rows
            .iter()
            .find(fits)
            .map(|row| Answer::of(row.on(dimensions)).because(format!("line {} of the table", row.line))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use astra_policy::{
        Algorithm, AlgorithmSet, Collective, CollectiveOptimization, Dialect, Dimension, NetworkModel,
        Topology,
    };

    const TABLE: &str = "\
# collective_type,min_bytes,max_bytes,algorithm,protocol,channels,nNodes,nRanks,numPipeOps,regBuff
allreduce,0,65536,tree,any,-1,-1,8,-1,-1
allreduce,0,65536,direct
allreduce,65537,4294967295,ring,any,-1,-1,-1,-1,-1
";

    fn request(payload_bytes: u64, group: Option<Vec<u32>>) -> Request {
        let dimension = Dimension {
            id: "d".into(),
            topology: Topology::Ring,
            npus: 16,
            bandwidth_bytes_per_s: 1e11,
            latency_ns: 500.0,
            allowed: AlgorithmSet::from_bits(u64::MAX),
        };
        Request {
            collective: Collective::AllReduce,
            element_bytes: 4,
            payload_bytes,
            ranks: 16,
            group,
            dimensions: vec![dimension],
            endpoint_delay_ns: 10,
            dataset_splits: 1,
            active_chunks: 1,
            network_model: NetworkModel::CongestionAware,
            dialect: Dialect::AstraSim,
            local_memory_bytes_per_s: 1600e9,
            collective_optimization: CollectiveOptimization::LocalBwAware,
            queues_per_dimension: 1,
        }
    }

    #[test]
    fn the_first_row_that_fits_decides_and_none_is_no_opinion() {
        let policy = Csv::open(TABLE).unwrap();
        let decide = |request: Request| policy.decide(&request).unwrap();
        let by = |algorithm, line: &str| {
            Some(Answer::of([algorithm]).because(format!("line {line} of the table")))
        };
        assert_eq!(decide(request(65_536, None)), by(Algorithm::Direct, "3"));
        let group = Some((0..8).collect());
        assert_eq!(decide(request(65_536, group)), by(Algorithm::DoubleBinaryTree, "2"));
        assert_eq!(decide(request(65_537, None)), by(Algorithm::Ring, "4"));
        assert_eq!(decide(request(1 << 40, None)), None);
        assert_eq!(decide(Request { collective: Collective::AllGather, ..request(1, None) }), None);
    }

    #[test]
    fn a_row_with_an_algorithm_for_each_dimension_is_for_networks_of_so_many() {
        let policy = Csv::open("allreduce,0,9,ring+tree\nallreduce,0,9,direct").unwrap();
        let mut asked = request(9, None);
        let direct = Answer::of([Algorithm::Direct]).because("line 2 of the table");
        assert_eq!(policy.decide(&asked).unwrap(), Some(direct));
        asked.dimensions.push(asked.dimensions[0].clone());
        let both = Answer::of([Algorithm::Ring, Algorithm::DoubleBinaryTree]);
        assert_eq!(policy.decide(&asked).unwrap(), Some(both.because("line 1 of the table")));
    }

    #[test]
    fn an_empty_table_is_refused() {
        assert!(Csv::open("# nothing\n").unwrap_err().to_string().contains("without rows"));
    }
}

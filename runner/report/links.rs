//! What each link of a congestion-aware simulation carried: table, CSV, JSON, and the bottleneck in a sentence.

use std::fmt::Write;

use astra_engine::{Link, LinkFigures, Nanos, Network};
use serde_json::{Value, json};

use super::{Align, Table, format_bytes, format_nanos};

/// The figures of all links that carried something, the longest busy first.
#[derive(Clone, Debug)]
pub struct LinkReport<'a> {
    network: &'a Network,
    finish: Nanos,
    links: Vec<LinkFigures>,
}

impl<'a> LinkReport<'a> {
    /// The report of a simulation of a network that finished at a time.
    pub fn new(network: &'a Network, finish: Nanos, links: Vec<LinkFigures>) -> Self {
        Self { network, finish, links }
    }

    /// The link that was busy longest, in a sentence.
    pub fn bottleneck(&self) -> String {
        let Some(figures @ LinkFigures { link, busy, longest_queue, .. }) = self.links.first() else {
            return "no message crossed a link".to_owned();
        };
        let alike = self.links.iter().take_while(|other| other.busy == *busy).count();
        let others = match alike {
            1 => String::new(),
            2 => ", as one other was".to_owned(),
            _ => format!(", as {} others were", alike - 1),
        };
        let queue = match longest_queue {
            0 => "no message waited for it".to_owned(),
            1 => "at most 1 message waited for it".to_owned(),
            n => format!("at most {n} messages waited for it"),
        };
        format!(
            "the busiest link, {} in dimension {} ({}), was busy {} of {}{others}; {queue}",
            name(link),
            link.dimension,
            self.topology(link),
            self.percent(figures),
            format_nanos(self.finish.0),
        )
    }

    fn topology(&self, link: &Link) -> &'static str {
        self.network
            .dimensions
            .get(link.dimension as usize)
            .map_or("", |dimension| dimension.topology.as_str())
    }

    fn percent(&self, figures: &LinkFigures) -> String {
        format!("{:.1} %", figures.utilisation(self.finish) * 100.0)
    }

    /// A table of the first `rows` links.
    pub fn table(&self, rows: usize) -> Table {
        let mut table = Table::new([
            ("link", Align::Left),
            ("dimension", Align::Left),
            ("bytes", Align::Right),
            ("messages", Align::Right),
            ("busy", Align::Right),
            ("utilisation", Align::Right),
            ("longest queue", Align::Right),
        ]);
        for figures in self.links.iter().take(rows) {
            table.row([
                name(&figures.link),
                format!("{} ({})", figures.link.dimension, self.topology(&figures.link)),
                format_bytes(figures.size.0),
                figures.messages.to_string(),
                format_nanos(figures.busy.0),
                self.percent(figures),
                figures.longest_queue.to_string(),
            ]);
        }
        table
    }

    /// How many links carried something.
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// Whether no link carried anything.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// One line per link under the heading
    /// `from,to,dimension,topology,bytes,messages,busy_ns,utilisation,longest_queue`.
    pub fn csv(&self) -> String {
        let mut text =
            "from,to,dimension,topology,bytes,messages,busy_ns,utilisation,longest_queue\n".to_owned();
        for figures in &self.links {
            let LinkFigures { link, size, messages, busy, longest_queue } = figures;
            let (dimension, topology) = (link.dimension, self.topology(link));
            let utilisation = figures.utilisation(self.finish);
            let line = writeln!(
                text,
                "{},{},{dimension},{topology},{},{messages},{},{utilisation:.6},{longest_queue}",
                link.from, link.to, size.0, busy.0,
            );
            line.expect("writing to memory cannot fail");
        }
        text
    }

    /// A list of the links.
    pub fn json(&self) -> Value {
        let link = |figures: &LinkFigures| {
            json!({
                "from": figures.link.from.to_string(),
                "to": figures.link.to.to_string(),
                "dimension": figures.link.dimension,
                "topology": self.topology(&figures.link),
                "bytes": figures.size.0,
                "messages": figures.messages,
                "busy_ns": figures.busy.0,
                "utilisation": figures.utilisation(self.finish),
                "longest_queue": figures.longest_queue,
            })
        };
        self.links.iter().map(link).collect()
    }
}

fn name(link: &Link) -> String {
    format!("{} → {}", link.from, link.to)
}

#[cfg(test)]
mod tests {
    use astra_engine::{Bytes, Device, Dimension, GibPerSec, NetworkModel, Rank, Topology};

    use super::*;

    fn figures(rank: u32, up: bool, busy: u64, longest_queue: u32) -> LinkFigures {
        let (rank, switch) = (Device::Rank(Rank(rank)), Device::Switch(4));
        let (from, to) = if up { (rank, switch) } else { (switch, rank) };
        let link = Link { dimension: 0, from, to };
        LinkFigures { link, size: Bytes(300_000), messages: 3, busy: Nanos(busy), longest_queue }
    }

    fn network() -> Network {
        let dimension =
            Dimension { topology: Topology::Switch, npus: 4, bandwidth: GibPerSec(50.0), latency_ns: 500.0 };
        Network::new(NetworkModel::CongestionAware, vec![dimension])
    }

    #[test]
    fn the_bottleneck_is_named_with_what_there_is_to_know() {
        let network = network();
        let sentence = |links| LinkReport::new(&network, Nanos(10_000), links).bottleneck();
        assert_eq!(
            sentence(vec![figures(2, true, 5000, 2), figures(2, false, 4999, 0)]),
            "the busiest link, rank 2 → switch 4 in dimension 0 (Switch), was busy 50.0 % of 10.000 us; at most 2 messages waited for it"
        );
        let alike = |count| vec![figures(0, false, 5000, 0); count];
        assert!(sentence(alike(2)).contains(", as one other was; no message waited"));
        assert!(sentence(alike(8)).contains(", as 7 others were; "));
        assert_eq!(sentence(Vec::new()), "no message crossed a link");
    }

    #[test]
    fn csv_and_json_say_the_same() {
        let network = network();
        let report = LinkReport::new(&network, Nanos(10_000), vec![figures(0, true, 5586, 2)]);
        assert_eq!(
            report.csv(),
            "from,to,dimension,topology,bytes,messages,busy_ns,utilisation,longest_queue\n\
             rank 0,switch 4,0,Switch,300000,3,5586,0.558600,2\n"
        );
        assert_eq!(
            report.json(),
            json!([{ "from": "rank 0", "to": "switch 4", "dimension": 0, "topology": "Switch", "bytes": 300_000,
                     "messages": 3, "busy_ns": 5586, "utilisation": 0.5586, "longest_queue": 2 }])
        );
    }
}

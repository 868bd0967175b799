//! What a conversion does differently from DeepFlow's converter, one switch for each difference.

use serde::{Deserialize, Serialize};

/// Where DeepFlow's converter (as of December 2025) drops, doubles or stumbles over something, and what is right is
/// well defined, a switch says whether that is done. All are on by default; [`Mends::NONE`] reproduces DeepFlow. Equal
/// switches and graphs give equal bytes, so the switches belong into a derivation's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mends {
    /// A transfer waits for everything it comes from on its source, collectives and what lies behind joins included,
    /// and is sent once per source and target. Off: collectives on another stage are dropped as sources, so that the
    /// transfer vanishes or leaves before the collective that produces its content has finished; and every compute
    /// node that is a source sends all of the bytes.
    pub cross_stage_sources: bool,
    /// A collective that a collective waits for both directly and through a transfer is waited for once. Off: it is
    /// counted twice, which looks like a cycle, and the graph is refused.
    pub repeated_dependencies: bool,
    /// A collective of a single rank, between the replicas of a graph that has one or along an axis of size 1, is
    /// passed through: what waits for it waits for what it waits for. One along an axis that the layout does not have is
    /// refused. Off: the former is left out, and the graph is refused if anything waits for it; the latter two become
    /// collectives of one rank, in which a simulation gets stuck.
    pub single_rank_collectives: bool,
    /// A hardware id on which only collectives run gets a rank. Off: the graph is refused.
    pub collective_only_stages: bool,
    /// A placeholder is passed through like a join. Off: the graph is refused if anything waits for one.
    pub placeholders: bool,
    /// A collective waits for what the transfers before it bring. Off: the graph is refused when such a transfer has a
    /// hardware id.
    pub transfers_before_collectives: bool,
    /// Nodes that no root reaches through children are executed too. Off: they are left out, and the graph is refused
    /// if anything waits for one.
    pub unreached_nodes: bool,
    /// A collective of a kind that is not simulated is refused. Off: it becomes an all-reduce.
    pub unknown_kinds: bool,
    /// Control messages that no edge stands for take tags above those of all nodes. Off: they count from 1 and may
    /// meet the tag of a node.
    pub control_tags: bool,
}

impl Mends {
    /// Everything as DeepFlow does it.
    pub const NONE: Self = Self::all_set_to(false);

    /// Everything mended.
    pub const ALL: Self = Self::all_set_to(true);

    /// The names of the switches.
    pub const SWITCHES: [&str; 9] = [
        "cross_stage_sources",
        "repeated_dependencies",
        "single_rank_collectives",
        "collective_only_stages",
        "placeholders",
        "transfers_before_collectives",
        "unreached_nodes",
        "unknown_kinds",
        "control_tags",
    ];

    /// Sets the switch of a name; whether there is one.
    pub fn set(&mut self, switch: &str, on: bool) -> bool {
        let place = match switch {
            "cross_stage_sources" => &mut self.cross_stage_sources,
            "repeated_dependencies" => &mut self.repeated_dependencies,
            "single_rank_collectives" => &mut self.single_rank_collectives,
            "collective_only_stages" => &mut self.collective_only_stages,
            "placeholders" => &mut self.placeholders,
            "transfers_before_collectives" => &mut self.transfers_before_collectives,
            "unreached_nodes" => &mut self.unreached_nodes,
            "unknown_kinds" => &mut self.unknown_kinds,
            "control_tags" => &mut self.control_tags,
            _ => return false,
        };
        *place = on;
        true
    }

    const fn all_set_to(on: bool) -> Self {
        Self {
            cross_stage_sources: on,
            repeated_dependencies: on,
            single_rank_collectives: on,
            collective_only_stages: on,
            placeholders: on,
            transfers_before_collectives: on,
            unreached_nodes: on,
            unknown_kinds: on,
            control_tags: on,
        }
    }
}

impl Default for Mends {
    fn default() -> Self {
        Self::ALL
    }
}

/// How a graph is converted. Part of a derivation's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConvertOptions {
    /// What is done differently from DeepFlow.
    pub mends: Mends,
    /// A graph of one rank becomes two ranks with the same trace, because ASTRA-sim's networks have at least two.
    pub duplicate_single_rank: bool,
}

impl ConvertOptions {
    /// Everything mended.
    pub const MENDED: Self = Self { mends: Mends::ALL, duplicate_single_rank: true };

    /// What DeepFlow does, defects included.
    pub const FAITHFUL: Self = Self { mends: Mends::NONE, duplicate_single_rank: true };
}

impl Default for ConvertOptions {
    fn default() -> Self {
        Self::MENDED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_switch_can_be_set_by_its_name() {
        let names: Vec<String> = match serde_json::to_value(Mends::ALL).unwrap() {
            serde_json::Value::Object(switches) => switches.keys().cloned().collect(),
            other => panic!("{other}"),
        };
        let mut sorted = Mends::SWITCHES;
        sorted.sort_unstable();
        assert_eq!(names, sorted);
        for name in Mends::SWITCHES {
            let mut mends = Mends::ALL;
            assert!(mends.set(name, false));
            assert_eq!(serde_json::to_value(mends).unwrap()[name], false);
            assert_eq!(mends, serde_json::from_str(&format!("{{\"{name}\":false}}")).unwrap());
        }
        assert!(!Mends::NONE.clone().set("control_tag", true));
    }

    #[test]
    fn the_switches_have_stable_names_and_absent_ones_are_on() {
        let text = serde_json::to_string(&ConvertOptions::FAITHFUL).unwrap();
        assert_eq!(
            text,
            r#"{"mends":{"cross_stage_sources":false,"repeated_dependencies":false,"single_rank_collectives":false,"collective_only_stages":false,"placeholders":false,"transfers_before_collectives":false,"unreached_nodes":false,"unknown_kinds":false,"control_tags":false},"duplicate_single_rank":true}"#
        );
        assert_eq!(serde_json::from_str::<ConvertOptions>(&text).unwrap(), ConvertOptions::FAITHFUL);
        let one_off: Mends = serde_json::from_str(r#"{"control_tags":false}"#).unwrap();
        assert_eq!(one_off, Mends { control_tags: false, ..Mends::ALL });
        assert!(serde_json::from_str::<Mends>(r#"{"control_tag":false}"#).is_err());
    }
}

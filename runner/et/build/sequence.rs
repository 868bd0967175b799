//! Scripted collectives: each starts after a delay, and after the items it waits for.

use std::collections::BTreeSet;

use astra_engine::CollectiveType;

use super::{check_kind, comm_size, whole_micros};
use crate::et::bundle::{Bundle, FileWriter};
use crate::et::schema::Node;
use crate::{Error, Result};

/// Collectives over all ranks; every rank has the same file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// How many ranks; at least one.
    pub ranks: u32,
    /// What happens. Items that do not wait for each other overlap as far as the simulated hardware lets them.
    pub items: Vec<SequenceItem>,
}

/// One collective of a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceItem {
    /// Name of the node; the position in the sequence is appended.
    pub name: String,
    /// What kind of collective; one of [`super::COLLECTIVES`].
    pub kind: CollectiveType,
    /// ASTRA-sim's `comm_size`: for an all-gather what one rank contributes, otherwise the whole buffer.
    pub size_bytes: u64,
    /// How long after the start, or after the last item it waits for, the collective begins; a multiple of 1000.
    /// Delays occupy the accelerator: those of several items do not run at the same time.
    pub delay_ns: u64,
    /// Positions of earlier items that must have finished before the delay begins.
    pub after: Vec<usize>,
}

impl Sequence {
    /// Writes the traces.
    ///
    /// # Errors
    /// There are no items, or an item waits for one that does not come before it, or has a size or delay that a trace
    /// cannot express; with the key, for example `items[3].after`.
    pub fn build(&self) -> Result<Bundle> {
        if self.items.is_empty() {
            return Err(
                Error::input("the sequence has no items; a trace without nodes cannot be run").key("items")
            );
        }
        let mut file = FileWriter::new();
        let mut collective_ids = Vec::with_capacity(self.items.len());
        let mut next_id = 0;
        for (position, item) in self.items.iter().enumerate() {
            let collective_id = item
                .write(position, next_id, &collective_ids, &mut file)
                .map_err(|e| e.under(&format!("items[{position}]")))?;
            collective_ids.push(collective_id);
            next_id = collective_id + 1;
        }
        Bundle::uniform(file, self.ranks)
    }
}

impl SequenceItem {
    /// Writes the delay, if any, and the collective; returns the id of the latter.
    fn write(&self, position: usize, id: u64, earlier: &[u64], file: &mut FileWriter) -> Result<u64> {
        check_kind(self.kind)?;
        let size = comm_size(self.size_bytes)?;
        let delay_micros = whole_micros(self.delay_ns).map_err(|e| e.key("delay"))?;
        let after = self.waits_for(position, earlier)?;
        let name = format!("{}_{position}", self.name);
        if delay_micros == 0 {
            file.node(&Node::collective(id, name, self.kind, size, None).after(after))?;
            return Ok(id);
        }
        let delay_name = format!("delay_{position}_{delay_micros}us");
        file.node(&Node::compute(id, delay_name, delay_micros).after(after))?;
        file.node(&Node::collective(id + 1, name, self.kind, size, None).after([id]))?;
        Ok(id + 1)
    }

    fn waits_for(&self, position: usize, earlier: &[u64]) -> Result<BTreeSet<u64>> {
        let id_of = |&item: &usize| {
            earlier.get(item).copied().ok_or_else(|| {
                Error::input(format!(
                    "item {item} does not come before item {position}; items wait for earlier ones only"
                ))
                .key("after")
            })
        };
        self.after.iter().map(id_of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::et::Reader;

    fn item(delay_ns: u64, after: &[usize]) -> SequenceItem {
        let kind = CollectiveType::AllGather;
        SequenceItem { name: "all_gather".into(), kind, size_bytes: 64, delay_ns, after: after.to_vec() }
    }

    fn nodes(items: Vec<SequenceItem>) -> Vec<Node> {
        let bundle = Sequence { ranks: 3, items }.build().unwrap();
        assert_eq!((bundle.files.len(), bundle.ranks()), (1, 3));
        Reader::from_bytes("seq", &bundle.files[0]).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn items_are_not_chained_unless_they_say_so() {
        let free = nodes(vec![item(0, &[]), item(0, &[])]);
        assert!(free.iter().all(|n| n.control_deps.is_empty()));
        let chained = nodes(vec![item(0, &[]), item(0, &[0])]);
        assert_eq!(chained[1].control_deps, [0]);
    }

    #[test]
    fn a_delay_begins_when_the_awaited_items_have_finished() {
        let nodes = nodes(vec![item(3_000, &[]), item(0, &[]), item(5_000, &[1, 0, 1])]);
        let names: Vec<_> = nodes.iter().map(|n| n.name.as_str()).collect();
        assert_eq!(names, ["delay_0_3us", "all_gather_0", "all_gather_1", "delay_2_5us", "all_gather_2"]);
        assert_eq!(nodes[3].control_deps, [1, 2]);
        assert_eq!(nodes[4].control_deps, [3]);
    }

    #[test]
    fn what_cannot_be_built_names_the_item_and_the_key() {
        for (items, start) in [
            (vec![], "items: "),
            (vec![item(0, &[]), item(0, &[1])], "items[1].after: "),
            (vec![item(999, &[])], "items[0].delay: "),
            (vec![SequenceItem { kind: CollectiveType::Barrier, ..item(0, &[]) }], "items[0].collective: "),
            (vec![SequenceItem { size_bytes: 0, ..item(0, &[]) }], "items[0].size: "),
        ] {
            let error = Sequence { ranks: 2, items }.build().unwrap_err();
            assert!(error.to_string().starts_with(start), "{error}");
        }
        assert!(Sequence { ranks: 0, items: vec![item(0, &[])] }.build().is_err());
    }
}

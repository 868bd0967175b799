//! Rows of different lengths in one flat array: the lists of millions of nodes without an allocation for each.

/// Rows, filled one after the other.
#[derive(Clone, Debug)]
pub(super) struct Rows<T> {
    items: Vec<T>,
    /// Where each finished row ends in `items`.
    ends: Vec<usize>,
}

impl<T> Rows<T> {
    pub(super) const fn new() -> Self {
        Self { items: Vec::new(), ends: Vec::new() }
    }

    /// Appends an item to the row that is being filled.
    pub(super) fn push(&mut self, item: T) {
        self.items.push(item);
    }

    /// Finishes the row that is being filled; the next item begins another one.
    pub(super) fn end_row(&mut self) {
        self.ends.push(self.items.len());
    }

    /// A finished row; empty when there is no such row.
    pub(super) fn row(&self, index: usize) -> &[T] {
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end);
        self.ends.get(index).map_or(&[], |&end| &self.items[start..end])
    }

    /// How many items the finished rows have together.
    pub(super) fn item_count(&self) -> usize {
        self.ends.last().map_or(0, |end| *end)
    }
}

impl<T: Copy> Rows<T> {
    /// Rows from (row, item) pairs, in the order in which the pairs come within each row; `pairs` is called twice.
    pub(super) fn collect<I: Iterator<Item = (usize, T)>>(
        rows: usize,
        fill: T,
        pairs: impl Fn() -> I,
    ) -> Self {
        let mut ends = vec![0; rows];
        pairs().for_each(|(row, _)| ends[row] += 1);
        let mut total = 0;
        for end in &mut ends {
            // For now where the row starts; filling it moves this to where it ends.
            total += std::mem::replace(end, total);
        }
        let mut items = vec![fill; total];
        for (row, item) in pairs() {
            items[ends[row]] = item;
            ends[row] += 1;
        }
        Self { items, ends }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_what_was_pushed_between_their_ends() {
        let mut rows = Rows::new();
        rows.push(1);
        rows.push(2);
        rows.end_row();
        rows.end_row();
        rows.push(3);
        rows.end_row();
        assert_eq!([0, 1, 2, 3].map(|row| rows.row(row).to_vec()), [vec![1, 2], vec![], vec![3], vec![]]);
        assert_eq!(rows.item_count(), 3);
    }

    #[test]
    fn collected_pairs_keep_their_order_within_a_row() {
        let pairs = [(2, 'a'), (0, 'b'), (2, 'c'), (0, 'd')];
        let rows = Rows::collect(4, ' ', || pairs.into_iter());
        assert_eq!([0, 1, 2, 3].map(|row| rows.row(row).iter().collect::<String>()), ["bd", "", "ac", ""]);
    }
}

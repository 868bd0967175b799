//! A set of numbers that is visited in the order of a chained hash table.
//!
//! The nodes of a custom collective that become free together start in the order in which the original's hash
//! set visits them, and that order decides who is first on a contended link. Keys of one bucket stay
//! together, a new bucket goes to the front, and a table that grows places its keys anew, in their order.

/// The index that stands for "nothing".
const NONE: u32 = u32::MAX;

/// Bucket counts that a table passes through as it grows.
const BUCKET_COUNTS: [u64; 23] = [
    13,
    29,
    59,
    127,
    257,
    541,
    1109,
    2357,
    5087,
    10_273,
    20_753,
    42_043,
    85_229,
    172_933,
    351_061,
    712_697,
    1_447_153,
    2_938_679,
    5_967_347,
    12_117_689,
    24_607_243,
    49_969_847,
    101_473_717,
];

/// The least a table makes room for when it grows the first time.
const FIRST_ROOM: u64 = 11;

/// A set of numbers with an order of its own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ChainSet {
    keys: Vec<u64>,
    /// Neighbours of each key in the chain.
    next: Vec<u32>,
    previous: Vec<u32>,
    head: u32,
    /// First key of each bucket.
    first: Vec<u32>,
    /// How many keys fit before the table grows.
    limit: u64,
}

impl ChainSet {
    pub(crate) fn new() -> Self {
        Self {
            keys: Vec::new(),
            next: Vec::new(),
            previous: Vec::new(),
            head: NONE,
            first: vec![NONE],
            limit: 0,
        }
    }

    /// Adds a key; says whether it was not there.
    pub(crate) fn insert(&mut self, key: u64) -> bool {
        if self.contains(key) {
            return false;
        }
        self.make_room();
        let index = self.keys.len() as u32;
        self.keys.push(key);
        self.next.push(NONE);
        self.previous.push(NONE);
        self.place(index);
        true
    }

    /// The keys in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> {
        self.chain().map(|index| self.keys[index as usize])
    }

    /// Takes all keys out, in order. The table keeps its size, which decides the order of what comes later.
    pub(crate) fn drain(&mut self) -> Vec<u64> {
        let keys: Vec<u64> = self.iter().collect();
        for &key in &keys {
            let bucket = self.bucket(key);
            self.first[bucket] = NONE;
        }
        self.keys.clear();
        self.next.clear();
        self.previous.clear();
        self.head = NONE;
        keys
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.head == NONE
    }

    fn chain(&self) -> impl Iterator<Item = u32> {
        let some = |index: u32| (index != NONE).then_some(index);
        std::iter::successors(some(self.head), move |&index| some(self.next[index as usize]))
    }

    fn bucket(&self, key: u64) -> usize {
        (key % self.first.len() as u64) as usize
    }

    fn contains(&self, key: u64) -> bool {
        let bucket = self.bucket(key);
        let mut index = self.first[bucket];
        while index != NONE && self.bucket(self.keys[index as usize]) == bucket {
            if self.keys[index as usize] == key {
                return true;
            }
            index = self.next[index as usize];
        }
        false
    }

    fn make_room(&mut self) {
        let keys = self.keys.len() as u64 + 1;
        if keys <= self.limit {
            return;
        }
        let buckets = self.first.len() as u64;
        let wanted = if self.limit == 0 { keys.max(FIRST_ROOM) } else { keys };
        if wanted >= buckets {
            let least = (wanted + 1).max(2 * buckets);
            let grown = BUCKET_COUNTS.into_iter().find(|&count| count >= least).unwrap_or(least | 1);
            let order: Vec<u32> = self.chain().collect();
            self.first = vec![NONE; grown as usize];
            self.head = NONE;
            for index in order {
                self.place(index);
            }
        }
        self.limit = self.first.len() as u64;
    }

    /// Puts a key in front of the first of its bucket, or in front of all.
    fn place(&mut self, index: u32) {
        let bucket = self.bucket(self.keys[index as usize]);
        let behind = if self.first[bucket] == NONE { self.head } else { self.first[bucket] };
        let before = if behind == NONE { NONE } else { self.previous[behind as usize] };
        self.next[index as usize] = behind;
        self.previous[index as usize] = before;
        if behind != NONE {
            self.previous[behind as usize] = index;
        }
        if before == NONE {
            self.head = index;
        } else {
            self.next[before as usize] = index;
        }
        self.first[bucket] = index;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(keys: impl IntoIterator<Item = u64>) -> ChainSet {
        let mut set = ChainSet::new();
        for key in keys {
            set.insert(key);
        }
        set
    }

    /// Expected orders are those of the GNU C++ library's `unordered_set<uint64_t>`.
    #[test]
    fn keys_come_in_the_order_of_a_chained_table() {
        let set = of([5, 18, 1, 14, 27, 3, 31, 44, 2, 0, 13, 26, 39, 40, 8]);
        let order: Vec<u64> = set.iter().collect();
        assert_eq!(order, [8, 40, 5, 18, 44, 1, 14, 27, 3, 31, 2, 0, 13, 26, 39]);
    }

    #[test]
    fn a_table_that_was_emptied_keeps_its_size() {
        let mut set = of((1..=20).map(|key| key * 7 % 31));
        let drained = set.drain();
        assert_eq!(drained, [16, 9, 2, 26, 19, 12, 5, 7, 14, 1, 21, 8, 28, 15, 4, 11, 18, 25, 22, 29]);
        assert!(set.is_empty());
        for key in [3, 32, 61, 4, 33, 5] {
            assert!(set.insert(key));
        }
        assert!(!set.insert(61));
        assert_eq!(set.iter().collect::<Vec<_>>(), [5, 33, 4, 61, 32, 3]);
    }

    #[test]
    fn growth_through_many_sizes_keeps_to_the_rule() {
        let mut random = 1_u64;
        let set = of((0..5000).map(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % 20_000
        }));
        let digest = set.iter().fold(0_u64, |h, key| h.wrapping_mul(1_099_511_628_211).wrapping_add(key));
        assert_eq!((digest, set.iter().count()), (15_675_669_444_120_378_011, 4413));
    }
}

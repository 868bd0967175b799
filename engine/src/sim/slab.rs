//! Storage with small integer ids: a slab with reuse, and a slab that can also be searched by key.
//!
//! Ids replace pointers everywhere in the simulator; freed places are reused, so that a simulation in steady
//! state does not allocate.

use std::ops::{Index, IndexMut};

/// The id that stands for "nothing".
pub(super) const NONE: u32 = u32::MAX;

/// Values addressed by id.
pub(super) struct Slab<T> {
    values: Vec<T>,
    free: Vec<u32>,
}

impl<T: Copy> Slab<T> {
    pub(super) const fn new() -> Self {
        Self { values: Vec::new(), free: Vec::new() }
    }

    pub(super) fn insert(&mut self, value: T) -> u32 {
        if let Some(id) = self.free.pop() {
            self.values[id as usize] = value;
            return id;
        }
        self.values.push(value);
        (self.values.len() - 1) as u32
    }

    /// Gives the value back; its id may be handed out again.
    pub(super) fn remove(&mut self, id: u32) -> T {
        self.free.push(id);
        self.values[id as usize]
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, id: u32) -> &T {
        &self.values[id as usize]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, id: u32) -> &mut T {
        &mut self.values[id as usize]
    }
}

/// A key of a [`KeyedSlab`].
pub(super) trait Key: Copy + Eq {
    /// A number whose upper bits are well mixed.
    fn mix(self) -> u64;
}

/// Multiplies by a large odd number, which carries every bit of the input into the upper bits.
pub(super) const fn spread(number: u64) -> u64 {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// A slab whose values can be found by key. Ids stay valid while other keys come and go.
pub(super) struct KeyedSlab<K, V> {
    entries: Vec<Entry<K, V>>,
    free: Vec<u32>,
    /// First entry of each chain; the length is a power of two.
    buckets: Vec<u32>,
}

struct Entry<K, V> {
    key: K,
    value: V,
    /// Next entry of the same bucket.
    chain: u32,
}

impl<K: Key, V> KeyedSlab<K, V> {
    pub(super) fn new() -> Self {
        Self { entries: Vec::new(), free: Vec::new(), buckets: vec![NONE; 64] }
    }

    fn bucket(&self, key: K) -> usize {
        (key.mix() >> (64 - self.buckets.len().trailing_zeros())) as usize
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    pub(super) fn key(&self, id: u32) -> K {
        self.entries[id as usize].key
    }

    pub(super) fn find(&self, key: K) -> Option<u32> {
        self.find_in(self.bucket(key), key)
    }

    fn find_in(&self, bucket: usize, key: K) -> Option<u32> {
        let mut id = self.buckets[bucket];
        while id != NONE {
            let entry = &self.entries[id as usize];
            if entry.key == key {
                return Some(id);
            }
            id = entry.chain;
        }
        None
    }

    /// The value of a key, or a new one; says whether it is new.
    #[inline]
    pub(super) fn find_or_insert(&mut self, key: K, value: impl FnOnce() -> V) -> (u32, bool) {
        let mut bucket = self.bucket(key);
        if let Some(id) = self.find_in(bucket, key) {
            return (id, false);
        }
        if self.len() >= self.buckets.len() {
            self.grow();
            bucket = self.bucket(key);
        }
        let entry = Entry { key, value: value(), chain: self.buckets[bucket] };
        let id = if let Some(id) = self.free.pop() {
            self.entries[id as usize] = entry;
            id
        } else {
            self.entries.push(entry);
            (self.entries.len() - 1) as u32
        };
        self.buckets[bucket] = id;
        (id, true)
    }

    pub(super) fn remove(&mut self, id: u32) {
        let Entry { key, chain, .. } = self.entries[id as usize];
        let bucket = self.bucket(key);
        if self.buckets[bucket] == id {
            self.buckets[bucket] = chain;
        } else {
            let mut before = self.buckets[bucket];
            while self.entries[before as usize].chain != id {
                before = self.entries[before as usize].chain;
            }
            self.entries[before as usize].chain = chain;
        }
        self.free.push(id);
    }

    /// Every entry that is in the slab, bucket by bucket.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, K, &V)> {
        self.buckets.iter().flat_map(move |&first| {
            let entry = move |id: u32| (id != NONE).then(|| (id, &self.entries[id as usize]));
            std::iter::successors(entry(first), move |(_, previous)| entry(previous.chain))
                .map(|(id, found)| (id, found.key, &found.value))
        })
    }

    /// Doubles the number of buckets and distributes the entries anew; ids do not change.
    fn grow(&mut self) {
        let old = std::mem::take(&mut self.buckets);
        self.buckets = vec![NONE; old.len() * 2];
        for mut id in old {
            while id != NONE {
                let chain = self.entries[id as usize].chain;
                let bucket = self.bucket(self.entries[id as usize].key);
                self.entries[id as usize].chain = self.buckets[bucket];
                self.buckets[bucket] = id;
                id = chain;
            }
        }
    }
}

impl<K, V> Index<u32> for KeyedSlab<K, V> {
    type Output = V;

    fn index(&self, id: u32) -> &V {
        &self.entries[id as usize].value
    }
}

impl<K, V> IndexMut<u32> for KeyedSlab<K, V> {
    fn index_mut(&mut self, id: u32) -> &mut V {
        &mut self.entries[id as usize].value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Key for u64 {
        fn mix(self) -> u64 {
            spread(self)
        }
    }

    #[test]
    fn keyed_slab_agrees_with_a_map() {
        let mut slab = KeyedSlab::<u64, u64>::new();
        let mut map = std::collections::BTreeMap::new();
        let mut random = 1_u64;
        for step in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let key = (random >> 40) % 700;
            match slab.find(key) {
                Some(id) => {
                    assert_eq!(map.remove(&key), Some(slab[id]));
                    slab.remove(id);
                }
                None => {
                    let (id, new) = slab.find_or_insert(key, || step);
                    assert!(new);
                    assert_eq!(slab.find_or_insert(key, || 0), (id, false));
                    assert_eq!(map.insert(key, step), None);
                }
            }
        }
        let mut left: Vec<_> = slab.iter().map(|(_, key, &value)| (key, value)).collect();
        left.sort_unstable();
        assert!(!left.is_empty());
        assert_eq!(left, map.into_iter().collect::<Vec<_>>());
    }
}

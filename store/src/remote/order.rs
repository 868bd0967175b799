//! The order in which actions with lists can be put: each after those that it lists.

use crate::digest::ActionKey;
use std::collections::HashMap;

/// An action whose outputs list further actions.
pub(crate) struct Listing<T> {
    pub(crate) key: ActionKey,
    /// What it lists. It may list itself, which means nothing.
    pub(crate) actions: Vec<ActionKey>,
    pub(crate) of: T,
}

/// Puts them in order. The second are those that list each other in a circle, or list one that does: none can be
/// first.
pub(crate) fn in_order<T>(listings: Vec<Listing<T>>) -> (Vec<Listing<T>>, Vec<Listing<T>>) {
    let places: HashMap<ActionKey, usize> =
        listings.iter().enumerate().map(|(i, listing)| (listing.key, i)).collect();
    let mut waits_for = vec![0usize; listings.len()];
    let mut waited_for_by = vec![Vec::new(); listings.len()];
    for (i, listing) in listings.iter().enumerate() {
        for on in listing.actions.iter().filter_map(|key| places.get(key)).filter(|on| **on != i) {
            waits_for[i] += 1;
            waited_for_by[*on].push(i);
        }
    }
    let mut order: Vec<usize> = (0..listings.len()).filter(|i| waits_for[*i] == 0).collect();
    let mut done = 0;
    while let Some(&next) = order.get(done) {
        done += 1;
        for &waiting in &waited_for_by[next] {
            waits_for[waiting] -= 1;
            if waits_for[waiting] == 0 {
                order.push(waiting);
            }
        }
    }
    let mut listings: Vec<Option<Listing<T>>> = listings.into_iter().map(Some).collect();
    let ordered = order.into_iter().filter_map(|i| listings[i].take()).collect();
    (ordered, listings.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order_of(lists: &[(u8, &[u8])]) -> (Vec<u8>, Vec<u8>) {
        let key = |n: u8| ActionKey::from_bytes([n; 32]);
        let listing = |(n, actions): &(u8, &[u8])| Listing {
            key: key(*n),
            actions: actions.iter().map(|n| key(*n)).collect(),
            of: *n,
        };
        let (ordered, circles) = in_order(lists.iter().map(listing).collect());
        let names = |listings: Vec<Listing<u8>>| listings.into_iter().map(|l| l.of).collect();
        (names(ordered), names(circles))
    }

    #[test]
    fn each_comes_after_those_that_it_lists_and_may_list_itself() {
        assert_eq!(order_of(&[(1, &[1, 2, 3, 9]), (2, &[3, 2]), (3, &[9])]), (vec![3, 2, 1], vec![]));
    }

    #[test]
    fn circles_and_what_lists_them_are_told_apart() {
        assert_eq!(order_of(&[(1, &[2]), (2, &[1]), (3, &[1]), (4, &[])]), (vec![4], vec![1, 2, 3]));
    }

    #[test]
    fn a_chain_of_many_lists_needs_no_stack() {
        let key = |n: u32| {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&n.to_le_bytes());
            ActionKey::from_bytes(bytes)
        };
        let chain = (0..200_000).map(|n| Listing { key: key(n), actions: vec![key(n + 1)], of: n });
        let (ordered, circles) = in_order(chain.collect());
        assert!(ordered.iter().map(|listing| listing.of).eq((0..200_000).rev()) && circles.is_empty());
    }
}

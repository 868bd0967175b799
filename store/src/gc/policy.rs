//! Which roots are given up: a pure choice over what each root is and was, and when it was used.

use crate::arrivals::is_within;
use crate::digest::Digest;
use crate::root::{PIN_PREFIX, group_of};
use crate::roots::RootVersion;
use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroUsize;
use std::time::Duration;

/// What a collection may remove. Never what a running build relies on, nor what a pin needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GcPolicy {
    /// What was written within this time stays, needed or not. 24 hours by default.
    pub grace: Duration,
    /// How many of its latest targets a root keeps: 1, the latest alone, by default.
    pub keep_last: NonZeroUsize,
    /// Give up roots that have not been used for so long.
    pub older_than: Option<Duration>,
    /// Give up the least recently used roots until what is kept takes no more bytes than this. What is leased, pinned or
    /// within the grace window stays all the same, and so does the root that was used last.
    pub max_bytes: Option<u64>,
}

impl GcPolicy {
    /// The grace window when nothing else is said.
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(24 * 3600);
}

impl Default for GcPolicy {
    fn default() -> Self {
        Self { grace: Self::DEFAULT_GRACE, keep_last: NonZeroUsize::MIN, older_than: None, max_bytes: None }
    }
}

/// Why a version of a root is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// It has been set to something else, [`GcPolicy::keep_last`] times or more.
    Superseded,
    /// It has not been used for [`GcPolicy::older_than`].
    Unused,
    /// All together would take more than [`GcPolicy::max_bytes`].
    TooLarge,
}

/// A version of a root that a collection gives up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// What is given up.
    pub version: RootVersion,
    /// Why.
    pub because: Because,
}

/// Roots of a group, or what they once were: kept or given up together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) versions: Vec<RootVersion>,
    /// Whether a running build uses the group, so that it cannot be given up.
    pub(super) in_use: bool,
}

/// What becomes of the roots before their size is known.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) pins: Vec<RootVersion>,
    /// What is in use comes first, then what was used last.
    pub(super) units: Vec<Unit>,
    pub(super) given_up: Vec<GivenUp>,
}

/// Chooses. `in_use` are the digests of the names of groups that running builds use.
pub(super) fn choose(
    versions: Vec<RootVersion>,
    policy: &GcPolicy,
    now_unix_ms: u64,
    in_use: &HashSet<Digest>,
) -> Choice {
    let mut choice = Choice::default();
    let mut units: BTreeMap<(String, usize), Unit> = BTreeMap::new();
    for version in versions {
        let is_pin = version.name.starts_with(PIN_PREFIX);
        let group = group_of(&version.name).to_owned();
        let used_now = in_use.contains(&Digest::of(group.as_bytes()));
        let recent = |age| is_within(version.last_use_unix_ms, now_unix_ms, age);
        let because = if version.back >= if is_pin { 1 } else { policy.keep_last.get() } {
            Some(Because::Superseded)
        } else if is_pin || used_now || policy.older_than.is_none_or(recent) {
            None
        } else {
            Some(Because::Unused)
        };
        match because {
            Some(because) => choice.given_up.push(GivenUp { version, because }),
            None if is_pin => choice.pins.push(version),
            None => {
                let in_use = used_now && version.back == 0;
                let unit = units.entry((group, version.back)).or_insert(Unit { versions: vec![], in_use });
                unit.versions.push(version);
            }
        }
    }
    choice.units = units.into_values().collect();
    // Stable, so that names decide where uses do not.
    choice.units.sort_by_key(|unit| {
        let last_use = unit.versions.iter().map(|version| version.last_use_unix_ms).max();
        (!unit.in_use, std::cmp::Reverse(last_use))
    });
    choice
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::OutputKind;
    use crate::root::Root;

    const HOUR: u64 = 3_600_000;

    fn version(name: &str, back: usize, used: u64) -> RootVersion {
        let target = Digest::of(format!("{name} {back}").as_bytes());
        let root = Root { target, kind: OutputKind::Blob, updated_unix_ms: used, note: String::new() };
        RootVersion { name: name.to_owned(), back, root, last_use_unix_ms: used }
    }

    fn given_up(policy: &GcPolicy, in_use: &[&str]) -> Vec<(String, usize, Because)> {
        let versions = vec![
            version("a/x", 0, 10 * HOUR),
            version("a/x", 1, 5 * HOUR),
            version("a/x", 2, HOUR),
            version("a/y", 0, 10 * HOUR),
            version("b", 0, HOUR),
            version("pin/p", 0, 0),
            version("pin/p", 1, 0),
        ];
        let in_use = in_use.iter().map(|group| Digest::of(group.as_bytes())).collect();
        let choice = choose(versions, policy, 10 * HOUR, &in_use);
        let kept = choice.units.iter().map(|unit| unit.versions.len()).sum::<usize>() + choice.pins.len();
        assert_eq!(kept + choice.given_up.len(), 7, "some version is neither kept nor given up");
        choice.given_up.into_iter().map(|g| (g.version.name, g.version.back, g.because)).collect()
    }

    fn expect(found: Vec<(String, usize, Because)>, expected: &[(&str, usize, Because)]) {
        let expected: Vec<_> = expected.iter().map(|(n, r, b)| ((*n).to_owned(), *r, *b)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_root_keeps_its_latest_targets() {
        use Because::Superseded;
        let policy = GcPolicy::default();
        expect(
            given_up(&policy, &[]),
            &[("a/x", 1, Superseded), ("a/x", 2, Superseded), ("pin/p", 1, Superseded)],
        );
        let policy = GcPolicy { keep_last: NonZeroUsize::new(2).unwrap(), ..policy };
        expect(given_up(&policy, &[]), &[("a/x", 2, Superseded), ("pin/p", 1, Superseded)]);
    }

    #[test]
    fn what_was_not_used_for_long_is_given_up_unless_it_is_pinned_or_in_use_now() {
        use Because::{Superseded, Unused};
        let keep_last = NonZeroUsize::new(9).unwrap();
        let policy =
            GcPolicy { keep_last, older_than: Some(Duration::from_secs(6 * 3600)), ..GcPolicy::default() };
        let old = [("a/x", 2, Unused), ("b", 0, Unused), ("pin/p", 1, Superseded)];
        expect(given_up(&policy, &[]), &old);
        expect(given_up(&policy, &["b"]), &[old[0], old[2]]);
    }

    #[test]
    fn what_is_in_use_comes_first_and_then_what_was_used_last() {
        let versions =
            vec![version("a/x", 0, 5), version("b/x", 0, 9), version("c/x", 0, 1), version("a/y", 0, 7)];
        let in_use = HashSet::from([Digest::of(b"c")]);
        let choice = choose(versions, &GcPolicy::default(), 10, &in_use);
        let order: Vec<&str> = choice.units.iter().map(|unit| group_of(&unit.versions[0].name)).collect();
        assert_eq!(order, ["c", "b", "a"]);
        assert_eq!(choice.units[2].versions.len(), 2, "a group is kept or given up as a whole");
    }
}

//! The keys of ASTRA-sim's system file, what each takes, and a user's overrides of them.

use astra_policy::Collective;
use serde_json::{Map, Value as Json};

use crate::algorithm;
use crate::{Error, Result};

/// What a key takes.
#[derive(Clone, Copy)]
enum Kind {
    /// A whole number from this to [`MAX_INTEGER`].
    Integer(u64),
    /// Nanoseconds of the shared bus.
    BusTime,
    /// A number of at least 0.
    Number,
    /// 0 or 1, or a boolean.
    Switch,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Text.
    Text,
    /// A list of algorithm names, one per dimension.
    Algorithms,
    /// Files by path, which a recipe cannot name: its steps are keyed by content.
    Paths,
}

/// The largest that the simulator's integers hold.
pub(super) const MAX_INTEGER: u32 = i32::MAX as u32;

pub(super) const SCHEDULING_POLICIES: &[&str] = &["LIFO", "FIFO", "EXPLICIT"];

/// All keys the simulator reads, and those that its example files carry without effect.
const KEYS: [(&str, Kind); 30] = [
    ("scheduling-policy", Kind::Word(SCHEDULING_POLICIES)),
    ("endpoint-delay", Kind::Integer(0)),
    ("active-chunks-per-dimension", Kind::Integer(1)),
    ("preferred-dataset-splits", Kind::Integer(1)),
    ("all-reduce-implementation", Kind::Algorithms),
    ("all-gather-implementation", Kind::Algorithms),
    ("reduce-scatter-implementation", Kind::Algorithms),
    ("all-to-all-implementation", Kind::Algorithms),
    ("all-reduce-implementation-custom", Kind::Paths),
    ("all-gather-implementation-custom", Kind::Paths),
    ("reduce-scatter-implementation-custom", Kind::Paths),
    ("all-to-all-implementation-custom", Kind::Paths),
    ("per-node-custom-implementation", Kind::Paths),
    ("collective-optimization", Kind::Word(astra_engine::CollectiveOptimization::NAMES)),
    ("local-mem-bw", Kind::Number),
    ("boost-mode", Kind::Integer(0)),
    ("roofline-enabled", Kind::Switch),
    ("peak-perf", Kind::Number),
    ("replay-only", Kind::Switch),
    ("trace-enabled", Kind::Switch),
    ("track-local-mem", Kind::Switch),
    ("local-mem-trace-filename", Kind::Text),
    ("intra-dimension-scheduling", Kind::Text),
    ("inter-dimension-scheduling", Kind::Text),
    ("model-shared-bus", Kind::Switch),
    ("local-reduction-delay", Kind::Integer(0)),
    ("L", Kind::BusTime),
    ("o", Kind::BusTime),
    ("g", Kind::BusTime),
    ("G", Kind::Number),
];

/// All key names.
pub(super) fn key_names() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|(name, _)| *name)
}

/// The key of a collective's algorithm list.
pub const fn algorithm_key(collective: Collective) -> &'static str {
    match collective {
        Collective::AllReduce => "all-reduce-implementation",
        Collective::AllGather => "all-gather-implementation",
        Collective::ReduceScatter => "reduce-scatter-implementation",
        Collective::AllToAll => "all-to-all-implementation",
    }
}

/// The key of the custom collective that carries out a collective.
pub(super) const fn custom_key(collective: Collective) -> &'static str {
    match collective {
        Collective::AllReduce => "all-reduce-implementation-custom",
        Collective::AllGather => "all-gather-implementation-custom",
        Collective::ReduceScatter => "reduce-scatter-implementation-custom",
        Collective::AllToAll => "all-to-all-implementation-custom",
    }
}

/// Keys of the system file with the values a user wants instead of the defaults; names and types are checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SystemOverrides(Map<String, Json>);

impl SystemOverrides {
    /// Checks a recipe's `system` block.
    ///
    /// # Errors
    ///
    /// A key the system file does not have (with a suggestion), or a value of the wrong kind; the key path begins
    /// with `system`.
    pub fn new(mut overrides: Map<String, Json>) -> Result<Self> {
        for (key, value) in &mut overrides {
            check(key, value).map_err(|error| error.key(key).under("system"))?;
            // In a system file every boolean turns a switch on, `false` as well.
            if let Json::Bool(on) = *value {
                *value = u8::from(on).into();
            }
        }
        Ok(Self(overrides))
    }

    /// The overrides, by key.
    pub fn entries(&self) -> &Map<String, Json> {
        &self.0
    }

    /// The algorithms given for a collective, if any.
    pub(super) fn algorithms(&self, collective: Collective) -> Option<Vec<String>> {
        let list = self.0.get(algorithm_key(collective))?.as_array()?;
        Some(list.iter().filter_map(Json::as_str).map(str::to_owned).collect())
    }
}

/// A time of the shared bus in whole nanoseconds: it goes through a float of 32 bits, then loses its fraction.
pub(super) fn bus_time(nanos: f64) -> Option<u64> {
    let float = nanos as f32;
    (0.0..i32::MAX as f32).contains(&float).then_some(float as u64)
}

fn check(key: &str, value: &Json) -> Result<()> {
    let Some((_, kind)) = KEYS.iter().find(|(name, _)| *name == key) else {
        let error = Error::input("unknown key of the system file").suggest(key, key_names());
        return Err(error.hint(format!("known keys: {}", key_names().collect::<Vec<_>>().join(", "))));
    };
    let expected = |what: &str| Err(Error::input(format!("expected {what}, found {value}")));
    match kind {
        Kind::Integer(least)
            if value.as_u64().is_some_and(|n| (*least..=MAX_INTEGER.into()).contains(&n)) =>
        {
            Ok(())
        }
        Kind::Integer(least) => expected(&format!("an integer from {least} to {MAX_INTEGER}")),
        Kind::BusTime if value.as_f64().is_some_and(|number| bus_time(number).is_some()) => Ok(()),
        Kind::BusTime => expected("nanoseconds from 0 to below 2^31"),
        Kind::Number if value.as_f64().is_some_and(|number| number >= 0.0) => Ok(()),
        Kind::Number => expected("a number ≥ 0"),
        Kind::Switch if value.is_boolean() || value.as_u64().is_some_and(|number| number <= 1) => Ok(()),
        Kind::Switch => expected("0 or 1"),
        Kind::Text if value.is_string() => Ok(()),
        Kind::Text => expected("text"),
        Kind::Word(words) => match value.as_str() {
            Some(word) if words.contains(&word) => Ok(()),
            Some(word) => {
                let error =
                    Error::input(format!("unknown value `{word}`")).suggest(word, words.iter().copied());
                Err(error.hint(format!("one of {}", words.join(", "))))
            }
            None => expected(&format!("one of {}", words.join(", "))),
        },
        Kind::Paths => {
            let error = Error::input("a recipe cannot name the files of custom collectives yet");
            Err(error.hint("run existing files with `astra-store sim`"))
        }
        Kind::Algorithms => match value.as_array() {
            Some(list) => list.iter().try_for_each(|item| match item.as_str() {
                Some(name) => algorithm::parse(name).map(|_| ()),
                None => Err(Error::input(format!("expected a list of algorithm names, found {item} in it"))),
            }),
            None => expected("a list of algorithm names, one per dimension"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::astrasim::SystemFile;
    use serde_json::json;

    fn new(value: Json) -> Result<SystemOverrides> {
        SystemOverrides::new(value.as_object().unwrap().clone())
    }

    #[test]
    fn a_misspelt_key_gets_a_suggestion_and_its_path() {
        let error = new(json!({"endpoint_delay": 5})).unwrap_err();
        assert_eq!(error.to_string(), "system.endpoint_delay: unknown key of the system file");
        assert_eq!(error.hint_text(), Some("did you mean `endpoint-delay`?"));
    }

    #[test]
    fn each_kind_of_value_is_checked() {
        for good in [
            json!({"endpoint-delay": 0, "local-mem-bw": 3350.5, "roofline-enabled": true}),
            json!({"all-reduce-implementation": ["ring", "direct4"]}),
            json!({"scheduling-policy": "FIFO", "collective-optimization": "baseline"}),
            json!({"model-shared-bus": true, "L": 2_147_483_000, "o": 0.5}),
        ] {
            assert!(new(good.clone()).is_ok(), "{good}");
        }
        for bad in [
            json!({"endpoint-delay": -1}),
            json!({"endpoint-delay": "5"}),
            json!({"preferred-dataset-splits": 0}),
            json!({"active-chunks-per-dimension": 1.5}),
            json!({"L": 2_147_483_647}),
            json!({"g": -1}),
            json!({"scheduling-policy": "lifo"}),
            json!({"all-reduce-implementation": "ring"}),
            json!({"all-reduce-implementation": ["rong"]}),
            json!({"all-reduce-implementation-custom": ["custom/ring"]}),
            json!({"per-node-custom-implementation": "nodes.yml"}),
            json!({"roofline-enabled": 2}),
        ] {
            assert!(new(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_accepted_is_what_a_system_file_may_say() {
        for (key, kind) in KEYS {
            let Kind::Integer(least) = kind else { continue };
            let most = u64::from(MAX_INTEGER);
            for (number, is_good) in [(least, true), (most, true), (most + 1, false), (u64::MAX, false)] {
                let overrides = new(json!({ key: number }));
                assert_eq!(overrides.is_ok(), is_good, "{key}: {number}");
                let Ok(overrides) = overrides else { continue };
                let text = json!(overrides.entries()).to_string();
                assert!(SystemFile::parse(text.as_bytes(), "s.json").is_ok(), "{text}");
            }
        }
        let error = new(json!({"preferred-dataset-splits": 2_147_483_648_u32})).unwrap_err();
        assert_eq!(
            error.to_string(),
            "system.preferred-dataset-splits: expected an integer from 1 to 2147483647, found 2147483648"
        );
    }

    #[test]
    fn a_boolean_is_written_as_the_number_that_means_it() {
        let overrides = new(json!({"roofline-enabled": false, "model-shared-bus": true})).unwrap();
        assert_eq!(json!(overrides.entries()), json!({"roofline-enabled": 0, "model-shared-bus": 1}));
    }
}

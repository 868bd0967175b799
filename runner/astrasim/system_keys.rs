//! The keys of ASTRA-sim's system file, what each takes, and a user's overrides of them.

use astra_policy::Collective;
use serde_json::{Map, Value as Json};

use crate::algorithm;
use crate::{Error, Result};

/// What a key takes.
#[derive(Clone, Copy)]
enum Kind {
    /// A whole number of at least this.
    Integer(u64),
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
    ("L", Kind::Number),
    ("o", Kind::Number),
    ("g", Kind::Number),
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
    pub fn new(overrides: Map<String, Json>) -> Result<Self> {
        for (key, value) in &overrides {
            check(key, value).map_err(|error| error.key(key).under("system"))?;
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

fn check(key: &str, value: &Json) -> Result<()> {
    let Some((_, kind)) = KEYS.iter().find(|(name, _)| *name == key) else {
        let error = Error::input("unknown key of the system file").suggest(key, key_names());
        return Err(error.hint(format!("known keys: {}", key_names().collect::<Vec<_>>().join(", "))));
    };
    let expected = |what: &str| Err(Error::input(format!("expected {what}, found {value}")));
    match kind {
        Kind::Integer(least) if value.as_u64().is_some_and(|n| n >= *least && u32::try_from(n).is_ok()) => {
            Ok(())
        }
        Kind::Integer(least) => expected(&format!("an integer from {least} to 4294967295")),
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
        ] {
            assert!(new(good.clone()).is_ok(), "{good}");
        }
        for bad in [
            json!({"endpoint-delay": -1}),
            json!({"endpoint-delay": "5"}),
            json!({"preferred-dataset-splits": 0}),
            json!({"active-chunks-per-dimension": 1.5}),
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
}

//! Typed reading of one object of a recipe: known keys only, each value checked where it stands.
//!
//! Every message says what was found and what is accepted. Depends on the document and its places only.

use std::path::Path;
use std::time::Duration;

use astra_engine::{Bytes, Nanos};

use super::document::Json;
use super::place::{Fault, Place};
use crate::units::{
    MAX_QUANTITY, NotAQuantity, SIZE_FORMS, SPAN_FORMS, TIME_FORMS, parse_size, parse_span, parse_time,
    time_text,
};

/// The largest number of ranks, microbatches and the like: a typing error must not ask for terabytes of traces.
pub(super) const MAX_COUNT: u32 = 1 << 20;

/// An object at a place, whose keys are all known.
pub(super) struct Section<'a> {
    fields: &'a [(String, Json)],
    pub(super) place: &'a Place<'a>,
}

impl<'a> Section<'a> {
    /// Opens an object and refuses keys it must not have.
    pub(super) fn open(json: &'a Json, place: &'a Place<'a>, known: &[&str]) -> Result<Self, Fault> {
        let fields = object(json, place)?;
        for (key, _) in fields {
            if !known.contains(&key.as_str()) {
                let message = format!("unknown key `{key}`, expected one of {}", list(known));
                return Err(place.key(key).fault(message).suggest(key, known.iter().copied()));
            }
        }
        Ok(Self { fields, place })
    }

    /// Reads a key that may be absent.
    pub(super) fn optional<T>(
        &self,
        key: &str,
        read: impl FnOnce(&Json, &Place<'_>) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        self.fields
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, json)| read(json, &self.place.key(key)))
            .transpose()
    }

    /// Reads a key that must be there; `what` says what belongs there.
    pub(super) fn required<T>(
        &self,
        key: &str,
        what: &str,
        read: impl FnOnce(&Json, &Place<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.optional(key, read)?
            .ok_or_else(|| self.place.key(key).fault(format!("missing: {what} is needed here")))
    }
}

/// The fields of an object.
pub(super) fn object<'a>(json: &'a Json, place: &Place<'_>) -> Result<&'a [(String, Json)], Fault> {
    match json {
        Json::Object(fields) => Ok(fields),
        other => Err(wrong_kind(other, place, "an object")),
    }
}

/// The items of a list.
pub(super) fn array<'a>(json: &'a Json, place: &Place<'_>) -> Result<&'a [Json], Fault> {
    match json {
        Json::Array(items) => Ok(items),
        other => Err(wrong_kind(other, place, "a list")),
    }
}

/// Text that is not empty.
pub(super) fn text(json: &Json, place: &Place<'_>) -> Result<String, Fault> {
    match json {
        Json::String(s) if s.trim().is_empty() => Err(place.fault("empty text")),
        Json::String(s) => Ok(s.clone()),
        other => Err(wrong_kind(other, place, "text")),
    }
}

/// The path of a file, relative to the recipe.
pub(super) fn relative_path(json: &Json, place: &Place<'_>) -> Result<String, Fault> {
    let path = text(json, place)?;
    if Path::new(&path).has_root() {
        return Err(place
            .fault(format!("`{path}` is an absolute path, expected one relative to the recipe"))
            .hint("a recipe with relative paths works on every machine"));
    }
    Ok(path)
}

/// `true` or `false`.
pub(super) fn boolean(json: &Json, place: &Place<'_>) -> Result<bool, Fault> {
    match json {
        Json::Bool(b) => Ok(*b),
        other => Err(wrong_kind(other, place, "true or false")),
    }
}

/// One word of a fixed list.
pub(super) fn word<T: Copy>(
    json: &Json,
    place: &Place<'_>,
    what: &str,
    words: &[(&str, T)],
) -> Result<T, Fault> {
    let found = text(json, place)?;
    words.iter().find(|(word, _)| *word == found).map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let message = format!("unknown {what} `{found}`, expected one of {}", list(&known));
        place.fault(message).suggest(&found, known)
    })
}

/// A whole number from 1 to [`MAX_COUNT`].
pub(super) fn count(json: &Json, place: &Place<'_>) -> Result<u32, Fault> {
    count_to(MAX_COUNT, json, place)
}

/// A whole number from 1 to another.
pub(super) fn count_to(most: u32, json: &Json, place: &Place<'_>) -> Result<u32, Fault> {
    let number = match json {
        Json::Number(n) => n.as_u64().and_then(|n| u32::try_from(n).ok()),
        _ => None,
    };
    number.filter(|n| (1..=most).contains(n)).ok_or_else(|| {
        place.fault(format!("expected a whole number from 1 to {most}, found {}", describe(json)))
    })
}

/// A size of at least one byte.
pub(super) fn size(json: &Json, place: &Place<'_>) -> Result<Bytes, Fault> {
    let bytes = match json {
        Json::String(text) => parse_size(text).map_err(|e| not_a_quantity(e, place))?,
        Json::Number(n) => {
            Bytes(whole(n).filter(|n| *n <= MAX_QUANTITY).ok_or_else(|| wrong(json, place, SIZE_FORMS))?)
        }
        other => return Err(wrong(other, place, SIZE_FORMS)),
    };
    if bytes.0 == 0 { Err(place.fault("a size of 0, expected at least 1 byte")) } else { Ok(bytes) }
}

/// A time that is a whole number of microseconds, because traces count time of their own in microseconds.
pub(super) fn trace_time(json: &Json, place: &Place<'_>) -> Result<Nanos, Fault> {
    let time = match json {
        Json::String(text) => parse_time(text).map_err(|e| not_a_quantity(e, place))?,
        Json::Number(n) => {
            Nanos(whole(n).filter(|n| *n <= MAX_QUANTITY).ok_or_else(|| wrong(json, place, TIME_FORMS))?)
        }
        other => return Err(wrong(other, place, TIME_FORMS)),
    };
    if time.0 % 1_000 != 0 {
        let message =
            format!("{} is not a whole number of microseconds, in which traces count time", describe(json));
        let near = Nanos((time.0 / 1_000 + 1).saturating_mul(1_000));
        return Err(place.fault(message).hint(format!("the next one is \"{}\"", time_text(near))));
    }
    Ok(time)
}

/// A span of calendar time.
pub(super) fn span(json: &Json, place: &Place<'_>) -> Result<Duration, Fault> {
    match json {
        Json::String(text) => parse_span(text).map_err(|e| not_a_quantity(e, place)),
        Json::Number(n) => {
            let seconds = whole(n).filter(|n| *n <= MAX_QUANTITY);
            seconds.map(Duration::from_secs).ok_or_else(|| wrong(json, place, SPAN_FORMS))
        }
        other => Err(wrong(other, place, SPAN_FORMS)),
    }
}

/// A whole number, also when it is written `1e6`.
fn whole(number: &serde_json::Number) -> Option<u64> {
    // Above 2^53 a float no longer says which whole number was meant.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    number.as_u64().or_else(|| {
        let value = number.as_f64()?;
        ((0.0..=EXACT).contains(&value) && value.fract() == 0.0).then_some(value as u64)
    })
}

fn not_a_quantity(error: NotAQuantity, place: &Place<'_>) -> Fault {
    let fault = place.fault(error.message);
    match error.hint {
        Some(hint) => fault.hint(hint),
        None => fault,
    }
}

fn wrong(json: &Json, place: &Place<'_>, expected: &str) -> Fault {
    place.fault(format!("expected {expected}; found {}", describe(json)))
}

fn wrong_kind(json: &Json, place: &Place<'_>, expected: &str) -> Fault {
    place.fault(format!("expected {expected}, found {}", describe(json)))
}

/// A value for a message: small ones as they are, others by kind.
pub(super) fn describe(json: &Json) -> String {
    match json {
        Json::Null => "null".to_owned(),
        Json::Bool(_) | Json::Number(_) => format!("`{json}`"),
        Json::String(s) => format!("the text `{s}`"),
        Json::Array(_) | Json::Object(_) => json.kind().to_owned(),
    }
}

/// `` `a`, `b`, `c` ``
pub(super) fn list(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

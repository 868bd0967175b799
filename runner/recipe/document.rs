//! A JSON document as written: key order kept, duplicate keys refused.
//!
//! The order of `sweep.grid` is the order of the points, so it must survive reading; turning on serde_json's
//! `preserve_order` instead would change every map of the program. Knows nothing of what a recipe means.

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use std::fmt;

use crate::error::json_message;
use crate::{Error, Result};

/// A JSON value whose objects keep the order of their keys.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Parses a whole document.
    ///
    /// # Errors
    /// Syntax errors and duplicate keys, with line and column.
    pub(super) fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|e| {
            Error::input(format!("not valid JSON: {}", json_message(&e)))
                .at(e.line() as u64, e.column() as u64)
        })
    }

    /// The value of a key, when this is an object that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Json> {
        match self {
            Self::Object(fields) => fields.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// Sets the value of a key, when this is an object.
    pub(super) fn set(&mut self, key: &str, value: Json) {
        let Self::Object(fields) = self else { return };
        match fields.iter_mut().find(|(name, _)| name == key) {
            Some((_, place)) => *place = value,
            None => fields.push((key.to_owned(), value)),
        }
    }

    /// What kind of value this is, with its article, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "text",
            Self::Array(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    /// How a value of an axis is named: text without quotes, anything else as compact JSON.
    pub(super) fn label(&self) -> String {
        match self {
            Self::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    /// The same value in serde_json's type, for parts that are handed on as given.
    pub(super) fn to_value(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(b) => (*b).into(),
            Self::Number(n) => n.clone().into(),
            Self::String(s) => s.clone().into(),
            Self::Array(items) => items.iter().map(Self::to_value).collect::<Vec<_>>().into(),
            Self::Object(fields) => {
                let map: serde_json::Map<_, _> =
                    fields.iter().map(|(k, v)| (k.clone(), v.to_value())).collect();
                map.into()
            }
        }
    }
}

/// Writes keys in sorted order: two documents that differ only in the order of keys are written alike.
impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(b) => serializer.serialize_bool(*b),
            Self::Number(n) => n.serialize(serializer),
            Self::String(s) => serializer.serialize_str(s),
            Self::Array(items) => serializer.collect_seq(items),
            Self::Object(fields) => {
                let mut sorted: Vec<_> = fields.iter().collect();
                sorted.sort_by(|a, b| a.0.cmp(&b.0));
                let mut map = serializer.serialize_map(Some(sorted.len()))?;
                for (key, value) in sorted {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Json, E> {
        let number = serde_json::Number::from_f64(value).ok_or_else(|| E::custom("number out of range"))?;
        Ok(Json::Number(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut fields: Vec<(String, Json)> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(format!("the key `{key}` is there twice")));
            }
            fields.push((key, map.next_value()?));
        }
        Ok(Json::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syntax_error_has_line_and_column() {
        let e = Json::parse("{\n  \"a\": 1,\n  \"b\" 2\n}").unwrap_err();
        assert_eq!(e.to_string(), "line 3, column 7: not valid JSON: expected `:`");
        let e = Json::parse("{\"a\": 1,}").unwrap_err();
        assert_eq!(e.to_string(), "line 1, column 9: not valid JSON: trailing comma");
        assert!(Json::parse("").unwrap_err().to_string().contains("EOF"));
        assert!(Json::parse("{} {}").unwrap_err().to_string().contains("trailing characters"));
    }

    #[test]
    fn a_duplicate_key_is_refused_where_it_stands() {
        let e = Json::parse("{\n\"a\": 1,\n\"a\": 2\n}").unwrap_err();
        assert_eq!(e.to_string(), "line 3, column 3: not valid JSON: the key `a` is there twice");
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let e = Json::parse(&"[".repeat(100_000)).unwrap_err();
        assert!(e.to_string().contains("recursion limit"), "{e}");
    }

    #[test]
    fn key_order_is_kept_when_read_and_sorted_when_written() {
        let json = Json::parse(r#"{"b": [1, 2.5, null], "a": {"d": true, "c": "x"}}"#).unwrap();
        let Json::Object(fields) = &json else { panic!("an object") };
        assert_eq!(fields[0].0, "b");
        assert_eq!(json.to_string(), r#"{"a":{"c":"x","d":true},"b":[1,2.5,null]}"#);
        assert_eq!(json.to_value(), serde_json::json!({"a": {"c": "x", "d": true}, "b": [1, 2.5, null]}));
    }
}

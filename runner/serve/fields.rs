//! The values of a request, each checked where it stands: what is wrong says its key, what was found and what is expected.
//!
//! Depends on JSON only. Must never know what a key means.

use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Result};

/// An object whose keys are all known.
pub(super) struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    /// Opens an object and refuses keys that it must not have.
    pub(super) fn open(value: &'a Value, known: &[&str]) -> Result<Self> {
        let fields = object(value)?;
        match fields.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(Self(fields)),
            Some(key) => {
                let error = usage(format!("unknown key, expected one of {}", known.join(", ")));
                Err(error.key(key).suggest(key, known.iter().copied()))
            }
        }
    }

    /// Reads a key that may be absent, or null.
    pub(super) fn optional<T>(
        &self,
        key: &str,
        read: impl FnOnce(&'a Value) -> Result<T>,
    ) -> Result<Option<T>> {
        read_key(self.0, key, read)
    }

    /// Reads a key that must be there.
    pub(super) fn required<T>(&self, key: &str, read: impl FnOnce(&'a Value) -> Result<T>) -> Result<T> {
        self.optional(key, read)?.ok_or_else(|| missing(key))
    }
}

/// Which of these words the key says that decides which other keys an object has.
pub(super) fn word<'a>(value: &'a Value, key: &str, words: &[&str]) -> Result<&'a str> {
    let word = read_key(object(value)?, key, text)?.ok_or_else(|| missing(key))?;
    if words.contains(&word) {
        return Ok(word);
    }
    let error = usage(format!("unknown word `{word}`, expected one of {}", words.join(", ")));
    Err(error.key(key).suggest(word, words.iter().copied()))
}

/// A whole number from `least` to `most`.
pub(super) fn whole(least: u64, most: u64, value: &Value) -> Result<u64> {
    let number = value.as_u64().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| wrong(value, &format!("a whole number from {least} to {most}")))
}

/// The same in 32 bits.
pub(super) fn count(least: u32, most: u32, value: &Value) -> Result<u32> {
    whole(least.into(), most.into(), value).map(|number| number as u32)
}

/// A number.
pub(super) fn number(value: &Value) -> Result<f64> {
    value.as_f64().ok_or_else(|| wrong(value, "a number"))
}

/// `true` or `false`.
pub(super) fn boolean(value: &Value) -> Result<bool> {
    value.as_bool().ok_or_else(|| wrong(value, "true or false"))
}

/// Text.
pub(super) fn text(value: &Value) -> Result<&str> {
    value.as_str().ok_or_else(|| wrong(value, "text"))
}

/// Text that is kept.
pub(super) fn owned(value: &Value) -> Result<String> {
    text(value).map(str::to_owned)
}

/// The path of a file or directory.
pub(super) fn path(value: &Value) -> Result<PathBuf> {
    text(value).map(PathBuf::from)
}

/// A list.
pub(super) fn list<T>(value: &Value, read: impl Fn(&Value) -> Result<T>) -> Result<Vec<T>> {
    let items = value.as_array().ok_or_else(|| wrong(value, "a list"))?.iter().enumerate();
    items.map(|(index, item)| read(item).map_err(|error| error.under(&format!("[{index}]")))).collect()
}

/// Something in a request is wrong.
pub(super) fn usage(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Usage, message)
}

fn object(value: &Value) -> Result<&Map<String, Value>> {
    value.as_object().ok_or_else(|| wrong(value, "an object"))
}

fn read_key<'a, T>(
    fields: &'a Map<String, Value>,
    key: &str,
    read: impl FnOnce(&'a Value) -> Result<T>,
) -> Result<Option<T>> {
    let value = fields.get(key).filter(|value| !value.is_null());
    value.map(read).transpose().map_err(|error| error.under(key))
}

fn missing(key: &str) -> Error {
    usage("missing required key").key(key)
}

fn wrong(value: &Value, expected: &str) -> Error {
    let found = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => format!("`{value}`"),
        Value::String(text) => format!("the text `{}`", text.escape_debug()),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    };
    usage(format!("expected {expected}, found {found}"))
}

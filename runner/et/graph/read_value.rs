//! The values of a graph file: each says what it expects where it does not find it.

use std::fmt;

use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};

use super::read::{Reading, unknown_key};

/// A key out of a list: its position.
pub(super) struct Known<'a> {
    pub(super) keys: &'static [&'static str],
    pub(super) reading: &'a mut Reading,
}

impl<'de> DeserializeSeed<'de> for Known<'_> {
    type Value = usize;

    fn deserialize<D: de::Deserializer<'de>>(self, json: D) -> Result<usize, D::Error> {
        json.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Known<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<usize, E> {
        let position = self.keys.iter().position(|known| *known == key);
        position.ok_or_else(|| self.reading.refuse(unknown_key(key, self.keys)))
    }
}

/// A number from 0 to a limit.
#[derive(Clone, Copy)]
pub(super) struct WholeNumber {
    limit: u32,
    what: &'static str,
}

impl WholeNumber {
    pub(super) const fn up_to(limit: u32, what: &'static str) -> Self {
        Self { limit, what }
    }
}

impl<'de> DeserializeSeed<'de> for WholeNumber {
    type Value = u32;

    fn deserialize<D: de::Deserializer<'de>>(self, json: D) -> Result<u32, D::Error> {
        json.deserialize_u32(self)
    }
}

impl Visitor<'_> for WholeNumber {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, a whole number from 0 to {}", self.what, self.limit)
    }

    fn visit_i64<E: de::Error>(self, found: i64) -> Result<u32, E> {
        Err(E::invalid_value(Unexpected::Signed(found), &self))
    }

    fn visit_u64<E: de::Error>(self, found: u64) -> Result<u32, E> {
        let small = u32::try_from(found).ok().filter(|number| *number <= self.limit);
        small.ok_or_else(|| E::invalid_value(Unexpected::Unsigned(found), &self))
    }
}

/// A number of bytes. A fraction is cut off: sizes that a cost model computes often have one.
pub(super) struct ByteCount;

impl<'de> DeserializeSeed<'de> for ByteCount {
    type Value = u64;

    fn deserialize<D: de::Deserializer<'de>>(self, json: D) -> Result<u64, D::Error> {
        json.deserialize_f64(self)
    }
}

impl Visitor<'_> for ByteCount {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of bytes from 0 to 2^63 - 1")
    }

    fn visit_i64<E: de::Error>(self, found: i64) -> Result<u64, E> {
        Err(E::invalid_value(Unexpected::Signed(found), &self))
    }

    fn visit_u64<E: de::Error>(self, found: u64) -> Result<u64, E> {
        if i64::try_from(found).is_ok() {
            return Ok(found);
        }
        Err(E::invalid_value(Unexpected::Unsigned(found), &self))
    }

    fn visit_f64<E: de::Error>(self, found: f64) -> Result<u64, E> {
        const LIMIT: f64 = (1_u64 << 63) as f64;
        if (0.0..LIMIT).contains(&found) {
            return Ok(found as u64);
        }
        Err(E::invalid_value(Unexpected::Float(found), &self))
    }
}

/// The longest time a node may compute, in seconds: its microseconds fit 63 bits.
const MAX_SECONDS: f64 = 9e12;

/// A time.
struct Time;

impl<'de> DeserializeSeed<'de> for Time {
    type Value = f64;

    fn deserialize<D: de::Deserializer<'de>>(self, json: D) -> Result<f64, D::Error> {
        json.deserialize_f64(self)
    }
}

impl Visitor<'_> for Time {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seconds from 0 to {MAX_SECONDS:e}")
    }

    fn visit_u64<E: de::Error>(self, found: u64) -> Result<f64, E> {
        self.visit_f64(found as f64)
    }

    fn visit_i64<E: de::Error>(self, found: i64) -> Result<f64, E> {
        self.visit_f64(found as f64)
    }

    fn visit_f64<E: de::Error>(self, found: f64) -> Result<f64, E> {
        if (0.0..=MAX_SECONDS).contains(&found) {
            return Ok(found);
        }
        Err(E::invalid_value(Unexpected::Float(found), &self))
    }
}

/// A time, or a list with one for each replica.
pub(super) struct Times<'a>(pub(super) &'a mut Reading);

/// What is there for `seconds`.
pub(super) enum TimesFound {
    One(f64),
    /// A list, which the builder has.
    List,
}

impl<'de> DeserializeSeed<'de> for Times<'_> {
    type Value = TimesFound;

    fn deserialize<D: de::Deserializer<'de>>(self, json: D) -> Result<TimesFound, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Times<'_> {
    type Value = TimesFound;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seconds from 0 to {MAX_SECONDS:e}, or a list of them with one entry per replica")
    }

    fn visit_u64<E: de::Error>(self, found: u64) -> Result<TimesFound, E> {
        Time.visit_u64(found).map(TimesFound::One)
    }

    fn visit_i64<E: de::Error>(self, found: i64) -> Result<TimesFound, E> {
        Time.visit_i64(found).map(TimesFound::One)
    }

    fn visit_f64<E: de::Error>(self, found: f64) -> Result<TimesFound, E> {
        Time.visit_f64(found).map(TimesFound::One)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<TimesFound, A::Error> {
        let reading = self.0;
        for item in 0.. {
            reading.place.item = Some(item);
            match list.next_element_seed(Time)? {
                None => break,
                Some(seconds) => reading.builder.profile_entry(seconds),
            }
        }
        reading.place.item = None;
        Ok(TimesFound::List)
    }
}

/// A list of positions of nodes; `add` is called with each.
pub(super) struct NodeList<'a, F> {
    pub(super) reading: &'a mut Reading,
    pub(super) add: F,
}

impl<'de, F: FnMut(&mut Reading, u32)> DeserializeSeed<'de> for NodeList<'_, F> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(&mut Reading, u32)> Visitor<'de> for NodeList<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of positions of nodes")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        for item in 0.. {
            self.reading.place.item = Some(item);
            match list.next_element_seed(WholeNumber::up_to(u32::MAX, "the position of a node"))? {
                None => break,
                Some(node) => (self.add)(self.reading, node),
            }
        }
        self.reading.place.item = None;
        Ok(())
    }
}

/// Text, copied into a buffer that is used again.
pub(super) struct Text<'a>(pub(super) &'a mut String);

impl<'de> DeserializeSeed<'de> for Text<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Text<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        self.0.clear();
        self.0.push_str(text);
        Ok(())
    }
}

/// An object for people and other tools, of which nothing is read.
pub(super) struct Info;

impl<'de> DeserializeSeed<'de> for Info {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Info {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

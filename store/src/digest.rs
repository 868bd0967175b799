//! The two kinds of names: what bytes are ([`Digest`]) and what a computation is ([`ActionKey`]).
//!
//! Both are 32 bytes of blake3, in different domains, so that one can never be mistaken for the other.

use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// The context of [`ActionKey`]. Part of the format: changing it disowns every stored action.
const ACTION_KEY_CONTEXT: &str = "artifact-store action key v1";

/// A 32-byte name in its raw form.
pub(crate) type Id = [u8; 32];

/// The name of bytes: their blake3 hash. Written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(Id);

/// The name of a computation: blake3 in key-derivation mode over the canonical description of everything that
/// goes into it (its *preimage*). Written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionKey(Id);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl ActionKey {
    /// The key of the computation that this canonical description describes.
    pub fn of_preimage(preimage: &[u8]) -> Self {
        Self(blake3::derive_key(ACTION_KEY_CONTEXT, preimage))
    }
}

macro_rules! name_of_32_bytes {
    ($name:ident, $what:literal) => {
        impl $name {
            #[doc = concat!("Takes 32 bytes that are known to be ", $what, ".")]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&blake3::Hash::from_bytes(self.0).to_hex())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            /// Reads 64 hex digits of either case.
            fn from_str(text: &str) -> Result<Self> {
                let wrong = |_| Error::invalid(format!("`{text}` is not {}: expected 64 hex digits", $what));
                blake3::Hash::from_hex(text).map(|hash| Self(hash.into())).map_err(wrong)
            }
        }
    };
}

name_of_32_bytes!(Digest, "a digest");
name_of_32_bytes!(ActionKey, "an action key");

/// The first hex digits of a name, as people abbreviate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HexPrefix {
    /// The smallest and the largest name that begin so.
    pub(crate) first: Id,
    pub(crate) last: Id,
}

impl HexPrefix {
    /// The prefix of every name.
    pub const ALL: Self = Self { first: [0; 32], last: [0xff; 32] };
}

impl FromStr for HexPrefix {
    type Err = Error;

    /// Reads up to 64 hex digits of either case.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::invalid(format!("`{text}` is not the beginning of a digest: expected 1 to 64 hex digits"))
        };
        if text.is_empty() || text.len() > 64 {
            return Err(wrong());
        }
        let mut prefix = Self::ALL;
        for (i, character) in text.chars().enumerate() {
            let nibble = character.to_digit(16).and_then(|n| u8::try_from(n).ok()).ok_or_else(wrong)?;
            let (shift, others) = if i % 2 == 0 { (4, 0x0f) } else { (0, 0xf0) };
            prefix.first[i / 2] |= nibble << shift;
            prefix.last[i / 2] &= (nibble << shift) | others;
        }
        Ok(prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_blake3_and_an_action_key_is_another_domain() {
        // The first is the published test vector of blake3 for no input.
        assert_eq!(
            Digest::of(b"").to_string(),
            "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
        );
        assert_ne!(Digest::of(b"").as_bytes(), ActionKey::of_preimage(b"").as_bytes());
    }

    #[test]
    fn names_round_trip_through_hex_and_refuse_anything_else() {
        let digest = Digest::of(b"abc");
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        assert_eq!(digest.to_string().to_uppercase().parse::<Digest>().unwrap(), digest);
        for wrong in ["", "12", "xyz", &"é".repeat(32), &"0".repeat(63), &"0".repeat(65)] {
            let error = wrong.parse::<Digest>().unwrap_err();
            assert!(error.to_string().contains("expected 64 hex digits"), "{error}");
        }
    }

    #[test]
    fn a_prefix_covers_exactly_the_names_that_begin_so() {
        let prefix: HexPrefix = "abc".parse().unwrap();
        assert_eq!((prefix.first[0], prefix.first[1], prefix.first[2]), (0xab, 0xc0, 0));
        assert_eq!((prefix.last[0], prefix.last[1], prefix.last[2]), (0xab, 0xcf, 0xff));
    }
}

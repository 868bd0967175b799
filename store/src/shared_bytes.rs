//! Bytes that many can hold at once.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Immutable bytes, cheap to clone. Made from a `Vec` without copying them, which an `Arc<[u8]>` cannot be: its counters lie
/// in front of the bytes.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SharedBytes(Arc<Vec<u8>>);

impl Deref for SharedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for SharedBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Borrow<[u8]> for SharedBytes {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for SharedBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Arc::new(bytes))
    }
}

impl From<&[u8]> for SharedBytes {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl<const N: usize> From<[u8; N]> for SharedBytes {
    fn from(bytes: [u8; N]) -> Self {
        bytes.to_vec().into()
    }
}

impl From<&str> for SharedBytes {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl From<String> for SharedBytes {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl fmt::Debug for SharedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self[..], f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_a_vec_are_not_copied_and_compare_as_slices_do() {
        let vec = vec![1, 2, 3];
        let at = vec.as_ptr();
        let bytes = SharedBytes::from(vec);
        assert_eq!(bytes.clone().as_ptr(), at);
        assert!(bytes > SharedBytes::from([1, 2]) && bytes < SharedBytes::from([2]));
        let known = std::collections::BTreeSet::from([bytes]);
        assert!(known.contains(&[1, 2, 3][..]));
    }
}

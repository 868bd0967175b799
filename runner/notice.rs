//! What is worth telling the user about an input that is accepted.

use std::fmt;

/// Something worth telling the user about an input that is not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Key path of what the notice is about.
    pub key: String,
    /// The notice: a lower-case fragment.
    pub message: String,
}

impl Notice {
    /// A notice about a key.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into() }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

//! What a policy says of itself.

/// What a policy says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Its name: lower-case letters, digits and dashes.
    pub name: String,
    /// Version of its rules.
    pub version: String,
    /// What it does, in one line.
    pub description: String,
}

//! The answer, and the trait a policy implements.
//!
//! Whether an answer is any good (algorithms possible, costs finite, as many dimensions as asked) is for the host to
//! judge; nothing here refuses one.

use std::fmt;

use crate::{Algorithm, Request};

/// A policy: a pure function from requests to answers, after it has read its configuration.
pub trait Policy: Send + Sync + Sized + 'static {
    /// Its name: lower-case letters, digits and dashes, at most 64 bytes.
    const NAME: &'static str;
    /// Version of its rules: raised whenever some request would be answered otherwise.
    const VERSION: &'static str;
    /// What it does, in one line of at most 256 bytes.
    const DESCRIPTION: &'static str;

    /// Reads the configuration: the text of the recipe's `policy.config`, empty when there is none.
    ///
    /// # Errors
    /// What is wrong with the configuration, as a lower-case fragment.
    fn open(config: &str) -> Result<Self, Refusal>;

    /// Answers one request; `None` leaves the decision to the host's default.
    ///
    /// # Errors
    /// Why there is no answer, as a lower-case fragment: the step that asked fails with it.
    fn decide(&self, request: &Request) -> Result<Option<Answer>, Refusal>;
}

/// What to do on one dimension.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// Use this algorithm.
    Algorithm(Algorithm),
    /// Use the cheapest of these, times in nanoseconds; the host leaves out what is not allowed, and of equal costs
    /// takes that with the lower number.
    Costs(Vec<(Algorithm, f64)>),
}

/// What to do on every dimension.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// One choice per dimension of the request, in its order.
    pub dimensions: Vec<Choice>,
    /// Cut the collective into this many chunks instead; at least 1.
    pub dataset_splits: Option<u32>,
    /// Have this many chunks active per dimension instead; at least 1.
    pub active_chunks: Option<u32>,
    /// Expected time of the whole collective in nanoseconds.
    pub predicted_ns: Option<f64>,
    /// Why, in a few words for a reader.
    pub reason: String,
}

impl Answer {
    /// These algorithms, one per dimension.
    pub fn of(algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        Self { dimensions: algorithms.into_iter().map(Choice::Algorithm).collect(), ..Self::default() }
    }

    /// The same answer with a reason.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }
}

/// Why a policy does not answer, as a lower-case fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(String);

impl<T: Into<String>> From<T> for Refusal {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

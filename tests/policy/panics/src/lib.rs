//! A policy that panics where its configuration says: `open`, or the words of a panic in `decide`.

use astra_policy::{Answer, Policy, Refusal, Request};

struct Panics(String);

impl Policy for Panics {
    const NAME: &'static str = "panics";
    const VERSION: &'static str = "1";
    const DESCRIPTION: &'static str = "panics";

    fn open(config: &str) -> Result<Self, Refusal> {
        assert_ne!(config, "open", "asked to panic");
        Ok(Self(config.to_owned()))
    }

    fn decide(&self, _request: &Request) -> Result<Option<Answer>, Refusal> {
        panic!("{}", self.0)
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        assert_ne!(self.0, "drop", "asked to panic");
    }
}

astra_policy::export_policy!(Panics);

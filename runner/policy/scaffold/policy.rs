//! The policy new-policy. Build it with `cargo build --release`, try it with `astra-store plugin check`.

use astra_policy::{Algorithm, Answer, Policy, Refusal, Request};

struct NewPolicy;

impl Policy for NewPolicy {
    const NAME: &'static str = "new-policy";
    const VERSION: &'static str = "1";
    const DESCRIPTION: &'static str = "ring, until it knows better";

    fn open(config: &str) -> Result<Self, Refusal> {
        if config.is_empty() { Ok(Self) } else { Err("takes no configuration".into()) }
    }

    fn decide(&self, request: &Request) -> Result<Option<Answer>, Refusal> {
        // Your rule goes here. `Choice::Costs` has the cheapest algorithm taken.
        if request.dimensions.iter().any(|dimension| !dimension.allowed.contains(Algorithm::Ring)) {
            return Ok(None);
        }
        let algorithms = request.dimensions.iter().map(|_| Algorithm::Ring);
        Ok(Some(Answer::of(algorithms).because("ring is always possible")))
    }
}

astra_policy::export_policy!(NewPolicy);

//! The policies that are part of this program.
//!
//! Linked in, a policy is identified by its name and version; as a file, by the file's bytes.

use astra_policy::{Answer, Policy, Refusal, Request};
use astra_policy_alpha_beta::AlphaBeta;
use astra_policy_csv::Csv;
use astra_policy_fixed::Fixed;
use astra_policy_topology::ByTopology;

use super::about::About;

/// A policy without its type.
trait Decider: Send + Sync {
    fn decide(&self, request: &Request) -> Result<Option<Answer>, Refusal>;
}

impl<P: Policy> Decider for P {
    fn decide(&self, request: &Request) -> Result<Option<Answer>, Refusal> {
        Policy::decide(self, request)
    }
}

/// A policy that is part of this program.
#[derive(Clone, Copy)]
pub struct Shipped {
    /// Its name.
    pub name: &'static str,
    /// Version of its rules.
    pub version: &'static str,
    /// What it does, in one line.
    pub description: &'static str,
    open: fn(&str) -> Result<Box<dyn Decider>, Refusal>,
}

/// All of them; the first is the default.
pub const SHIPPED: [Shipped; 4] =
    [Shipped::of::<ByTopology>(), Shipped::of::<Fixed>(), Shipped::of::<Csv>(), Shipped::of::<AlphaBeta>()];

impl Shipped {
    const fn of<P: Policy>() -> Self {
        Self {
            name: P::NAME,
            version: P::VERSION,
            description: P::DESCRIPTION,
            open: |config| P::open(config).map(|policy| Box::new(policy) as Box<dyn Decider>),
        }
    }

    /// The policy of that name.
    pub fn named(name: &str) -> Option<Self> {
        SHIPPED.into_iter().find(|shipped| shipped.name == name)
    }

    pub(super) fn about(&self) -> About {
        let [name, version, description] = [self.name, self.version, self.description].map(str::to_owned);
        About { name, version, description }
    }

    pub(super) fn open(&self, config: &str) -> Result<Opened, Refusal> {
        (self.open)(config).map(Opened)
    }
}

impl std::fmt::Debug for Shipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// A shipped policy with its configuration read.
pub(super) struct Opened(Box<dyn Decider>);

impl Opened {
    pub(super) fn decide(&self, request: &Request) -> Result<Option<Answer>, Refusal> {
        self.0.decide(request)
    }
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a shipped policy")
    }
}

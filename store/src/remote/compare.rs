//! Two records of one action that differ: the action is not deterministic, or somebody lies.

use crate::digest::ActionKey;
use crate::record::{ActionRecord, Provenance};
use std::fmt;

/// An action that gave one thing here and another elsewhere. Neither side is changed by it. `Display` says which
/// outputs differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// The action.
    pub key: ActionKey,
    /// What this store says.
    pub ours: ActionRecord,
    /// Who ran it here, if that is known.
    pub our_provenance: Option<Provenance>,
    /// What the other side says.
    pub theirs: ActionRecord,
    /// Who ran it there, if that is known.
    pub their_provenance: Option<Provenance>,
    /// The other side.
    pub other: String,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "action {} is not deterministic:", self.key)?;
        let names = self.ours.outputs.keys().chain(self.theirs.outputs.keys());
        let mut differing: Vec<&String> =
            names.filter(|name| self.ours.outputs.get(*name) != self.theirs.outputs.get(*name)).collect();
        differing.sort_unstable();
        differing.dedup();
        for (i, name) in differing.into_iter().enumerate() {
            let digest = |record: &ActionRecord| match record.outputs.get(name) {
                Some(output) => output.digest.to_string(),
                None => "not there".to_owned(),
            };
            let (ours, theirs) = (digest(&self.ours), digest(&self.theirs));
            let and = if i == 0 { "" } else { ";" };
            write!(f, "{and} output `{name}` is {ours} here{}", By(self.our_provenance.as_ref()))?;
            write!(f, " and {theirs} in {}{}", self.other, By(self.their_provenance.as_ref()))?;
        }
        Ok(())
    }
}

/// Who ran an action, in brackets, where that is known.
struct By<'a>(Option<&'a Provenance>);

impl fmt::Display for By<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(provenance) => write!(f, " (run on {})", provenance.host),
            None => Ok(()),
        }
    }
}

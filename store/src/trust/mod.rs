//! Whose claims to believe: keys, signatures of action records, and the list of trusted keys.
//!
//! A blob proves itself by its hash; a record is a claim, and only a signature says who makes it. Depends on names and
//! records. Must never decide what is done with a claim that nobody signed: that is the policy of whoever transfers.

mod key;
mod list;
mod signature;

pub use key::{PublicKey, SecretKey};
pub use list::{TrustList, Trusted};
pub use signature::{SIGNATURE_BYTES, Signature};

use crate::digest::ActionKey;
use crate::record::ActionRecord;

/// Which records of others to use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustPolicy {
    /// Whose signatures count.
    pub trusted: Vec<PublicKey>,
    /// Whether a record that none of these has signed is left alone.
    pub required: bool,
}

impl TrustPolicy {
    /// Those of these signatures that count: made by a trusted key, over this record.
    pub(crate) fn counting(
        &self,
        signatures: &[Signature],
        key: &ActionKey,
        record: &ActionRecord,
    ) -> Vec<Signature> {
        let counts = |s: &&Signature| self.trusted.contains(s.signer()) && s.verifies(key, record);
        signatures.iter().filter(counts).cloned().collect()
    }

    /// Whether a record with these counting signatures may be used; if not, why.
    pub(crate) fn check(&self, counting: &[Signature]) -> Result<(), String> {
        match (self.required && counting.is_empty(), self.trusted.len()) {
            (false, _) => Ok(()),
            (true, 0) => Err("signatures are required, and no key is trusted".to_owned()),
            (true, _) => Err("signatures are required, and no trusted key has signed it".to_owned()),
        }
    }
}

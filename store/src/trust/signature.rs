//! Signatures of action records, and the rows in which a store keeps them.

use crate::db::{ReadRows, Table};
use crate::digest::{ActionKey, Id};
use crate::error::Result;
use crate::publish::Publication;
use crate::record::ActionRecord;
use crate::store::Store;
use crate::trust::{PublicKey, SecretKey};
use ed25519_dalek::VerifyingKey;
use std::fmt;

/// Length of a signature, in bytes.
pub const SIGNATURE_BYTES: usize = 64;

/// What a signed message begins with. Part of the format: changing it disowns every signature.
const CONTEXT: &[u8] = b"artifact-store record signature 1\0";

/// Somebody's word that an action gave a record.
#[derive(Clone, PartialEq, Eq)]
pub struct Signature {
    signer: PublicKey,
    bytes: [u8; SIGNATURE_BYTES],
}

impl Signature {
    /// A signature that somebody else says to have made.
    pub const fn new(signer: PublicKey, bytes: [u8; SIGNATURE_BYTES]) -> Self {
        Self { signer, bytes }
    }

    pub(super) fn make(secret: &SecretKey, key: &ActionKey, record: &ActionRecord) -> Self {
        Self { signer: secret.public(), bytes: secret.sign_bytes(&message(key, record)) }
    }

    /// Who signed.
    pub const fn signer(&self) -> &PublicKey {
        &self.signer
    }

    /// The signature itself.
    pub const fn bytes(&self) -> &[u8; SIGNATURE_BYTES] {
        &self.bytes
    }

    /// Whether the signer has signed this claim.
    pub fn verifies(&self, key: &ActionKey, record: &ActionRecord) -> bool {
        let Ok(signer) = VerifyingKey::from_bytes(self.signer.as_bytes()) else { return false };
        let signature = ed25519_dalek::Signature::from_bytes(&self.bytes);
        // Strict: a weak key or a second form of a signature does not pass.
        signer.verify_strict(&message(key, record), &signature).is_ok()
    }

    pub(crate) fn row_key(&self, key: &ActionKey) -> [u8; 64] {
        row_key(key, self.signer.as_bytes())
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature(by {})", self.signer)
    }
}

/// What is signed: the domain, the action, the record in its one encoding. All but the last have a fixed length.
fn message(key: &ActionKey, record: &ActionRecord) -> Vec<u8> {
    [CONTEXT, key.as_bytes(), &record.encode()].concat()
}

fn row_key(key: &ActionKey, signer: &Id) -> [u8; 64] {
    let mut row = [0; 64];
    row[..32].copy_from_slice(key.as_bytes());
    row[32..].copy_from_slice(signer);
    row
}

/// The first and the last key that a signature of this action can have.
fn rows_of(key: &ActionKey) -> ([u8; 64], [u8; 64]) {
    (row_key(key, &[0; 32]), row_key(key, &[0xff; 32]))
}

impl Store {
    /// The committed signatures of an action's record, by signer. Those that do not hold for the record, because it
    /// has changed or they are damaged, are left out.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn signatures(&self, key: &ActionKey) -> Result<Vec<Signature>> {
        let rows = self.core().db.view()?.table(Table::Signatures)?;
        let (first, last) = rows_of(key);
        let mut found = Vec::new();
        rows.scan(&first[..]..=&last[..], &mut |row_key, value| {
            if let (Some(signer), Ok(bytes)) = (row_key.last_chunk::<32>(), value.try_into()) {
                found.push(Signature::new(PublicKey::from_bytes(*signer), bytes));
            }
            Ok(true)
        })?;
        if found.is_empty() {
            return Ok(found);
        }
        let record = self.record(key)?;
        found.retain(|signature| record.as_ref().is_some_and(|record| signature.verifies(key, record)));
        Ok(found)
    }

    /// Signs the records of these actions, as far as the store has them whole, and says how many that were. Their
    /// signatures are committed when this returns.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn sign(&self, keys: &[ActionKey], secret: &SecretKey) -> Result<u64> {
        self.check_writable()?;
        self.flush()?;
        let mut signed = 0;
        for key in keys {
            let (Some(record), Some(preimage)) = (self.hit(key)?, self.preimage(key)?) else { continue };
            let signature = secret.sign(key, &record);
            let provenance = self.provenance(key)?;
            let action = crate::NewAction::received(preimage, record)
                .with_provenance(provenance)
                .with_signatures(vec![signature]);
            self.publish(Publication { action: Some(action), ..Publication::default() });
            signed += 1;
        }
        self.flush()?;
        Ok(signed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Digest, Output, OutputKind};

    fn record(content: &[u8]) -> ActionRecord {
        let output =
            Output { digest: Digest::of(content), len: content.len() as u64, kind: OutputKind::Blob };
        ActionRecord { outputs: [("out".to_owned(), output)].into() }
    }

    #[test]
    fn a_signature_holds_for_its_action_record_and_signer_alone() {
        let (secret, other) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
        let (key, elsewhere) = (ActionKey::of_preimage(b"a"), ActionKey::of_preimage(b"b"));
        let signature = secret.sign(&key, &record(b"1"));
        assert!(signature.verifies(&key, &record(b"1")));
        assert!(!signature.verifies(&elsewhere, &record(b"1")));
        assert!(!signature.verifies(&key, &record(b"2")));
        assert!(!Signature::new(other.public(), *signature.bytes()).verifies(&key, &record(b"1")));
        assert_eq!(signature, secret.sign(&key, &record(b"1")));
        for at in 0..SIGNATURE_BYTES {
            let mut bytes = *signature.bytes();
            bytes[at] ^= 1;
            assert!(!Signature::new(secret.public(), bytes).verifies(&key, &record(b"1")), "byte {at}");
        }
    }

    #[test]
    fn the_signed_bytes_are_pinned() {
        let key = ActionKey::from_bytes([7; 32]);
        let message = message(&key, &ActionRecord::default());
        let expected = [&b"artifact-store record signature 1\0"[..], &[7; 32], b"recd\x01", &[0; 8]].concat();
        assert_eq!(message, expected);
    }
}

//! Keys to sign with, and their public halves to check with.

use crate::error::{Error, ErrorKind, Result};
use crate::trust::Signature;
use ed25519_dalek::{Signer, SigningKey};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::str::FromStr;

/// What the file of a secret key begins with.
const FIRST_LINE: &str = "artifact-store secret key 1";

/// What to do without the file of a key.
const NAME_ONE: &str = "name a file that was made when a key was generated";

/// A longer file is not that of a key.
const MOST_FILE_BYTES: u64 = 1024;

/// The name of a signer: the public half of a key. Written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Takes 32 bytes; whether they are a key of the curve shows when a signature is checked with it.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = Error;

    /// Reads 64 hex digits of either case that are a key of the curve.
    fn from_str(text: &str) -> Result<Self> {
        let bytes = from_hex(text)
            .ok_or_else(|| Error::invalid(format!("`{text}` is not a public key: expected 64 hex digits")))?;
        match ed25519_dalek::VerifyingKey::from_bytes(&bytes) {
            Ok(key) if !key.is_weak() => Ok(Self(bytes)),
            _ => Err(Error::invalid(format!("`{text}` is not a public key: no secret key belongs to it"))
                .hint("copy the line that was printed when the key was generated")),
        }
    }
}

/// A key to sign records with. Whoever has it can speak for its owner.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// Makes a new key from the system's randomness.
    ///
    /// # Errors
    /// The system has none.
    pub fn generate() -> Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|e| {
            Error::new(ErrorKind::Io, format!("the system gives no random bytes for a key: {e}"))
        })?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// The name under which others know this key.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    pub(super) fn sign_bytes(&self, message: &[u8]) -> [u8; super::SIGNATURE_BYTES] {
        self.0.sign(message).to_bytes()
    }

    /// Signs the claim that an action gave a record. The same claim gives the same signature every time.
    pub fn sign(&self, key: &crate::ActionKey, record: &crate::ActionRecord) -> Signature {
        Signature::make(self, key, record)
    }

    /// Writes the key to a new file that only its owner can read.
    ///
    /// # Errors
    /// The file exists or cannot be written.
    pub fn write_new(&self, path: &Path) -> Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let text = format!("{FIRST_LINE}\n{}\n", hex(self.0.as_bytes()));
        let written = options.open(path).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        written.map_err(|e| match e.kind() {
            std::io::ErrorKind::AlreadyExists => {
                Error::new(ErrorKind::Invalid, "there is a file already, which may be a key in use")
                    .at(path)
                    .hint("name another file")
            }
            _ => Error::new(ErrorKind::Io, format!("cannot write the key: {e}")).at(path),
        })
    }

    /// Reads what [`Self::write_new`] wrote.
    ///
    /// # Errors
    /// The file cannot be read or is not that of a key.
    pub fn read(path: &Path) -> Result<Self> {
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(MOST_FILE_BYTES).read_to_end(&mut bytes));
        read.map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Error::invalid("there is no such file").hint(NAME_ONE),
            std::io::ErrorKind::IsADirectory => {
                Error::invalid("this is a directory, expected the file of a secret key").hint(NAME_ONE)
            }
            _ => Error::new(ErrorKind::Io, format!("cannot read the key: {e}")),
        })
        .map_err(|e| e.at(path))?;
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.lines();
        let seed = match (lines.next(), lines.next().and_then(from_hex), lines.next()) {
            (Some(FIRST_LINE), Some(seed), None) => seed,
            // What was found is not shown: it may be a secret all the same.
            _ => {
                return Err(Error::invalid(format!(
                    "this is not a secret key: expected the line `{FIRST_LINE}` and a line of 64 hex digits"
                ))
                .at(path)
                .hint(NAME_ONE));
            }
        };
        Ok(Self(SigningKey::from_bytes(&seed)))
    }
}

impl fmt::Debug for SecretKey {
    /// Shows the public half only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public())
    }
}

fn hex(bytes: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*bytes).to_hex().to_string()
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    blake3::Hash::from_hex(text).ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_file_and_never_replaces_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let key = SecretKey::generate().unwrap();
        key.write_new(&path).unwrap();
        assert_eq!(SecretKey::read(&path).unwrap().public(), key.public());
        let again = SecretKey::generate().unwrap().write_new(&path).unwrap_err();
        assert!(again.to_string().contains("a key in use"), "{again}");
        assert_eq!(SecretKey::read(&path).unwrap().public(), key.public());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_and_not_shown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        for text in ["", "secret words", "artifact-store secret key 1\n12\n"] {
            std::fs::write(&path, text).unwrap();
            let error = SecretKey::read(&path).unwrap_err().to_string();
            assert!(error.contains("not a secret key") && !error.contains("secret words"), "{error}");
        }
    }

    #[test]
    fn a_public_key_round_trips_and_nonsense_is_refused() {
        let key = SecretKey::generate().unwrap().public();
        assert_eq!(key.to_string().parse::<PublicKey>().unwrap(), key);
        // The last is a point of small order: signatures by it hold for anything.
        for wrong in ["", "12", &"é".repeat(32), &format!("01{}", "0".repeat(62))] {
            assert!(wrong.parse::<PublicKey>().is_err(), "{wrong:?} was accepted");
        }
    }
}

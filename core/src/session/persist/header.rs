//! The first bytes of a session file: what it is, how long it is, and how it is sealed.

use sha2::{Digest, Sha256};

use super::{Key, fault};
use crate::error::{Result, SessionFault};

/// Bytes of the header.
pub const HEADER_BYTES: usize = 96;

/// Bytes of payload in each encrypted chunk but the last, which may have fewer.
pub const CHUNK: usize = 64 << 10;

/// Bytes that a chunk's Poly1305 tag adds.
pub const TAG: usize = 16;

/// Bytes of a SHA-256.
pub const DIGEST: usize = 32;

const MAGIC: [u8; 8] = *b"PLMSESSN";
const VERSION: u32 = 1;
const ENCRYPTED: u32 = 1;

/// Bytes of the nonce that all chunks share; a chunk's number and an end mark make it 24.
pub const NONCE: usize = 19;

/// Binds the key check to its purpose.
const KEY_CHECK: &[u8] = b"pocketlm session file: key check";

/// The header. Its own digest tells damage apart from a later version or another key.
pub struct Header {
    /// Bytes of payload, before it is sealed.
    pub payload: u64,
    /// The chunks' nonce, where the payload is encrypted.
    pub nonce: Option<[u8; NONCE]>,
    /// Tells a wrong key apart from damage.
    key_check: [u8; 16],
}

impl Header {
    /// A header for a payload of this length, with a nonce of its own when there is a key.
    pub fn new(payload: u64, key: Option<&Key>) -> Result<Self> {
        let mut header = Self {
            payload,
            nonce: None,
            key_check: [0; 16],
        };
        if let Some(key) = key {
            let mut nonce = [0; NONCE];
            getrandom::fill(&mut nonce).map_err(|error| {
                let detail = format!("no random numbers to encrypt with: {error}");
                fault(SessionFault::Unwritable, detail)
            })?;
            header.nonce = Some(nonce);
            header.key_check = key_check(&nonce, key);
        }
        Ok(header)
    }

    /// The bytes in the file.
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let flags = if self.nonce.is_some() { ENCRYPTED } else { 0 };
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&flags.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.payload.to_le_bytes());
        if let Some(nonce) = &self.nonce {
            bytes[24..24 + NONCE].copy_from_slice(nonce);
        }
        bytes[48..64].copy_from_slice(&self.key_check);
        let digest = Sha256::digest(&bytes[..64]);
        bytes[64..].copy_from_slice(&digest);
        bytes
    }

    /// Reads the header at the start of a file of `file_len` bytes and checks it against the key.
    ///
    /// # Errors
    /// [`crate::PocketError::SessionFile`].
    pub fn parse(bytes: &[u8], file_len: u64, key: Option<&Key>) -> Result<Self> {
        let magic = &MAGIC[..bytes.len().min(8)];
        if bytes.is_empty() || !bytes.starts_with(magic) {
            let detail = "it does not begin as one";
            return Err(fault(SessionFault::NotASession, detail));
        }
        let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(truncated(file_len, HEADER_BYTES as u64));
        };
        if bytes[64..] != *Sha256::digest(&bytes[..64]) {
            return Err(fault(SessionFault::Damaged, "in the header"));
        }
        let word = |at: usize| {
            bytes[at..]
                .first_chunk()
                .map_or(0, |w| u32::from_le_bytes(*w))
        };
        let long = |at: usize| {
            bytes[at..]
                .first_chunk()
                .map_or(0, |w| u64::from_le_bytes(*w))
        };
        if word(8) != VERSION || word(12) & !ENCRYPTED != 0 {
            let detail = format!(
                "version {} with flags {:#x}; version {VERSION} is read",
                word(8),
                word(12)
            );
            return Err(fault(SessionFault::OtherVersion, detail));
        }
        let encrypted = word(12) & ENCRYPTED != 0;
        let nonce = bytes[24..].first_chunk().copied().filter(|_| encrypted);
        let check = bytes[48..].first_chunk().copied().unwrap_or_default();
        let header = Self {
            payload: long(16),
            nonce,
            key_check: check,
        };
        match (&header.nonce, key) {
            (None, None) => {}
            (Some(_), None) => {
                return Err(fault(SessionFault::KeyMissing, "the file is encrypted"));
            }
            (None, Some(_)) => {
                // Whoever can replace a file must not be able to pass off one of their own.
                let detail = "a key was given, but anyone may have written this file";
                return Err(fault(SessionFault::NotEncrypted, detail));
            }
            (Some(nonce), Some(key)) => {
                if key_check(nonce, key) != check {
                    return Err(fault(SessionFault::WrongKey, "it was saved with another"));
                }
            }
        }
        match header.file_len() {
            Some(expected) if file_len < expected => Err(truncated(file_len, expected)),
            Some(expected) if file_len == expected => Ok(header),
            expected => {
                let detail = format!("{file_len} bytes, expected {expected:?}");
                Err(fault(SessionFault::Damaged, detail))
            }
        }
    }

    /// Bytes of the whole file.
    fn file_len(&self) -> Option<u64> {
        let sealed = match self.nonce {
            None => DIGEST as u64,
            Some(_) => self.payload.div_ceil(CHUNK as u64).max(1) * TAG as u64,
        };
        self.payload
            .checked_add(sealed)?
            .checked_add(HEADER_BYTES as u64)
    }
}

fn truncated(found: u64, expected: u64) -> crate::PocketError {
    let detail = format!("{found} of {expected} bytes are there");
    fault(SessionFault::Truncated, detail)
}

/// A digest of key and nonce: no way leads from it to a key of 256 random bits.
fn key_check(nonce: &[u8; NONCE], key: &Key) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in [KEY_CHECK, &nonce[..], &key[..]] {
        hash.update(part);
    }
    let mut check = [0; 16];
    check.copy_from_slice(&hash.finalize()[..16]);
    check
}

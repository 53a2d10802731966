//! What keeps a payload from being changed or cut unnoticed, and with a key from being read.
//!
//! Without a key: the payload as it is, and the SHA-256 of header and payload after it. That tells
//! accidents, not attackers.
//!
//! With a key: chunks of [`CHUNK`] bytes, each encrypted and authenticated by XChaCha20-Poly1305 in
//! the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár, ePrint 2015/189): a chunk's nonce is
//! 19 random bytes of the file, the chunk's number and a mark on the last one, so chunks cannot be
//! changed, exchanged, repeated or left out. The header is authenticated with every chunk.

use std::io::{self, Read, Write};

use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::stream::{DecryptorBE32, EncryptorBE32};
use sha2::{Digest, Sha256};

use super::header::{CHUNK, DIGEST, HEADER_BYTES, Header, TAG};
use super::{Key, fault};
use crate::error::{Result, SessionFault};

/// The writing end.
pub struct Sealer<W> {
    out: W,
    header: [u8; HEADER_BYTES],
    seal: Seal,
}

enum Seal {
    Digest(Sha256),
    Chunks {
        encryptor: EncryptorBE32<XChaCha20Poly1305>,
        /// What is not yet encrypted: at most one chunk, because the last is marked as such.
        chunk: Vec<u8>,
    },
}

impl<W: Write> Sealer<W> {
    /// Seals what is written as `header` says, with the key that it was made with.
    pub fn new(out: W, header: &Header, key: Option<&Key>) -> Self {
        let bytes = header.to_bytes();
        let seal = match (header.nonce, key) {
            (Some(nonce), Some(key)) => Seal::Chunks {
                encryptor: EncryptorBE32::new(key.into(), (&nonce).into()),
                chunk: Vec::with_capacity(CHUNK + TAG),
            },
            _ => Seal::Digest(Sha256::new_with_prefix(bytes)),
        };
        Self {
            out,
            header: bytes,
            seal,
        }
    }

    /// Seals the end.
    pub fn finish(mut self) -> io::Result<()> {
        match self.seal {
            Seal::Digest(hash) => self.out.write_all(&hash.finalize()),
            Seal::Chunks {
                encryptor,
                mut chunk,
            } => {
                let sealed = encryptor.encrypt_last_in_place(&self.header, &mut chunk);
                sealed.map_err(|_| too_long())?;
                self.out.write_all(&chunk)
            }
        }
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.seal {
            Seal::Digest(hash) => {
                self.out.write_all(bytes)?;
                hash.update(bytes);
                Ok(bytes.len())
            }
            Seal::Chunks { encryptor, chunk } => {
                if chunk.len() == CHUNK {
                    let sealed = encryptor.encrypt_next_in_place(&self.header, chunk);
                    sealed.map_err(|_| too_long())?;
                    self.out.write_all(chunk)?;
                    chunk.clear();
                }
                let taken = bytes.len().min(CHUNK - chunk.len());
                chunk.extend_from_slice(&bytes[..taken]);
                Ok(taken)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The chunk counter has 32 bits: 256 TiB.
fn too_long() -> io::Error {
    io::Error::other("a session too long to be encrypted")
}

/// The reading end.
pub struct Opener<R> {
    input: R,
    header: [u8; HEADER_BYTES],
    /// Bytes of payload not yet read from `input`.
    left: u64,
    unseal: Unseal,
}

enum Unseal {
    Digest(Sha256),
    Chunks {
        /// Gone once the last chunk is open.
        decryptor: Option<DecryptorBE32<XChaCha20Poly1305>>,
        chunk: Vec<u8>,
        /// Bytes of `chunk` already handed out.
        taken: usize,
        /// The chunk's number.
        number: u64,
    },
}

impl<R: Read> Opener<R> {
    /// Opens what follows the header.
    pub fn new(input: R, header: &Header, key: Option<&Key>) -> Self {
        let bytes = header.to_bytes();
        let unseal = match (header.nonce, key) {
            (Some(nonce), Some(key)) => Unseal::Chunks {
                decryptor: Some(DecryptorBE32::new(key.into(), (&nonce).into())),
                chunk: Vec::new(),
                taken: 0,
                number: 0,
            },
            _ => Unseal::Digest(Sha256::new_with_prefix(bytes)),
        };
        Self {
            input,
            header: bytes,
            left: header.payload,
            unseal,
        }
    }

    /// Fills `out` with the next bytes of the payload.
    ///
    /// # Errors
    /// [`crate::PocketError::SessionFile`] when the payload ends before, is damaged, or cannot be
    /// read.
    pub fn read(&mut self, mut out: &mut [u8]) -> Result<()> {
        while !out.is_empty() {
            let n = match &mut self.unseal {
                Unseal::Digest(hash) => {
                    let n = out.len().min(self.left.try_into().unwrap_or(usize::MAX));
                    read_exact(&mut self.input, &mut out[..n])?;
                    hash.update(&out[..n]);
                    self.left -= n as u64;
                    n
                }
                Unseal::Chunks { chunk, taken, .. } => {
                    let n = out.len().min(chunk.len() - *taken);
                    out[..n].copy_from_slice(&chunk[*taken..*taken + n]);
                    *taken += n;
                    if n == 0 && self.left > 0 {
                        self.open_chunk()?;
                        continue;
                    }
                    n
                }
            };
            if n == 0 {
                return Err(fault(SessionFault::Damaged, "the payload is too short"));
            }
            out = &mut out[n..];
        }
        Ok(())
    }

    /// Decrypts the next chunk.
    fn open_chunk(&mut self) -> Result<()> {
        let Unseal::Chunks {
            decryptor,
            chunk,
            taken,
            number,
        } = &mut self.unseal
        else {
            return Ok(());
        };
        let payload = self.left.min(CHUNK as u64);
        self.left -= payload;
        chunk.resize(payload as usize + TAG, 0);
        *taken = 0;
        read_exact(&mut self.input, chunk)?;
        let opened = match decryptor.take() {
            Some(last) if self.left == 0 => last.decrypt_last_in_place(&self.header, chunk),
            Some(mut next) => {
                let opened = next.decrypt_next_in_place(&self.header, chunk);
                *decryptor = Some(next);
                opened
            }
            None => Err(chacha20poly1305::aead::Error),
        };
        opened.map_err(|_| {
            chunk.clear();
            let at = HEADER_BYTES as u64 + *number * (CHUNK + TAG) as u64;
            let detail = format!("in the {} bytes from byte {at} on", payload + TAG as u64);
            fault(SessionFault::Damaged, detail)
        })?;
        *number += 1;
        Ok(())
    }

    /// Reads what is left and checks that all of it is what was written.
    ///
    /// # Errors
    /// [`crate::PocketError::SessionFile`].
    pub fn finish(&mut self) -> Result<()> {
        let mut rest = vec![0; CHUNK];
        while self.left > 0 {
            match &self.unseal {
                Unseal::Digest(_) => {
                    let n = rest.len().min(self.left.try_into().unwrap_or(usize::MAX));
                    self.read(&mut rest[..n])?;
                }
                Unseal::Chunks { .. } => self.open_chunk()?,
            }
        }
        if let Unseal::Digest(hash) = &self.unseal {
            let mut digest = [0; DIGEST];
            read_exact(&mut self.input, &mut digest)?;
            if digest != *hash.clone().finalize() {
                let detail = "its checksum is another";
                return Err(fault(SessionFault::Damaged, detail));
            }
        }
        Ok(())
    }
}

fn read_exact(input: &mut impl Read, out: &mut [u8]) -> Result<()> {
    input.read_exact(out).map_err(|error| {
        // The length was checked: the file became shorter meanwhile, or storage failed.
        fault(SessionFault::Unreadable, error.to_string())
    })
}

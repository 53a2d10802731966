//! Saved sessions: transcript, token ids, keys and values in one file that is whole or not there.
//!
//! ```text
//! header (96 bytes, never encrypted) │ body: payload + SHA-256, or chunks of XChaCha20-Poly1305
//! payload: manifest (JSON) │ token ids │ keys and values, position by position
//! ```
//!
//! The bytes are specified in `docs/session-format.md`.

mod header;
mod identity;
mod manifest;
mod replace;
mod seal;

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

use crate::cache::KvCache;
use crate::chat::Message;
use crate::error::{PocketError, Result, SessionFault};

use header::{HEADER_BYTES, Header};
pub use identity::Identity;
use manifest::{KvManifest, Manifest};
use seal::{Opener, Sealer};

/// The caller's key of an encrypted file.
pub type Key = [u8; 32];

/// What a session is, at its last committed turn.
pub struct Snapshot {
    /// The messages, the system message first.
    pub transcript: Vec<Message>,
    /// Turns after the system message that are no longer sent to the model.
    pub unsent_turns: usize,
    /// Tokens with their keys and values, where they can be had.
    pub cache: Option<KvCache>,
}

/// An error about a session file.
fn fault(fault: SessionFault, detail: impl Into<String>) -> PocketError {
    PocketError::SessionFile {
        fault,
        detail: detail.into(),
    }
}

/// Writes `snapshot` to `path`: afterwards the file holds the new state or, after an error or a
/// crash, what it held before.
///
/// # Errors
/// [`PocketError::SessionFile`] when the file cannot be written.
pub fn save(
    path: &Path,
    key: Option<&Key>,
    identity: &Identity,
    snapshot: &Snapshot,
) -> Result<()> {
    let kv = snapshot.cache.as_ref().filter(|cache| !cache.is_empty());
    let kv = kv.and_then(|cache| Some((cache, cache.shape()?)));
    let manifest = Manifest::new(identity, snapshot, kv.as_ref());
    let manifest = manifest.to_bytes()?;
    let (tokens, position_bytes) = kv.as_ref().map_or((0, 0), |(cache, shape)| {
        (cache.len() as u64, shape.position_bytes() as u64)
    });
    let payload = 4 + manifest.len() as u64 + tokens * (4 + position_bytes);
    let header = Header::new(payload, key)?;
    replace::replace(path, |out| {
        out.write_all(&header.to_bytes())?;
        let mut out = Sealer::new(out, &header, key);
        out.write_all(&(manifest.len() as u32).to_le_bytes())?;
        out.write_all(&manifest)?;
        if let Some((cache, shape)) = &kv {
            for id in cache.tokens() {
                out.write_all(&id.to_le_bytes())?;
            }
            let mut bytes = Vec::with_capacity(shape.position_bytes());
            for position in 0..cache.len() {
                bytes.clear();
                cache.take(position, &mut bytes);
                out.write_all(&bytes)?;
            }
        }
        out.finish()
    })
}

/// Reads what [`save`] wrote for the model of this `identity`. Keys and values that `cache` cannot
/// hold (another element type, a smaller context) are left out: they will be computed again.
///
/// # Errors
/// [`PocketError::SessionFile`] naming what is wrong. Nothing is taken from a file that is damaged
/// anywhere.
pub fn restore(
    path: &Path,
    key: Option<&Key>,
    identity: &Identity,
    vocab: usize,
    mut cache: KvCache,
) -> Result<Snapshot> {
    let unreadable = |error: std::io::Error| fault(SessionFault::Unreadable, error.to_string());
    let file = File::open(path).map_err(unreadable)?;
    let len = file.metadata().map_err(unreadable)?.len();
    let mut file = BufReader::new(file);
    let mut bytes = Vec::new();
    let mut start = file.by_ref().take(HEADER_BYTES as u64);
    start.read_to_end(&mut bytes).map_err(unreadable)?;
    let header = Header::parse(&bytes, len, key)?;
    let mut body = Opener::new(file, &header, key);
    let parts = read_parts(&mut body, &header, identity, vocab, &mut cache);
    match parts {
        Ok(manifest) => {
            body.finish()?;
            Ok(Snapshot {
                transcript: manifest.transcript,
                unsent_turns: manifest.unsent_turns,
                cache: Some(cache),
            })
        }
        // Chunks were authenticated before they were read.
        Err(error) if header.nonce.is_some() => Err(error),
        // What reads like another model's file may be a damaged one: that is said first.
        Err(error) => Err(body.finish().err().unwrap_or(error)),
    }
}

/// Reads the payload, filling `cache` as far as it can be.
fn read_parts(
    body: &mut Opener<impl Read>,
    header: &Header,
    identity: &Identity,
    vocab: usize,
    cache: &mut KvCache,
) -> Result<Manifest> {
    let damaged = |what: String| fault(SessionFault::Damaged, what);
    let mut word = [0; 4];
    body.read(&mut word)?;
    let manifest_len = u64::from(u32::from_le_bytes(word));
    if manifest_len > header.payload {
        return Err(damaged(format!(
            "a manifest of {manifest_len} bytes in a payload of {}",
            header.payload
        )));
    }
    let mut manifest = vec![0; manifest_len as usize];
    body.read(&mut manifest)?;
    let manifest = Manifest::parse(&manifest)?;
    manifest.check(identity)?;

    let tokens = manifest.kv.as_ref().map_or(0, |kv| kv.tokens);
    let position_bytes = manifest
        .kv
        .as_ref()
        .map_or(Some(0), KvManifest::position_bytes);
    let expected = position_bytes
        .and_then(|bytes| bytes.checked_add(4)?.checked_mul(tokens))
        .and_then(|bytes| bytes.checked_add(4 + manifest_len));
    if expected != Some(header.payload) {
        return Err(damaged("the parts do not add up to the whole".into()));
    }
    let mut ids = Vec::new();
    for _ in 0..tokens {
        body.read(&mut word)?;
        ids.push(u32::from_le_bytes(word));
    }
    if let Some(id) = ids.iter().find(|id| **id as usize >= vocab) {
        return Err(damaged(format!("token {id} in a vocabulary of {vocab}")));
    }
    let shape = manifest.kv.as_ref().and_then(KvManifest::shape);
    let usable = shape.is_some() && cache.shape() == shape;
    // What is not usable is not made room for either.
    let mut bytes = vec![0; shape.map_or(0, |shape| shape.position_bytes())];
    for id in ids {
        if !usable || cache.len() == cache.capacity() {
            break;
        }
        body.read(&mut bytes)?;
        cache.put(id, &bytes)?;
    }
    Ok(manifest)
}

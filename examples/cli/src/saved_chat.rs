//! Chats that are kept in files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use pocketlm::{LocalModel, ModelSession, SessionOptions};

/// Where a chat comes from and goes to.
#[derive(Args)]
pub struct SavedChatArgs {
    /// Save the conversation to this file after each answer
    #[arg(long, value_name = "FILE", help_heading = "Saving")]
    save: Option<PathBuf>,
    /// Go on with the conversation that was saved to this file
    #[arg(long, value_name = "FILE", help_heading = "Saving")]
    restore: Option<PathBuf>,
    /// A file with the key that encrypts saved conversations: 32 bytes, or 64 hexadecimal digits
    #[arg(long, value_name = "FILE", help_heading = "Saving")]
    key_file: Option<PathBuf>,
}

/// Files that are known to be usable.
pub struct SavedChat {
    save: Option<PathBuf>,
    restore: Option<PathBuf>,
    key: Option<[u8; 32]>,
}

impl SavedChatArgs {
    /// Reads the key.
    ///
    /// # Errors
    /// When there is none in the file.
    pub fn open(&self) -> Result<SavedChat> {
        Ok(SavedChat {
            save: self.save.clone(),
            restore: self.restore.clone(),
            key: self.key_file.as_deref().map(read_key).transpose()?,
        })
    }
}

impl SavedChat {
    /// The saved conversation, or a new one.
    pub fn session(&self, model: &LocalModel, options: SessionOptions) -> Result<ModelSession> {
        match &self.restore {
            Some(path) => model
                .restore(path, self.key.as_ref(), options)
                .with_context(|| format!("cannot restore {}", path.display())),
            None => Ok(model.session(options)?),
        }
    }

    /// Saves the conversation, if it is to be saved.
    pub fn save(&self, session: &ModelSession) -> Result<()> {
        match &self.save {
            Some(path) => Ok(session.save(path, self.key.as_ref())?),
            None => Ok(()),
        }
    }
}

fn read_key(path: &Path) -> Result<[u8; 32]> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    if let Ok(key) = bytes.as_slice().try_into() {
        return Ok(key);
    }
    let digits = bytes.trim_ascii();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = digits.chunks_exact(2).map(|pair| {
        let (high, low) = (digit(pair[0])?, digit(pair[1])?);
        u8::try_from(high << 4 | low).ok()
    });
    match pairs.collect::<Option<Vec<u8>>>() {
        Some(key) if digits.len() == 64 => Ok(key.try_into().unwrap_or_default()),
        _ => bail!(
            "{} holds no key: it must be 32 bytes, or 64 hexadecimal digits",
            path.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_bytes_or_digits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let key: [u8; 32] = std::array::from_fn(|i| i as u8 * 7);
        let digits: String = key.iter().map(|byte| format!("{byte:02X}")).collect();
        for contents in [
            key.to_vec(),
            digits.clone().into_bytes(),
            (digits.clone() + "\n").into(),
        ] {
            fs::write(&path, contents).unwrap();
            assert_eq!(read_key(&path).unwrap(), key);
        }
        for contents in [
            &digits[1..],
            "",
            &(digits.clone() + "0"),
            &digits.replace('0', "g"),
        ] {
            fs::write(&path, contents).unwrap();
            assert!(read_key(&path).is_err(), "{contents}");
        }
    }
}

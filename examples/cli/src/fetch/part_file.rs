//! The file a download grows in, with the hash of what it holds.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, anyhow, bail};
use sha2::{Digest, Sha256};

/// A partial download: locked for this process, appended to, hashed on the way.
pub struct PartFile {
    path: PathBuf,
    file: File,
    hash: Sha256,
    len: u64,
}

impl PartFile {
    /// Opens or creates the file, waits for its lock, and hashes what an earlier run left in it.
    ///
    /// # Errors
    /// When the file cannot be created, locked or read.
    pub fn open(path: &Path) -> Result<Self> {
        let context = || format!("cannot write {}", path.display());
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .with_context(context)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                eprintln!("another process is fetching this file: waiting for it");
                file.lock().with_context(context)?;
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(context),
        }
        let mut part = Self {
            path: path.to_path_buf(),
            file,
            hash: Sha256::new(),
            len: 0,
        };
        part.hash_again()
            .with_context(|| format!("cannot read {}", path.display()))?;
        Ok(part)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes held.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Adds bytes at the end.
    ///
    /// # Errors
    /// When the disk is full (see [`is_disk_full`]) or the write fails.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file
            .write_all(bytes)
            .with_context(|| self.write_error())?;
        self.hash.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Drops everything held.
    ///
    /// # Errors
    /// When the file cannot be truncated.
    pub fn clear(&mut self) -> Result<()> {
        self.file.set_len(0).with_context(|| self.write_error())?;
        self.hash_again().with_context(|| self.write_error())
    }

    /// Succeeds when the file has this length and SHA-256 (lower-case hexadecimal). Otherwise it is
    /// emptied: nothing of it can be trusted.
    ///
    /// # Errors
    /// What differs; the file is empty afterwards.
    pub fn check(&mut self, bytes: u64, sha256: &str) -> Result<()> {
        let found = hex(&self.hash.clone().finalize());
        if self.len == bytes && found == sha256 {
            return Ok(());
        }
        let len = self.len;
        self.clear()?;
        if len != bytes {
            bail!("{len} bytes arrived instead of {bytes}: removed");
        }
        bail!("SHA-256 is {found} instead of {sha256}: removed");
    }

    /// Makes the file visible under its final name, once it is safely on the disk.
    ///
    /// # Errors
    /// When it cannot be flushed or renamed.
    pub fn publish(self, path: &Path) -> Result<()> {
        self.file
            .sync_all()
            .and_then(|()| fs::rename(&self.path, path))
            .with_context(|| {
                format!(
                    "cannot rename {} to {}",
                    self.path.display(),
                    path.display()
                )
            })
    }

    fn write_error(&self) -> String {
        format!("cannot write {}", self.path.display())
    }

    /// Reads the file from its start, and stands at its end.
    fn hash_again(&mut self) -> io::Result<()> {
        self.hash = Sha256::new();
        self.len = 0;
        self.file.seek(SeekFrom::Start(0))?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            let n = self.file.read(&mut buffer)?;
            if n == 0 {
                return Ok(());
            }
            self.hash.update(&buffer[..n]);
            self.len += n as u64;
        }
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        // An empty part is litter; one with bytes is what the next run goes on with. After a
        // `publish` there is no file of this name.
        if self.len == 0 {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether the cause of an error is that no space is left.
pub fn is_disk_full(error: &Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            )
        })
    })
}

/// The message for a full disk: what to do, and that what arrived is kept.
pub fn explain_disk_full(error: Error, missing: u64) -> Error {
    if !is_disk_full(&error) {
        return error;
    }
    let megabytes = missing.div_ceil(1_000_000);
    anyhow!(
        "the disk is full: free {megabytes} MB and run the command again, what has arrived is kept"
    )
    .context(error.to_string())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

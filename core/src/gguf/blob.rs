//! The owner of mapped files, and cheap owned views into them.
#![allow(unsafe_code)]

use std::fmt;
use std::fs::File;
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;

use crate::error::{PocketError, Result};

/// What keeps the bytes of a [`Blob`] alive.
enum Owner {
    Mapped(Mmap),
    Memory(Vec<u8>),
}

impl Owner {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Memory(vec) => vec,
        }
    }
}

/// A range of bytes that owns a share of the file mapping (or of the memory) it lies in.
///
/// Cloning and slicing cost one reference count. The bytes of a mapped file are clean, file-backed
/// pages: the system may drop them and read them again, and iOS does not count them against an
/// app's limit. A blob from a `Vec` has the allocator's alignment; one from a file has the
/// alignment of its offset in the file (pages are aligned).
#[derive(Clone)]
pub struct Blob {
    owner: Arc<Owner>,
    start: usize,
    len: usize,
}

impl Blob {
    /// Maps a whole file for reading.
    ///
    /// # Errors
    /// [`PocketError::ModelNotFound`] when the path is no readable regular file or cannot be mapped.
    pub(super) fn map(path: &Path) -> Result<Self> {
        let not_found = |reason: String| PocketError::ModelNotFound {
            path: path.to_path_buf(),
            reason,
        };
        let file = File::open(path).map_err(|e| not_found(e.to_string()))?;
        let meta = file.metadata().map_err(|e| not_found(e.to_string()))?;
        if !meta.is_file() {
            return Err(not_found("it is not a regular file".into()));
        }
        if meta.len() == 0 {
            return Ok(Self::from_vec(Vec::new()));
        }
        if usize::try_from(meta.len()).is_err() {
            return Err(not_found(format!(
                "{} bytes do not fit this system's address space",
                meta.len()
            )));
        }
        // SAFETY: the mapping is read-only and private to this process's view, it lives as long as
        // any `Blob` into it, and it is only ever handed out as `&[u8]`. The one thing the type
        // system cannot rule out is another process writing to or truncating the file while it is
        // mapped: a write changes the bytes seen here (no reader in this crate relies on two reads
        // being equal; text is checked again at each read), a truncation raises SIGBUS at the
        // access. Model files must not be modified in place while open, which is documented on
        // `Gguf::open`.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| not_found(e.to_string()))?;
        let len = map.len();
        Ok(Self {
            owner: Arc::new(Owner::Mapped(map)),
            start: 0,
            len,
        })
    }

    /// A blob over memory.
    pub fn from_vec(bytes: Vec<u8>) -> Self {
        let len = bytes.len();
        Self {
            owner: Arc::new(Owner::Memory(bytes)),
            start: 0,
            len,
        }
    }

    /// The part `range` of this blob, sharing its owner.
    ///
    /// # Panics
    /// When `range` is not inside the blob, as slicing does.
    pub fn slice(&self, range: Range<usize>) -> Self {
        match self.try_slice(range.clone()) {
            Some(blob) => blob,
            None => panic!("range {range:?} outside a blob of {} bytes", self.len),
        }
    }

    /// The part `range` of this blob, or `None` when it is not inside.
    pub fn try_slice(&self, range: Range<usize>) -> Option<Self> {
        if range.start > range.end || range.end > self.len {
            return None;
        }
        Some(Self {
            owner: Arc::clone(&self.owner),
            start: self.start + range.start,
            len: range.end - range.start,
        })
    }

    /// Where this blob starts in the file or memory that owns it, in bytes.
    pub fn offset(&self) -> usize {
        self.start
    }
}

impl Deref for Blob {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.owner.bytes()[self.start..self.start + self.len]
    }
}

impl AsRef<[u8]> for Blob {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from_vec(bytes)
    }
}

impl From<&[u8]> for Blob {
    /// Copies the bytes.
    fn from(bytes: &[u8]) -> Self {
        Self::from_vec(bytes.to_vec())
    }
}

impl PartialEq for Blob {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes at {})", self.len, self.start)
    }
}

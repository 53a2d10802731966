//! Bounds-checked reading of little-endian fields, with errors that say where.

use std::ops::Range;

use crate::error::{PocketError, Result};

/// Text from a file is cut to this many characters in an error message.
const QUOTED_CHARS: usize = 80;

/// What the bytes being read belong to, for error messages.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subject<'a> {
    /// The fixed fields at the start of the file.
    Header,
    /// The n-th metadata entry, its key not yet known.
    Entry(u64),
    /// The value of a metadata key.
    Key(&'a str),
    /// The n-th tensor, its name not yet known.
    TensorIndex(u64),
    /// A tensor by name.
    Tensor(&'a str),
}

impl Subject<'_> {
    /// The location of `byte` in terms of this subject.
    pub(super) fn at(self, byte: usize) -> String {
        match self {
            Self::Header => format!("the header, byte {byte}"),
            Self::Entry(i) => format!("metadata entry {i}, byte {byte}"),
            Self::Key(key) => format!("metadata key `{}`, byte {byte}", quote(key)),
            Self::TensorIndex(i) => format!("tensor {i}, byte {byte}"),
            Self::Tensor(name) => format!("tensor `{}`, byte {byte}", quote(name)),
        }
    }
}

/// `text` as it may appear in an error: cut, and without control characters.
pub(super) fn quote(text: &str) -> String {
    let mut out: String = text.chars().take(QUOTED_CHARS).collect();
    if out.len() < text.len() {
        out.push('…');
    }
    out.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// A read position in a file that never passes its end.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    pos: usize,
    base: usize,
    /// What is being read now; set by the parser as it goes.
    pub(super) subject: Subject<'a>,
}

macro_rules! little_endian {
    ($($name:ident: $ty:ty),* $(,)?) => {$(
        /// Reads one little-endian field; `field` names it in errors.
        pub(super) fn $name(&mut self, field: &str) -> Result<$ty> {
            let raw = self.array(field)?;
            Ok(<$ty>::from_le_bytes(raw))
        }
    )*};
}

impl<'a> Cursor<'a> {
    /// Starts at the first of `bytes`, which lie at `base` in their file.
    pub(super) fn new(bytes: &'a [u8], base: usize, subject: Subject<'a>) -> Self {
        Self {
            bytes,
            pos: 0,
            base,
            subject,
        }
    }

    /// The position in the bytes given to [`Cursor::new`].
    pub(super) fn pos(&self) -> usize {
        self.pos
    }

    /// The number of bytes not yet read.
    pub(super) fn remaining(&self) -> usize {
        self.bytes.len() - self.pos
    }

    /// A `CorruptModel` error at the current position.
    pub(super) fn corrupt(&self, what: impl Into<String>) -> PocketError {
        self.corrupt_at(self.pos, what)
    }

    /// A `CorruptModel` error at the position `pos` (as [`Cursor::pos`] gave it).
    pub(super) fn corrupt_at(&self, pos: usize, what: impl Into<String>) -> PocketError {
        PocketError::corrupt(what, self.subject.at(self.base.saturating_add(pos)))
    }

    /// Steps over `len` bytes and gives their range.
    pub(super) fn skip(&mut self, len: u64, field: &str) -> Result<Range<usize>> {
        let left = self.remaining();
        match usize::try_from(len) {
            Ok(len) if len <= left => {
                let start = self.pos;
                self.pos += len;
                Ok(start..self.pos)
            }
            _ => Err(self.corrupt(format!(
                "the file ends inside {field}: {len} bytes needed, {left} left"
            ))),
        }
    }

    /// Reads `len` bytes.
    pub(super) fn take(&mut self, len: u64, field: &str) -> Result<&'a [u8]> {
        let range = self.skip(len, field)?;
        Ok(&self.bytes[range])
    }

    fn array<const N: usize>(&mut self, field: &str) -> Result<[u8; N]> {
        let raw = self.take(N as u64, field)?;
        let mut out = [0; N];
        out.copy_from_slice(raw);
        Ok(out)
    }

    little_endian! {
        u8: u8, i8: i8, u16: u16, i16: i16, u32: u32, i32: i32, u64: u64, i64: i64,
        f32: f32, f64: f64,
    }

    /// Reads a bool, which must be the byte 0 or 1.
    pub(super) fn bool(&mut self, field: &str) -> Result<bool> {
        let at = self.pos;
        match self.u8(field)? {
            0 => Ok(false),
            1 => Ok(true),
            byte => {
                Err(self.corrupt_at(at, format!("{field} is the byte {byte}, a bool is 0 or 1")))
            }
        }
    }

    /// Reads a string (u64 length, then UTF-8 without terminator) of at most `max` bytes; gives the
    /// text and its range.
    pub(super) fn string(&mut self, max: u64, field: &str) -> Result<(&'a str, Range<usize>)> {
        let at = self.pos;
        let len = self.u64(field)?;
        if len > max {
            return Err(self.corrupt_at(
                at,
                format!("{field} claims {len} bytes, at most {max} are allowed"),
            ));
        }
        let range = self.skip(len, field)?;
        match std::str::from_utf8(&self.bytes[range.clone()]) {
            Ok(text) => Ok((text, range)),
            Err(e) => Err(self.corrupt_at(
                range.start.saturating_add(e.valid_up_to()),
                format!("{field} is not valid UTF-8"),
            )),
        }
    }
}

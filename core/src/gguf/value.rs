//! Metadata values: scalars by value, strings and arrays as validated ranges of the file.

use std::fmt;

use super::blob::Blob;
use super::cursor::Cursor;
use crate::error::{PocketError, Result};

/// Arrays of arrays may nest this deep. The specification sets no bound; no known key nests at all.
const MAX_ARRAY_DEPTH: u32 = 4;

macro_rules! value_types {
    ($($(#[$doc:meta])* $variant:ident = $id:literal, $name:literal;)*) => {
        /// The type of a metadata value: GGUF's `gguf_metadata_value_type`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum ValueType {
            $($(#[$doc])* $variant = $id,)*
        }

        impl ValueType {
            /// Every type, by ascending id.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The type with the given id in the file, if there is one.
            pub const fn from_id(id: u32) -> Option<Self> {
                match id { $($id => Some(Self::$variant),)* _ => None }
            }

            /// The id in the file.
            pub const fn id(self) -> u32 {
                self as u32
            }

            /// A short name, like `u32`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

value_types! {
    /// 8-bit unsigned integer.
    U8 = 0, "u8";
    /// 8-bit signed integer.
    I8 = 1, "i8";
    /// 16-bit unsigned integer.
    U16 = 2, "u16";
    /// 16-bit signed integer.
    I16 = 3, "i16";
    /// 32-bit unsigned integer.
    U32 = 4, "u32";
    /// 32-bit signed integer.
    I32 = 5, "i32";
    /// IEEE single precision.
    F32 = 6, "f32";
    /// One byte, 0 or 1.
    Bool = 7, "bool";
    /// Length-prefixed UTF-8.
    Str = 8, "string";
    /// Element type, count, elements.
    Array = 9, "array";
    /// 64-bit unsigned integer.
    U64 = 10, "u64";
    /// 64-bit signed integer.
    I64 = 11, "i64";
    /// IEEE double precision.
    F64 = 12, "f64";
}

impl ValueType {
    /// Bytes of a scalar in the file; `None` for strings and arrays, whose length varies.
    pub const fn size(self) -> Option<usize> {
        match self {
            Self::U8 | Self::I8 | Self::Bool => Some(1),
            Self::U16 | Self::I16 => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 | Self::I64 | Self::F64 => Some(8),
            Self::Str | Self::Array => None,
        }
    }

    /// The fewest bytes one value takes in the file: bounds a claimed count before it is walked.
    const fn min_size(self) -> u64 {
        match self.size() {
            Some(size) => size as u64,
            None if matches!(self, Self::Str) => 8,
            None => 12,
        }
    }

    /// Reads a type id.
    pub(super) fn read(cursor: &mut Cursor<'_>, field: &str) -> Result<Self> {
        let at = cursor.pos();
        let id = cursor.u32(field)?;
        Self::from_id(id)
            .ok_or_else(|| cursor.corrupt_at(at, format!("{field} {id} is none of GGUF's 0 to 12")))
    }
}

/// A string of the file. It was valid UTF-8 when the file was opened and is checked again at each
/// use, because another process can write to a mapped file; text that has become invalid reads as
/// the empty string.
#[derive(Clone, PartialEq)]
pub struct Text(Blob);

impl Text {
    /// A text over bytes that were just validated.
    pub(super) fn new(bytes: Blob) -> Self {
        Self(bytes)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The text's bytes, with no check: cheaper for comparing.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text's position in the file, in bytes.
    pub fn offset(&self) -> usize {
        self.0.offset()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

/// A metadata value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// 8-bit unsigned integer.
    U8(u8),
    /// 8-bit signed integer.
    I8(i8),
    /// 16-bit unsigned integer.
    U16(u16),
    /// 16-bit signed integer.
    I16(i16),
    /// 32-bit unsigned integer.
    U32(u32),
    /// 32-bit signed integer.
    I32(i32),
    /// Single precision number.
    F32(f32),
    /// Truth value.
    Bool(bool),
    /// String.
    Str(Text),
    /// Array, read lazily.
    Array(Array),
    /// 64-bit unsigned integer.
    U64(u64),
    /// 64-bit signed integer.
    I64(i64),
    /// Double precision number.
    F64(f64),
}

impl Value {
    /// The value's type.
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::U8(_) => ValueType::U8,
            Self::I8(_) => ValueType::I8,
            Self::U16(_) => ValueType::U16,
            Self::I16(_) => ValueType::I16,
            Self::U32(_) => ValueType::U32,
            Self::I32(_) => ValueType::I32,
            Self::F32(_) => ValueType::F32,
            Self::Bool(_) => ValueType::Bool,
            Self::Str(_) => ValueType::Str,
            Self::Array(_) => ValueType::Array,
            Self::U64(_) => ValueType::U64,
            Self::I64(_) => ValueType::I64,
            Self::F64(_) => ValueType::F64,
        }
    }

    /// The value as an integer of any width, if it is one.
    pub fn as_integer(&self) -> Option<i128> {
        match *self {
            Self::U8(v) => Some(v.into()),
            Self::I8(v) => Some(v.into()),
            Self::U16(v) => Some(v.into()),
            Self::I16(v) => Some(v.into()),
            Self::U32(v) => Some(v.into()),
            Self::I32(v) => Some(v.into()),
            Self::U64(v) => Some(v.into()),
            Self::I64(v) => Some(v.into()),
            _ => None,
        }
    }

    /// The value as a floating-point number, if it is one. Integers are not.
    pub fn as_float(&self) -> Option<f64> {
        match *self {
            Self::F32(v) => Some(v.into()),
            Self::F64(v) => Some(v),
            _ => None,
        }
    }

    /// The value as text, if it is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text.as_str()),
            _ => None,
        }
    }

    /// The value as an array, if it is one.
    pub fn as_array(&self) -> Option<&Array> {
        match self {
            Self::Array(array) => Some(array),
            _ => None,
        }
    }

    /// What the value is, for error messages: `u32`, `string`, `array of f32`.
    pub fn describe(&self) -> String {
        match self {
            Self::Array(array) => format!("array of {}", array.element_type().name()),
            other => other.value_type().name().to_string(),
        }
    }

    /// Reads and validates a value of type `ty`. `file` holds the cursor's bytes, from its start.
    pub(super) fn read(cursor: &mut Cursor<'_>, file: &Blob, ty: ValueType) -> Result<Self> {
        Self::read_nested(cursor, file, ty, 0)
    }

    fn read_nested(
        cursor: &mut Cursor<'_>,
        file: &Blob,
        ty: ValueType,
        depth: u32,
    ) -> Result<Self> {
        const FIELD: &str = "the value";
        Ok(match ty {
            ValueType::U8 => Self::U8(cursor.u8(FIELD)?),
            ValueType::I8 => Self::I8(cursor.i8(FIELD)?),
            ValueType::U16 => Self::U16(cursor.u16(FIELD)?),
            ValueType::I16 => Self::I16(cursor.i16(FIELD)?),
            ValueType::U32 => Self::U32(cursor.u32(FIELD)?),
            ValueType::I32 => Self::I32(cursor.i32(FIELD)?),
            ValueType::F32 => Self::F32(cursor.f32(FIELD)?),
            ValueType::Bool => Self::Bool(cursor.bool(FIELD)?),
            ValueType::U64 => Self::U64(cursor.u64(FIELD)?),
            ValueType::I64 => Self::I64(cursor.i64(FIELD)?),
            ValueType::F64 => Self::F64(cursor.f64(FIELD)?),
            ValueType::Str => {
                let (_, range) = cursor.string(u64::MAX, "the string")?;
                Self::Str(Text::new(file.try_slice(range).ok_or_else(outside)?))
            }
            ValueType::Array => Self::Array(Array::read(cursor, file, depth)?),
        })
    }
}

/// A range that the cursor granted lies outside the blob: cannot happen, reported if it does.
fn outside() -> PocketError {
    PocketError::Internal {
        reason: "a metadata range lies outside its file".into(),
    }
}

/// An array of the file: element type, count, and the validated bytes of the elements.
#[derive(Clone, PartialEq)]
pub struct Array {
    elem: ValueType,
    len: u32,
    bytes: Blob,
}

impl Array {
    /// Reads element type and count, then walks the elements without keeping them.
    fn read(cursor: &mut Cursor<'_>, file: &Blob, depth: u32) -> Result<Self> {
        if depth >= MAX_ARRAY_DEPTH {
            return Err(cursor.corrupt(format!("arrays are nested deeper than {MAX_ARRAY_DEPTH}")));
        }
        let elem = ValueType::read(cursor, "the array's element type")?;
        let count_at = cursor.pos();
        let count = cursor.u64("the array's length")?;
        let left = cursor.remaining() as u64;
        let fits = count
            .checked_mul(elem.min_size())
            .is_some_and(|least| least <= left);
        let len = match u32::try_from(count) {
            Ok(len) if fits => len,
            _ => {
                return Err(cursor.corrupt_at(
                    count_at,
                    format!(
                        "the array claims {count} elements of type {}, {left} bytes are left",
                        elem.name()
                    ),
                ));
            }
        };
        let start = cursor.pos();
        match elem.size() {
            Some(size) if elem != ValueType::Bool => {
                cursor.skip(u64::from(len) * size as u64, "the array")?;
            }
            _ => {
                for _ in 0..len {
                    match elem {
                        ValueType::Bool => {
                            cursor.bool("an element")?;
                        }
                        ValueType::Str => {
                            cursor.string(u64::MAX, "a string of the array")?;
                        }
                        _ => {
                            Self::read(cursor, file, depth + 1)?;
                        }
                    }
                }
            }
        }
        let bytes = file.try_slice(start..cursor.pos()).ok_or_else(outside)?;
        Ok(Self { elem, len, bytes })
    }

    /// The type of the elements.
    pub fn element_type(&self) -> ValueType {
        self.elem
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The elements in order, decoded as the iterator goes.
    pub fn iter(&self) -> ArrayIter<'_> {
        ArrayIter {
            array: self,
            pos: 0,
            left: self.len,
        }
    }

    /// The array as strings, if its elements are strings.
    pub fn strings(&self) -> Option<StringArray> {
        (self.elem == ValueType::Str).then(|| StringArray(self.clone()))
    }

    /// The elements' bytes as the file stores them.
    pub fn bytes(&self) -> &Blob {
        &self.bytes
    }
}

impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}; {}]", self.elem.name(), self.len)
    }
}

/// Iterator of [`Array::iter`]. It ends early if the file was changed under the mapping.
pub struct ArrayIter<'a> {
    array: &'a Array,
    pos: usize,
    left: u32,
}

impl Iterator for ArrayIter<'_> {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        self.left = self.left.checked_sub(1)?;
        let blob = self
            .array
            .bytes
            .try_slice(self.pos..self.array.bytes.len())?;
        let mut cursor = Cursor::new(&blob, blob.offset(), super::cursor::Subject::Header);
        // Depth restarts here: the whole array was walked with its true depth when it was read.
        let value = Value::read(&mut cursor, &blob, self.array.elem).ok()?;
        self.pos += cursor.pos();
        Some(value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left as usize))
    }
}

/// An array of strings, read from the file as it is iterated: a vocabulary costs no memory.
#[derive(Clone, Debug, PartialEq)]
pub struct StringArray(Array);

impl StringArray {
    /// The number of strings.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no strings.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The strings in order. There is no access by index: finding one means walking to it.
    pub fn iter(&self) -> StringIter<'_> {
        StringIter {
            rest: &self.0.bytes,
            left: self.0.len,
        }
    }
}

/// Iterator of [`StringArray::iter`]. It gives exactly `len` strings; should the file change under
/// the mapping, what can no longer be read comes as empty strings.
#[derive(Clone)]
pub struct StringIter<'a> {
    rest: &'a [u8],
    left: u32,
}

impl<'a> StringIter<'a> {
    fn split(rest: &'a [u8]) -> Option<(&'a str, &'a [u8])> {
        let (len, rest) = rest.split_first_chunk::<8>()?;
        let len = usize::try_from(u64::from_le_bytes(*len)).ok()?;
        let (text, rest) = rest.split_at_checked(len)?;
        Some((std::str::from_utf8(text).unwrap_or_default(), rest))
    }
}

impl<'a> Iterator for StringIter<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.left = self.left.checked_sub(1)?;
        let (text, rest) = Self::split(self.rest).unwrap_or_default();
        self.rest = rest;
        Some(text)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for StringIter<'_> {}

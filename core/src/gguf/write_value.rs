//! Metadata values to be written, and what converts to them.

use super::value::{Value, ValueType};
use super::writer::put_string;
use crate::error::{PocketError, Result};

/// A metadata value to be written. Numbers, strings, truth values, and vectors and slices of them
/// convert with `into()`; so does a [`Value`] that was read, for copying.
#[derive(Clone, Debug, PartialEq)]
pub enum WriteValue {
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
    Str(String),
    /// Array: the element type, which an empty array needs too, and the elements, all of that type.
    Array(ValueType, Vec<WriteValue>),
    /// 64-bit unsigned integer.
    U64(u64),
    /// 64-bit signed integer.
    I64(i64),
    /// Double precision number.
    F64(f64),
}

impl WriteValue {
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
            Self::Array(..) => ValueType::Array,
            Self::U64(_) => ValueType::U64,
            Self::I64(_) => ValueType::I64,
            Self::F64(_) => ValueType::F64,
        }
    }

    /// The value, if it is an integer that fits u64.
    pub(super) fn as_u64(&self) -> Option<u64> {
        match *self {
            Self::U8(v) => Some(v.into()),
            Self::U16(v) => Some(v.into()),
            Self::U32(v) => Some(v.into()),
            Self::U64(v) => Some(v),
            Self::I8(v) => v.try_into().ok(),
            Self::I16(v) => v.try_into().ok(),
            Self::I32(v) => v.try_into().ok(),
            Self::I64(v) => v.try_into().ok(),
            _ => None,
        }
    }

    /// Appends the value as the file stores it, without its type. `argument` names it in errors.
    pub(super) fn put(&self, out: &mut Vec<u8>, argument: &dyn Fn() -> String) -> Result<()> {
        match self {
            Self::U8(v) => out.extend(v.to_le_bytes()),
            Self::I8(v) => out.extend(v.to_le_bytes()),
            Self::U16(v) => out.extend(v.to_le_bytes()),
            Self::I16(v) => out.extend(v.to_le_bytes()),
            Self::U32(v) => out.extend(v.to_le_bytes()),
            Self::I32(v) => out.extend(v.to_le_bytes()),
            Self::F32(v) => out.extend(v.to_le_bytes()),
            Self::Bool(v) => out.push((*v).into()),
            Self::Str(v) => put_string(out, v),
            Self::U64(v) => out.extend(v.to_le_bytes()),
            Self::I64(v) => out.extend(v.to_le_bytes()),
            Self::F64(v) => out.extend(v.to_le_bytes()),
            Self::Array(elem, items) => {
                out.extend(elem.id().to_le_bytes());
                out.extend((items.len() as u64).to_le_bytes());
                for item in items {
                    if item.value_type() != *elem {
                        return Err(PocketError::invalid(
                            argument(),
                            format!(
                                "an array of {} has an element of type {}",
                                elem.name(),
                                item.value_type().name()
                            ),
                        ));
                    }
                    item.put(out, argument)?;
                }
            }
        }
        Ok(())
    }
}

/// Element types whose vectors convert to [`WriteValue::Array`].
pub trait WriteElement: Into<WriteValue> {
    /// The element type in the file.
    const TYPE: ValueType;
}

macro_rules! from_scalar {
    ($($ty:ty => $variant:ident;)*) => {$(
        impl From<$ty> for WriteValue {
            fn from(value: $ty) -> Self {
                Self::$variant(value.into())
            }
        }

        impl WriteElement for $ty {
            const TYPE: ValueType = ValueType::$variant;
        }
    )*};
}

from_scalar! {
    u8 => U8;
    i8 => I8;
    u16 => U16;
    i16 => I16;
    u32 => U32;
    i32 => I32;
    f32 => F32;
    bool => Bool;
    &str => Str;
    String => Str;
    u64 => U64;
    i64 => I64;
    f64 => F64;
}

impl<T: WriteElement> WriteElement for Vec<T> {
    const TYPE: ValueType = ValueType::Array;
}

impl<T: WriteElement> From<Vec<T>> for WriteValue {
    fn from(items: Vec<T>) -> Self {
        Self::Array(T::TYPE, items.into_iter().map(Into::into).collect())
    }
}

impl<T: WriteElement + Clone> From<&[T]> for WriteValue {
    fn from(items: &[T]) -> Self {
        Self::Array(T::TYPE, items.iter().cloned().map(Into::into).collect())
    }
}

impl<T: WriteElement, const N: usize> From<[T; N]> for WriteValue {
    fn from(items: [T; N]) -> Self {
        Self::Array(T::TYPE, items.into_iter().map(Into::into).collect())
    }
}

impl From<&Value> for WriteValue {
    fn from(value: &Value) -> Self {
        match value {
            Value::U8(v) => Self::U8(*v),
            Value::I8(v) => Self::I8(*v),
            Value::U16(v) => Self::U16(*v),
            Value::I16(v) => Self::I16(*v),
            Value::U32(v) => Self::U32(*v),
            Value::I32(v) => Self::I32(*v),
            Value::F32(v) => Self::F32(*v),
            Value::Bool(v) => Self::Bool(*v),
            Value::Str(v) => Self::Str(v.as_str().to_string()),
            Value::Array(array) => {
                let items = array.iter().map(|v| Self::from(&v)).collect();
                Self::Array(array.element_type(), items)
            }
            Value::U64(v) => Self::U64(*v),
            Value::I64(v) => Self::I64(*v),
            Value::F64(v) => Self::F64(*v),
        }
    }
}

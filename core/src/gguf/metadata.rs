//! The key-value metadata of a file, with typed access.

use super::cursor::{Subject, quote};
use super::value::{StringArray, Text, Value};
use crate::error::{PocketError, Result};

/// One key and its value.
#[derive(Debug)]
struct Entry {
    key: Text,
    value: Value,
}

/// The metadata of a file, in file order.
///
/// The typed getters give `Ok(None)` for a missing key and `CorruptModel`, naming key, byte offset,
/// expected and found type, for a value of another type. Integers convert between widths when the
/// value fits, floats between f32 and f64; nothing else converts. The `require_*` twins make a
/// missing key a `CorruptModel` error as well.
#[derive(Debug)]
pub struct Metadata {
    entries: Vec<Entry>,
    /// Indices into `entries`, sorted by key: 4 bytes an entry where a hash map needs dozens.
    by_key: Vec<u32>,
}

impl Metadata {
    /// An empty list with room for `count` entries, which the caller has bounded.
    pub(super) fn with_capacity(count: usize) -> Self {
        Self {
            entries: Vec::with_capacity(count),
            by_key: Vec::with_capacity(count),
        }
    }

    /// Appends an entry; [`Metadata::index`] must follow before lookups.
    pub(super) fn push(&mut self, key: Text, value: Value) {
        self.entries.push(Entry { key, value });
    }

    /// Builds the lookup index.
    ///
    /// # Errors
    /// `CorruptModel` when two entries have the same key.
    pub(super) fn index(&mut self) -> Result<()> {
        let entries = &self.entries;
        self.by_key.clear();
        self.by_key.extend((0u32..).take(entries.len()));
        self.by_key.sort_unstable_by(|&a, &b| {
            let (a, b) = (a as usize, b as usize);
            (entries[a].key.as_bytes(), a).cmp(&(entries[b].key.as_bytes(), b))
        });
        for pair in self.by_key.windows(2) {
            let (first, again) = (&entries[pair[0] as usize], &entries[pair[1] as usize]);
            if first.key == again.key {
                return Err(PocketError::corrupt(
                    format!(
                        "the key is there twice, first at byte {}",
                        first.key.offset()
                    ),
                    Subject::Key(again.key.as_str()).at(again.key.offset()),
                ));
            }
        }
        Ok(())
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        let found = self
            .by_key
            .binary_search_by(|&i| self.entries[i as usize].key.as_bytes().cmp(key.as_bytes()));
        Some(&self.entries[self.by_key[found.ok()?] as usize])
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        Some(&self.entry(key)?.value)
    }

    /// All keys and values, in file order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|e| (e.key.as_str(), &e.value))
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Looks `key` up and converts its value; `convert` gives `None` for a value that is no
    /// `expected`.
    fn typed<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        convert: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(entry) = self.entry(key) else {
            return Ok(None);
        };
        match convert(&entry.value) {
            Some(value) => Ok(Some(value)),
            None => {
                let found = match entry.value.as_integer() {
                    Some(v) => format!("{} {v}", entry.value.describe()),
                    None => entry.value.describe(),
                };
                Err(PocketError::corrupt(
                    format!("expected {expected}, found {found}"),
                    Subject::Key(key).at(entry.key.offset()),
                ))
            }
        }
    }

    /// Like [`Metadata::typed`] for every element of an array.
    fn elements<T>(
        &self,
        key: &str,
        expected: &str,
        convert: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<Vec<T>>> {
        self.typed(key, expected, |value| {
            let array = value.as_array()?;
            let out: Vec<T> = array.iter().map_while(|v| convert(&v)).collect();
            (out.len() == array.len()).then_some(out)
        })
    }

    /// A string.
    pub fn str(&self, key: &str) -> Result<Option<&str>> {
        self.typed(key, "string", Value::as_str)
    }

    /// An integer of any width whose value fits u32.
    pub fn u32(&self, key: &str) -> Result<Option<u32>> {
        self.typed(key, "u32", |v| v.as_integer()?.try_into().ok())
    }

    /// An integer of any width whose value fits u64.
    pub fn u64(&self, key: &str) -> Result<Option<u64>> {
        self.typed(key, "u64", |v| v.as_integer()?.try_into().ok())
    }

    /// An integer of any width whose value fits usize.
    pub fn usize(&self, key: &str) -> Result<Option<usize>> {
        self.typed(key, "usize", |v| v.as_integer()?.try_into().ok())
    }

    /// A floating-point number, rounded to f32. It may be infinite or NaN.
    pub fn f32(&self, key: &str) -> Result<Option<f32>> {
        self.typed(key, "f32", |v| Some(v.as_float()? as f32))
    }

    /// A truth value.
    pub fn bool(&self, key: &str) -> Result<Option<bool>> {
        self.typed(key, "bool", as_bool)
    }

    /// An array of strings, read lazily.
    pub fn strings(&self, key: &str) -> Result<Option<StringArray>> {
        self.typed(key, "array of string", |v| v.as_array()?.strings())
    }

    /// An array of floating-point numbers.
    pub fn f32s(&self, key: &str) -> Result<Option<Vec<f32>>> {
        self.elements(key, "array of f32", |v| Some(v.as_float()? as f32))
    }

    /// An array of integers that fit i32.
    pub fn i32s(&self, key: &str) -> Result<Option<Vec<i32>>> {
        self.elements(key, "array of i32", |v| v.as_integer()?.try_into().ok())
    }

    /// An array of integers that fit u32.
    pub fn u32s(&self, key: &str) -> Result<Option<Vec<u32>>> {
        self.elements(key, "array of u32", |v| v.as_integer()?.try_into().ok())
    }

    /// An array of truth values.
    pub fn bools(&self, key: &str) -> Result<Option<Vec<bool>>> {
        self.elements(key, "array of bool", as_bool)
    }
}

fn as_bool(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(v) => Some(*v),
        _ => None,
    }
}

macro_rules! require {
    ($($name:ident = $getter:ident -> $ty:ty;)*) => {
        impl Metadata {$(
            #[doc = concat!("[`Metadata::", stringify!($getter), "`], with a missing key as `CorruptModel`.")]
            pub fn $name(&self, key: &str) -> Result<$ty> {
                self.$getter(key)?.ok_or_else(|| {
                    PocketError::corrupt("missing key", format!("metadata key `{}`", quote(key)))
                })
            }
        )*}
    };
}

require! {
    require_str = str -> &str;
    require_u32 = u32 -> u32;
    require_u64 = u64 -> u64;
    require_usize = usize -> usize;
    require_f32 = f32 -> f32;
    require_bool = bool -> bool;
    require_strings = strings -> StringArray;
    require_f32s = f32s -> Vec<f32>;
    require_i32s = i32s -> Vec<i32>;
    require_u32s = u32s -> Vec<u32>;
    require_bools = bools -> Vec<bool>;
}

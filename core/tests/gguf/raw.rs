//! Building files byte by byte, for what the writer would refuse to write.

/// A GGUF file without any checks.
#[derive(Clone)]
pub struct Raw(pub Vec<u8>);

/// Type ids of metadata values, as the specification numbers them.
pub const U8: u32 = 0;
pub const U32: u32 = 4;
pub const BOOL: u32 = 7;
pub const STRING: u32 = 8;
pub const ARRAY: u32 = 9;

/// Type ids of tensors, as ggml numbers them.
pub const F32: u32 = 0;
pub const Q8_0: u32 = 8;
pub const I8: u32 = 24;

impl Raw {
    /// A version 3 header.
    pub fn new(tensors: u64, entries: u64) -> Self {
        Self::version(3, tensors, entries)
    }

    /// A header of any version.
    pub fn version(version: u32, tensors: u64, entries: u64) -> Self {
        Self(b"GGUF".to_vec())
            .u32(version)
            .u64(tensors)
            .u64(entries)
    }

    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    pub fn u32(self, v: u32) -> Self {
        self.bytes(&v.to_le_bytes())
    }

    pub fn u64(self, v: u64) -> Self {
        self.bytes(&v.to_le_bytes())
    }

    /// Length and text.
    pub fn string(self, text: impl AsRef<[u8]>) -> Self {
        self.u64(text.as_ref().len() as u64).bytes(text.as_ref())
    }

    /// Key and value type; the value follows.
    pub fn key(self, key: &str, ty: u32) -> Self {
        self.string(key).u32(ty)
    }

    /// Element type and length of an array; the elements follow.
    pub fn array(self, elem: u32, len: u64) -> Self {
        self.u32(elem).u64(len)
    }

    /// A directory entry.
    pub fn tensor(self, name: &str, shape: &[u64], ty: u32, offset: u64) -> Self {
        let entry = self.string(name).u32(shape.len() as u32);
        let entry = shape.iter().fold(entry, |entry, &dim| entry.u64(dim));
        entry.u32(ty).u64(offset)
    }

    /// Padding to the default alignment and `len` bytes of data.
    pub fn data(mut self, len: usize) -> Self {
        let start = self.0.len().next_multiple_of(32);
        self.0.resize(start + len, 0);
        self
    }
}

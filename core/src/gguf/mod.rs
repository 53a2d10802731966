//! GGUF files: metadata, tensor directory and zero-copy views of the tensor data.
//!
//! ```text
//! file(s) ─mmap→ Blob ─cursor→ header ─→ Metadata (keys, lazily read arrays)
//!                                    └→ [TensorInfo] ─bytes()→ Blob
//! ```
//!
//! A GGUF file comes from anywhere, so nothing in it is believed: every count, length, offset and
//! dimension is checked against the bytes that are there before it is used, and arithmetic on them
//! is checked. Strings and arrays stay in the mapping as validated ranges, so opening a file
//! allocates little: at most [`MAX_METADATA`] metadata entries and [`MAX_TENSORS`] tensors, which
//! keeps the directory below the file's length plus 16 MiB whatever the file claims.
//!
//! Read are version 2 and 3, little-endian, in one file or in shards named
//! `-00001-of-0000N.gguf`. [`Writer`] writes version 3.
//!
//! The format is specified in ggml's `docs/gguf.md`; where the specification is silent, what
//! llama.cpp accepts is the guide.

mod blob;
mod cursor;
mod directory;
mod metadata;
mod shards;
mod signature;
mod tensor_type;
mod value;
mod write_value;
mod writer;

pub use blob::Blob;
pub use directory::{MAX_METADATA, MAX_TENSORS, TensorInfo};
pub use metadata::Metadata;
pub use shards::Gguf;
pub use tensor_type::TensorType;
pub use value::{Array, ArrayIter, StringArray, StringIter, Text, Value, ValueType};
pub use write_value::{WriteElement, WriteValue};
pub use writer::Writer;

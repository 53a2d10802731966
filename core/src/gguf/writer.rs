//! Writing GGUF version 3, little-endian.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use super::blob::Blob;
use super::cursor::quote;
use super::directory::{
    ALIGNMENT_KEY, DEFAULT_ALIGNMENT, MAX_DIMS, MAX_KEY, MAX_METADATA, MAX_NAME, MAX_TENSORS,
    is_alignment,
};
use super::signature::MAGIC;
use super::tensor_type::TensorType;
use super::write_value::WriteValue;
use crate::error::{PocketError, Result};

/// The version that is written.
const VERSION: u32 = 3;

/// A GGUF file in the making. Metadata and tensors keep the order in which they are added.
///
/// Adding never fails: everything is checked by [`Writer::to_bytes`] and [`Writer::write_to`],
/// which refuse whatever [`super::Gguf`] would refuse to read.
///
/// ```
/// # fn main() -> pocketlm::Result<()> {
/// use pocketlm::gguf::{Gguf, TensorType, Writer};
/// let mut writer = Writer::new();
/// writer
///     .metadata("general.architecture", "llama")
///     .metadata("llama.block_count", 2u32)
///     .metadata("tokenizer.ggml.scores", vec![0.0f32, -1.0])
///     .tensor("output_norm.weight", &[2], TensorType::F32, vec![0; 8]);
/// let model = Gguf::from_bytes(writer.to_bytes()?)?;
/// assert_eq!(model.metadata().u32("llama.block_count")?, Some(2));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Writer {
    metadata: Vec<(String, WriteValue)>,
    tensors: Vec<Tensor>,
}

#[derive(Clone, Debug)]
struct Tensor {
    name: String,
    shape: Vec<u64>,
    ty: TensorType,
    bytes: Blob,
}

impl Writer {
    /// An empty file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a metadata entry. The integer type of `value` is the type in the file: most keys of
    /// llama.cpp are `u32`.
    pub fn metadata(&mut self, key: impl Into<String>, value: impl Into<WriteValue>) -> &mut Self {
        self.metadata.push((key.into(), value.into()));
        self
    }

    /// Adds a tensor: its shape in ggml's order (columns first) and its data, which must be as long
    /// as shape and type say. A [`Blob`] of an open model is not copied.
    pub fn tensor(
        &mut self,
        name: impl Into<String>,
        shape: &[u64],
        ty: TensorType,
        bytes: impl Into<Blob>,
    ) -> &mut Self {
        self.tensors.push(Tensor {
            name: name.into(),
            shape: shape.to_vec(),
            ty,
            bytes: bytes.into(),
        });
        self
    }

    /// Sets what the offsets of tensor data are multiples of: a power of two from 8 bytes to 1 MiB,
    /// 32 when this is not called. It is the metadata key `general.alignment`, and setting that has
    /// the same effect.
    pub fn alignment(&mut self, bytes: u32) -> &mut Self {
        self.metadata.retain(|(key, _)| key != ALIGNMENT_KEY);
        self.metadata(ALIGNMENT_KEY, bytes)
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// `InvalidArgument` naming the key or tensor that cannot be written: empty, overlong or
    /// repeated names, mixed arrays, a shape that is none, data of another length.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let (mut out, alignment) = self.directory()?;
        for tensor in &self.tensors {
            pad(&mut out, alignment);
            out.extend_from_slice(&tensor.bytes);
        }
        pad(&mut out, alignment);
        Ok(out)
    }

    /// Writes the file under a temporary name in the same folder and renames it to `path`, so that
    /// `path` never holds half a file.
    ///
    /// # Errors
    /// As [`Writer::to_bytes`], and `InvalidArgument` for `path` when the file cannot be written.
    pub fn write_to(&self, path: &Path) -> Result<()> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let (directory, alignment) = self.directory()?;
        let failed =
            |e: io::Error| PocketError::invalid("path", format!("{}: {e}", path.display()));
        let name = path
            .file_name()
            .ok_or_else(|| failed(io::Error::other("it has no file name")))?;
        let mut temporary = name.to_os_string();
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        temporary.push(format!(".{}-{number}.tmp", process::id()));
        let temporary = path.with_file_name(temporary);

        let write = || -> io::Result<()> {
            let mut out = BufWriter::new(File::create_new(&temporary)?);
            out.write_all(&directory)?;
            let mut at = directory.len() as u64;
            for bytes in self.tensors.iter().map(|t| &t.bytes[..]).chain([&[][..]]) {
                let padding = at.next_multiple_of(alignment) - at;
                io::copy(&mut io::Read::take(io::repeat(0), padding), &mut out)?;
                out.write_all(bytes)?;
                at += padding + bytes.len() as u64;
            }
            out.into_inner().map_err(|e| e.into_error())?.sync_all()?;
            fs::rename(&temporary, path)
        };
        write().map_err(|e| {
            // Nothing more can be done if the half-written file cannot be removed either.
            let _ = fs::remove_file(&temporary);
            failed(e)
        })
    }

    /// Everything before the padding in front of the tensor data, and the alignment.
    fn directory(&self) -> Result<(Vec<u8>, u64)> {
        let alignment = self.checked_alignment()?;
        check_count("metadata entries", self.metadata.len(), MAX_METADATA)?;
        check_count("tensors", self.tensors.len(), MAX_TENSORS)?;
        let mut out = Vec::new();
        out.extend(MAGIC);
        out.extend(VERSION.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.metadata.len() as u64).to_le_bytes());

        let mut seen = HashSet::new();
        for (key, value) in &self.metadata {
            let argument = || format!("metadata key `{}`", quote(key));
            check_name(key, MAX_KEY, &mut seen, argument)?;
            put_string(&mut out, key);
            out.extend(value.value_type().id().to_le_bytes());
            value.put(&mut out, &argument)?;
        }

        let mut seen = HashSet::new();
        let mut offset = 0u64;
        for tensor in &self.tensors {
            let argument = || format!("tensor `{}`", quote(&tensor.name));
            check_name(&tensor.name, MAX_NAME, &mut seen, argument)?;
            tensor.check()?;
            put_string(&mut out, &tensor.name);
            // The number of dimensions was checked.
            out.extend((tensor.shape.len() as u32).to_le_bytes());
            for dim in &tensor.shape {
                out.extend(dim.to_le_bytes());
            }
            out.extend(tensor.ty.id().to_le_bytes());
            out.extend(offset.to_le_bytes());
            offset = offset
                .checked_add(tensor.bytes.len() as u64)
                .and_then(|end| end.checked_next_multiple_of(alignment))
                .ok_or_else(|| PocketError::invalid(argument(), "the file's size overflows"))?;
        }
        Ok((out, alignment))
    }

    fn checked_alignment(&self) -> Result<u64> {
        let set = self.metadata.iter().find(|(key, _)| key == ALIGNMENT_KEY);
        let Some((_, value)) = set else {
            return Ok(DEFAULT_ALIGNMENT);
        };
        value.as_u64().filter(|&a| is_alignment(a)).ok_or_else(|| {
            PocketError::invalid(
                format!("metadata key `{ALIGNMENT_KEY}`"),
                "it must be an integer, a power of two from 8 to 1 MiB",
            )
        })
    }
}

impl Tensor {
    /// The checks of the reader, and that the data has the length that shape and type say.
    fn check(&self) -> Result<()> {
        let invalid = |reason: String| {
            PocketError::invalid(format!("tensor `{}`", quote(&self.name)), reason)
        };
        let shape = &self.shape;
        if shape.is_empty() || shape.len() > MAX_DIMS as usize || shape.contains(&0) {
            return Err(invalid(format!(
                "shape {shape:?} is not 1 to {MAX_DIMS} dimensions of at least 1"
            )));
        }
        let block_len = self.ty.block_len() as u64;
        if !shape[0].is_multiple_of(block_len) {
            return Err(invalid(format!(
                "rows of {} elements are no whole number of {} blocks of {block_len}",
                shape[0], self.ty
            )));
        }
        let elements = shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d));
        let expected = elements.and_then(|n| self.ty.byte_len(n));
        match expected {
            Some(expected) if expected == self.bytes.len() as u64 => Ok(()),
            Some(expected) => Err(invalid(format!(
                "{} bytes given, shape {shape:?} of {} has {expected}",
                self.bytes.len(),
                self.ty
            ))),
            None => Err(invalid(format!("the size of {shape:?} overflows"))),
        }
    }
}

fn check_count(of: &str, count: usize, max: u64) -> Result<()> {
    if count as u64 <= max {
        return Ok(());
    }
    Err(PocketError::invalid(
        of,
        format!("{count} given, at most {max} are allowed"),
    ))
}

fn check_name<'a>(
    name: &'a str,
    max: u64,
    seen: &mut HashSet<&'a str>,
    argument: impl Fn() -> String,
) -> Result<()> {
    if name.is_empty() || name.len() as u64 > max {
        return Err(PocketError::invalid(
            argument(),
            format!("names have 1 to {max} bytes, this has {}", name.len()),
        ));
    }
    if !seen.insert(name) {
        return Err(PocketError::invalid(argument(), "it was added twice"));
    }
    Ok(())
}

/// Length and text.
pub(super) fn put_string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn pad(out: &mut Vec<u8>, alignment: u64) {
    // The alignment is at most 1 MiB.
    out.resize(out.len().next_multiple_of(alignment as usize), 0);
}

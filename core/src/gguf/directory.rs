//! One file's header, metadata and tensor directory.

use super::blob::Blob;
use super::cursor::{Cursor, Subject, quote};
use super::metadata::Metadata;
use super::signature::{self, MAGIC};
use super::tensor_type::TensorType;
use super::value::{Text, Value, ValueType};
use crate::error::{PocketError, Result};

/// More metadata entries than this are refused. Models have some dozens.
pub const MAX_METADATA: u64 = 1 << 16;

/// More tensors than this, over all shards, are refused. Models have hundreds, or a few thousands.
pub const MAX_TENSORS: u64 = 1 << 16;

/// The specification's bound on a key, in bytes.
pub(super) const MAX_KEY: u64 = (1 << 16) - 1;

/// The specification allows tensor names of 64 bytes; some writers went beyond it.
pub(super) const MAX_NAME: u64 = 256;

/// ggml's bound on dimensions.
pub(super) const MAX_DIMS: u32 = 4;

/// Tensor data starts at multiples of `general.alignment`, 32 unless the key says otherwise.
pub(super) const ALIGNMENT_KEY: &str = "general.alignment";
pub(super) const DEFAULT_ALIGNMENT: u64 = 32;
const MAX_ALIGNMENT: u64 = 1 << 20;

/// Least bytes of a metadata entry: key length, type, and a one-byte value.
const MIN_ENTRY: u64 = 8 + 4 + 1;

/// Least bytes of a directory entry: name length, dimension count, one dimension, type, offset.
const MIN_TENSOR: u64 = 8 + 4 + 8 + 4 + 8;

/// A tensor of the directory: what it is called, its shape, and where its bytes are.
///
/// The checks of [`super::Gguf::open`] hold for it: the dimensions are at least 1 and their product
/// fits, `shape[0]` is a whole number of blocks, the bytes lie inside the file, aligned, and
/// overlap no other tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TensorInfo {
    /// The name, unique in the model.
    pub name: String,
    /// 1 to 4 dimensions in ggml's order: the first is the fastest (the columns of a row).
    pub shape: Vec<u64>,
    /// How the elements are stored.
    pub ty: TensorType,
    /// Byte offset of the data from the start of its file.
    pub offset: u64,
    /// Bytes of the data.
    pub byte_len: u64,
    /// Which file of the model holds it, from 0; always 0 for a model in one file.
    pub split: usize,
}

impl TensorInfo {
    /// Elements in a row: the first dimension.
    pub fn cols(&self) -> usize {
        self.shape.first().map_or(1, |&d| d as usize)
    }

    /// The number of rows: the product of the other dimensions.
    pub fn rows(&self) -> usize {
        self.shape.iter().skip(1).map(|&d| d as usize).product()
    }

    /// The number of elements.
    pub fn elements(&self) -> u64 {
        self.shape.iter().product()
    }
}

/// What one file holds.
pub(super) struct Directory {
    pub(super) version: u32,
    pub(super) alignment: u64,
    pub(super) metadata: Metadata,
    pub(super) tensors: Vec<TensorInfo>,
}

impl Directory {
    /// Reads and checks the directory of `file`, which is shard `split` of its model. At most
    /// `max_tensors` tensors are read.
    pub(super) fn read(file: &Blob, split: usize, max_tensors: u64) -> Result<Self> {
        let mut cursor = Cursor::new(file, 0, Subject::Header);
        let version = read_version(&mut cursor, file)?;
        let tensor_count = read_count(&mut cursor, "tensors", max_tensors, MIN_TENSOR)?;
        let entry_count = read_count(&mut cursor, "metadata entries", MAX_METADATA, MIN_ENTRY)?;
        let metadata = read_metadata(&mut cursor, file, entry_count)?;
        let alignment = read_alignment(&metadata)?;

        // Metadata may have used up the bytes that the count was checked against.
        cursor.subject = Subject::Header;
        check_count(&cursor, tensor_count, "tensors", MIN_TENSOR)?;
        let mut tensors = Vec::with_capacity(tensor_count as usize);
        for i in 0..tensor_count {
            tensors.push(read_tensor(&mut cursor, i, split)?);
        }
        let directory_end = cursor.pos() as u64;
        place(&mut tensors, directory_end, alignment, file.len() as u64)?;
        refuse_overlaps(&tensors)?;
        Ok(Self {
            version,
            alignment,
            metadata,
            tensors,
        })
    }
}

fn read_version(cursor: &mut Cursor<'_>, file: &Blob) -> Result<u32> {
    if !file.starts_with(&MAGIC) {
        if file.len() < MAGIC.len() {
            return Err(
                cursor.corrupt(format!("not a GGUF file: it has only {} bytes", file.len()))
            );
        }
        return Err(signature::not_gguf(file));
    }
    cursor.skip(MAGIC.len() as u64, "the magic")?;
    let at = cursor.pos();
    match cursor.u32("the version")? {
        version @ (2 | 3) => Ok(version),
        0 => Err(cursor.corrupt_at(at, "GGUF version 0 does not exist")),
        1 => Err(PocketError::unsupported(
            "GGUF version 1 (from August 2023); convert the model again",
        )),
        other if other & 0xffff == 0 => Err(PocketError::unsupported(format!(
            "big-endian GGUF (version {} with its bytes swapped)",
            other.swap_bytes()
        ))),
        other => Err(PocketError::unsupported(format!(
            "GGUF version {other}; versions 2 and 3 are read"
        ))),
    }
}

/// Reads a count from the header and bounds it by `max` and by the bytes that are left.
fn read_count(cursor: &mut Cursor<'_>, of: &str, max: u64, least_bytes: u64) -> Result<u64> {
    let at = cursor.pos();
    let count = cursor.u64(&format!("the number of {of}"))?;
    if count > max {
        return Err(cursor.corrupt_at(
            at,
            format!("the file claims {count} {of}, at most {max} are read"),
        ));
    }
    check_count(cursor, count, of, least_bytes)?;
    Ok(count)
}

fn check_count(cursor: &Cursor<'_>, count: u64, of: &str, least_bytes: u64) -> Result<()> {
    let left = cursor.remaining() as u64;
    match count.checked_mul(least_bytes) {
        Some(least) if least <= left => Ok(()),
        _ => Err(cursor.corrupt(format!(
            "the file claims {count} {of}, but only {left} bytes are left"
        ))),
    }
}

fn read_metadata(cursor: &mut Cursor<'_>, file: &Blob, count: u64) -> Result<Metadata> {
    let mut metadata = Metadata::with_capacity(count as usize);
    for i in 0..count {
        cursor.subject = Subject::Entry(i);
        let at = cursor.pos();
        let (key, range) = cursor.string(MAX_KEY, "the key")?;
        if key.is_empty() {
            return Err(cursor.corrupt_at(at, "the key is empty"));
        }
        cursor.subject = Subject::Key(key);
        let ty = ValueType::read(cursor, "the value type")?;
        let value = Value::read(cursor, file, ty)?;
        metadata.push(Text::new(file.slice(range)), value);
    }
    metadata.index()?;
    Ok(metadata)
}

/// Whether tensor data may be aligned so: the specification asks for a multiple of 8, and llama.cpp
/// for a power of two.
pub(super) fn is_alignment(bytes: u64) -> bool {
    bytes.is_power_of_two() && (8..=MAX_ALIGNMENT).contains(&bytes)
}

fn read_alignment(metadata: &Metadata) -> Result<u64> {
    let alignment = metadata.u64(ALIGNMENT_KEY)?.unwrap_or(DEFAULT_ALIGNMENT);
    if is_alignment(alignment) {
        return Ok(alignment);
    }
    Err(PocketError::corrupt(
        format!("alignment {alignment} is no power of two from 8 to {MAX_ALIGNMENT}"),
        format!("metadata key `{ALIGNMENT_KEY}`"),
    ))
}

/// Reads one entry; its offset is still relative to the start of the data.
fn read_tensor(cursor: &mut Cursor<'_>, index: u64, split: usize) -> Result<TensorInfo> {
    cursor.subject = Subject::TensorIndex(index);
    let at = cursor.pos();
    let (name, _) = cursor.string(MAX_NAME, "the name")?;
    if name.is_empty() {
        return Err(cursor.corrupt_at(at, "the name is empty"));
    }
    cursor.subject = Subject::Tensor(name);

    let at = cursor.pos();
    let dims = cursor.u32("the number of dimensions")?;
    if dims == 0 || dims > MAX_DIMS {
        return Err(cursor.corrupt_at(
            at,
            format!("{dims} dimensions, 1 to {MAX_DIMS} are allowed"),
        ));
    }
    let at = cursor.pos();
    let mut shape = Vec::with_capacity(dims as usize);
    let mut elements: Option<u64> = Some(1);
    for _ in 0..dims {
        let dim = cursor.u64("a dimension")?;
        elements = elements.and_then(|n| n.checked_mul(dim));
        shape.push(dim);
    }
    if shape.contains(&0) {
        return Err(cursor.corrupt_at(at, format!("a dimension of {shape:?} is zero")));
    }
    // ggml counts elements in an i64.
    let elements = elements.filter(|&n| i64::try_from(n).is_ok());
    let overflow = |c: &Cursor<'_>| c.corrupt_at(at, format!("the size of {shape:?} overflows"));
    let elements = elements.ok_or_else(|| overflow(cursor))?;

    let id = cursor.u32("the type")?;
    let ty = TensorType::from_id(id).ok_or_else(|| {
        PocketError::unsupported(format!("tensor type {id} of tensor `{}`", quote(name)))
    })?;
    if !shape[0].is_multiple_of(ty.block_len() as u64) {
        return Err(cursor.corrupt_at(
            at,
            format!(
                "rows of {} elements are no whole number of {} blocks of {}",
                shape[0],
                ty.name(),
                ty.block_len()
            ),
        ));
    }
    let byte_len = ty.byte_len(elements).ok_or_else(|| overflow(cursor))?;
    let offset = cursor.u64("the data offset")?;
    Ok(TensorInfo {
        name: name.to_string(),
        shape,
        ty,
        offset,
        byte_len,
        split,
    })
}

/// Turns the offsets, which count from the aligned end of the directory, into offsets in the file,
/// and checks them.
fn place(tensors: &mut [TensorInfo], directory_end: u64, alignment: u64, len: u64) -> Result<()> {
    let data_start = directory_end.next_multiple_of(alignment);
    for t in tensors {
        if !t.offset.is_multiple_of(alignment) {
            let what = format!(
                "data offset {} is no multiple of the alignment {alignment}",
                t.offset
            );
            return Err(tensor_error(t, what));
        }
        let start = data_start.checked_add(t.offset);
        let end = start.and_then(|s| s.checked_add(t.byte_len));
        match (start, end) {
            (Some(start), Some(end)) if end <= len => t.offset = start,
            _ => {
                let what = format!(
                    "{} bytes at data offset {} pass the end of the file ({len} bytes, data starts at {data_start}); is the download complete?",
                    t.byte_len, t.offset
                );
                return Err(tensor_error(t, what));
            }
        }
    }
    Ok(())
}

fn refuse_overlaps(tensors: &[TensorInfo]) -> Result<()> {
    let mut order: Vec<u32> = (0u32..).take(tensors.len()).collect();
    order.sort_unstable_by_key(|&i| tensors[i as usize].offset);
    for pair in order.windows(2) {
        let (a, b) = (&tensors[pair[0] as usize], &tensors[pair[1] as usize]);
        // No overflow: `place` has checked that both end inside the file.
        if a.offset + a.byte_len > b.offset {
            let what = format!("the data overlaps that of tensor `{}`", quote(&a.name));
            return Err(tensor_error(b, what));
        }
    }
    Ok(())
}

fn tensor_error(t: &TensorInfo, what: String) -> PocketError {
    let at = usize::try_from(t.offset).unwrap_or(usize::MAX);
    PocketError::corrupt(what, Subject::Tensor(&t.name).at(at))
}

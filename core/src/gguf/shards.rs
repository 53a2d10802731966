//! A model as its user sees it: one file, or several shards opened as one.

use std::fmt;
use std::path::{Path, PathBuf};

use super::blob::Blob;
use super::cursor::{Subject, quote};
use super::directory::{Directory, MAX_TENSORS, TensorInfo};
use super::metadata::Metadata;
use crate::error::{PocketError, Result};

/// Metadata keys of split files, as llama.cpp's `gguf-split` writes them.
const SPLIT_NO: &str = "split.no";
const SPLIT_COUNT: &str = "split.count";
const SPLIT_TENSORS: &str = "split.tensors.count";

/// An open model: the metadata and the tensors of all its files, which stay mapped as long as this
/// or any [`Blob`] from it lives.
pub struct Gguf {
    version: u32,
    alignment: u64,
    metadata: Metadata,
    tensors: Vec<TensorInfo>,
    /// Indices into `tensors`, sorted by name.
    by_name: Vec<u32>,
    files: Vec<Blob>,
}

impl Gguf {
    /// Opens a model file, and the other files when it is a shard named `-00001-of-0000N.gguf`
    /// (any of them may be given).
    ///
    /// The files are mapped, not read; only the directory is looked at. A file must not be changed
    /// or truncated while it is open (replacing it by renaming another over it is fine).
    ///
    /// # Errors
    /// `ModelNotFound` when a file cannot be opened, `UnsupportedModel` for other formats,
    /// versions, byte orders or unknown tensor types, `CorruptModel` with key or tensor and byte
    /// offset for everything that contradicts the format.
    pub fn open(path: &Path) -> Result<Self> {
        let file = Blob::map(path)?;
        let first = Directory::read(&file, 0, MAX_TENSORS)?;
        let count = split_count(&first.metadata)?;
        if count <= 1 {
            return Self::assemble(first, vec![file]);
        }
        let number = first.metadata.require_u32(SPLIT_NO)?;
        let name = ShardName::parse(path)
            .filter(|n| n.of == count && n.number.checked_sub(1) == Some(number));
        let Some(name) = name else {
            return Err(PocketError::ModelNotFound {
                path: path.to_path_buf(),
                reason: format!(
                    "this is shard {} of {count}; to find the others it must be named like `model{}`",
                    number.saturating_add(1),
                    shard_suffix(number.saturating_add(1), count)
                ),
            });
        };
        let (first, file) = if number == 0 {
            (first, file)
        } else {
            read_shard(&name, 0, count, MAX_TENSORS)?
        };
        let mut all = first;
        let mut files = vec![file];
        for shard in 1..count {
            let room = MAX_TENSORS.saturating_sub(all.tensors.len() as u64);
            let (mut next, file) = read_shard(&name, shard, count, room)?;
            // Exact, so that the bound on what opening allocates holds.
            all.tensors.reserve_exact(next.tensors.len());
            all.tensors.append(&mut next.tensors);
            files.push(file);
        }
        check_tensor_count(&all)?;
        Self::assemble(all, files)
    }

    /// Opens a model that lies in memory, with the same checks.
    ///
    /// # Errors
    /// As [`Gguf::open`]; shards of a split model are `UnsupportedModel`, because the others
    /// cannot be found.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        let file = Blob::from_vec(bytes);
        let directory = Directory::read(&file, 0, MAX_TENSORS)?;
        let count = split_count(&directory.metadata)?;
        if count > 1 {
            return Err(PocketError::unsupported(format!(
                "a shard of a model split in {count}, opened from memory"
            )));
        }
        Self::assemble(directory, vec![file])
    }

    fn assemble(all: Directory, files: Vec<Blob>) -> Result<Self> {
        let Directory {
            version,
            alignment,
            metadata,
            tensors,
        } = all;
        let mut by_name: Vec<u32> = (0u32..).take(tensors.len()).collect();
        by_name.sort_unstable_by(|&a, &b| {
            let (a, b) = (a as usize, b as usize);
            (&tensors[a].name, a).cmp(&(&tensors[b].name, b))
        });
        for pair in by_name.windows(2) {
            let (first, again) = (&tensors[pair[0] as usize], &tensors[pair[1] as usize]);
            if first.name == again.name {
                return Err(PocketError::corrupt(
                    "the tensor is there twice",
                    Subject::Tensor(&again.name).at(again.offset as usize),
                ));
            }
        }
        Ok(Self {
            version,
            alignment,
            metadata,
            tensors,
            by_name,
            files,
        })
    }

    /// The format version: 2 or 3.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// What the offsets of tensor data are multiples of, in bytes (of the first file).
    pub fn alignment(&self) -> u64 {
        self.alignment
    }

    /// The length of the model, all files together, in bytes.
    pub fn file_len(&self) -> u64 {
        self.files.iter().map(|f| f.len() as u64).sum()
    }

    /// The number of files.
    pub fn split_count(&self) -> usize {
        self.files.len()
    }

    /// The metadata (of the first file; the others only repeat which shard they are).
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// All tensors, in file order.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// The tensor called `name`.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        let found = self
            .by_name
            .binary_search_by(|&i| self.tensors[i as usize].name.as_str().cmp(name));
        Some(&self.tensors[self.by_name[found.ok()?] as usize])
    }

    /// The data of a tensor of this model, without copying. A `TensorInfo` that points outside
    /// this model's files (it came from another model) gives an empty blob.
    pub fn bytes(&self, t: &TensorInfo) -> Blob {
        let find = || {
            let start = usize::try_from(t.offset).ok()?;
            let end = start.checked_add(usize::try_from(t.byte_len).ok()?)?;
            self.files.get(t.split)?.try_slice(start..end)
        };
        find().unwrap_or_else(|| Blob::from_vec(Vec::new()))
    }
}

impl fmt::Debug for Gguf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gguf")
            .field("version", &self.version)
            .field("files", &self.files)
            .field("metadata", &self.metadata.len())
            .field("tensors", &self.tensors.len())
            .finish()
    }
}

/// The number of files the metadata claims; 1 when it says nothing.
fn split_count(metadata: &Metadata) -> Result<u32> {
    let count = metadata.u32(SPLIT_COUNT)?.unwrap_or(1);
    // The field is 16 bits wide in the format.
    if count > u32::from(u16::MAX) {
        return Err(PocketError::corrupt(
            format!("the model claims {count} shards"),
            format!("metadata key `{SPLIT_COUNT}`"),
        ));
    }
    Ok(count)
}

fn check_tensor_count(all: &Directory) -> Result<()> {
    let Some(claimed) = all.metadata.u64(SPLIT_TENSORS)? else {
        return Ok(());
    };
    let found = all.tensors.len() as u64;
    if claimed == found {
        return Ok(());
    }
    Err(PocketError::corrupt(
        format!("the shards hold {found} tensors, {claimed} are claimed"),
        format!("metadata key `{SPLIT_TENSORS}`"),
    ))
}

/// Opens shard `index` (from 0) of `count` and checks that it says it is that.
fn read_shard(
    name: &ShardName,
    index: u32,
    count: u32,
    max_tensors: u64,
) -> Result<(Directory, Blob)> {
    let path = name.path(index + 1);
    let in_shard = |e: PocketError| match e {
        PocketError::CorruptModel { what, location } => PocketError::CorruptModel {
            what,
            location: format!("{location} of shard {} of {count}", index + 1),
        },
        PocketError::ModelNotFound { path, reason } => PocketError::ModelNotFound {
            path,
            reason: format!("shard {} of {count}: {reason}", index + 1),
        },
        other => other,
    };
    let file = Blob::map(&path).map_err(in_shard)?;
    let directory = Directory::read(&file, index as usize, max_tensors).map_err(in_shard)?;
    for (key, expected) in [(SPLIT_NO, index), (SPLIT_COUNT, count)] {
        let found = directory.metadata.require_u32(key).map_err(in_shard)?;
        if found != expected {
            return Err(in_shard(PocketError::corrupt(
                format!("found {found}, expected {expected}"),
                format!("metadata key `{}`", quote(key)),
            )));
        }
    }
    Ok((directory, file))
}

/// A path that ends in `-00002-of-00003.gguf`, taken apart.
struct ShardName {
    prefix: PathBuf,
    number: u32,
    of: u32,
}

fn shard_suffix(number: u32, of: u32) -> String {
    format!("-{number:05}-of-{of:05}.gguf")
}

impl ShardName {
    fn parse(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let stem = name.strip_suffix(".gguf")?;
        let (rest, of) = stem.rsplit_once("-of-")?;
        let (prefix, number) = rest.rsplit_once('-')?;
        let (number, of): (u32, u32) = (number.parse().ok()?, of.parse().ok()?);
        // Rebuilding it settles leading zeros, signs and the like.
        (name == format!("{prefix}{}", shard_suffix(number, of))).then(|| Self {
            prefix: path.with_file_name(prefix),
            number,
            of,
        })
    }

    fn path(&self, number: u32) -> PathBuf {
        let mut path = self.prefix.clone().into_os_string();
        path.push(shard_suffix(number, self.of));
        path.into()
    }
}

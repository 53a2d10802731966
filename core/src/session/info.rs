//! What a model file says of itself; reads only the header.

use std::path::Path;

use crate::error::Result;
use crate::gguf::{Gguf, TensorType};
use crate::model::ARCHITECTURES;

/// Facts about a model file.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelInfo {
    /// `general.architecture`.
    pub architecture: String,
    /// Whether this runtime has a page for it.
    pub supported: bool,
    /// `general.name`, where the file has one.
    pub name: Option<String>,
    /// Weights, all tensors together.
    pub parameters: u64,
    /// Bytes of the file, all splits together.
    pub file_bytes: u64,
    /// Positions the model was made for.
    pub context: Option<usize>,
    /// Number of layers.
    pub layers: Option<usize>,
    /// Elements of a hidden state.
    pub dim: Option<usize>,
    /// Entries of the vocabulary.
    pub vocab: Option<usize>,
    /// `tokenizer.ggml.model` and, for byte-level BPE, its pre-tokenizer.
    pub tokenizer: Option<String>,
    /// Whether the file carries a chat template.
    pub chat_template: bool,
    /// Tensors by block format, the largest share first.
    pub types: Vec<TypeShare>,
}

/// How much of a file one block format takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeShare {
    /// The format's name.
    pub name: &'static str,
    /// Tensors in it.
    pub tensors: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl ModelInfo {
    /// Reads the header of the file at `path`.
    ///
    /// # Errors
    /// Those of [`Gguf::open`].
    pub fn read(path: &Path) -> Result<Self> {
        Self::from_gguf(&Gguf::open(path)?)
    }

    /// Collects the facts of an open file.
    ///
    /// # Errors
    /// [`crate::PocketError::CorruptModel`] for a key of the wrong type.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self> {
        let metadata = gguf.metadata();
        let architecture = metadata.require_str("general.architecture")?.to_owned();
        let size = |name: &str| metadata.usize(&format!("{architecture}.{name}"));
        let tokenizer = match (
            metadata.str("tokenizer.ggml.model")?,
            metadata.str("tokenizer.ggml.pre")?,
        ) {
            (Some(model), Some(pre)) => Some(format!("{model} ({pre})")),
            (model, _) => model.map(str::to_owned),
        };
        Ok(Self {
            supported: ARCHITECTURES
                .iter()
                .any(|a| a.names.contains(&architecture.as_str())),
            name: metadata.str("general.name")?.map(str::to_owned),
            parameters: gguf.tensors().iter().map(|t| t.elements()).sum(),
            file_bytes: gguf.file_len(),
            context: size("context_length")?,
            layers: size("block_count")?,
            dim: size("embedding_length")?,
            vocab: metadata.strings("tokenizer.ggml.tokens")?.map(|t| t.len()),
            tokenizer,
            chat_template: metadata.str("tokenizer.chat_template")?.is_some(),
            types: shares(gguf),
            architecture,
        })
    }
}

fn shares(gguf: &Gguf) -> Vec<TypeShare> {
    let mut shares: Vec<(TensorType, TypeShare)> = Vec::new();
    for tensor in gguf.tensors() {
        let at = match shares.iter().position(|(ty, _)| *ty == tensor.ty) {
            Some(at) => at,
            None => {
                let share = TypeShare {
                    name: tensor.ty.name(),
                    tensors: 0,
                    bytes: 0,
                };
                shares.push((tensor.ty, share));
                shares.len() - 1
            }
        };
        shares[at].1.tensors += 1;
        shares[at].1.bytes += tensor.byte_len;
    }
    let mut shares: Vec<TypeShare> = shares.into_iter().map(|(_, share)| share).collect();
    shares.sort_by_key(|share| std::cmp::Reverse(share.bytes));
    shares
}

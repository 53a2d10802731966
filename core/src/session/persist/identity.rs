//! Which model and which chat template a saved session belongs to.

use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use crate::chat::ChatTemplate;
use crate::error::Result;
use crate::gguf::{Blob, Gguf, Value};

/// Keys whose values are the template's business.
const TEMPLATE_KEYS: &str = "tokenizer.chat_template";

/// Bytes of each tensor that are looked at: a page read for each tensor, not gigabytes.
const SAMPLE: usize = 64;

/// Digests of a model file and its chat template, taken when they are first asked for.
///
/// The model's is over all metadata but the template, the tensor directory, and the first 64 bytes
/// of each tensor: not over all weights. Two files that differ only deeper inside a tensor count as
/// the same model; no two models that anyone published do.
pub struct Identity {
    name: String,
    pieces: Vec<Blob>,
    model: OnceLock<[u8; 32]>,
    template: [u8; 32],
}

impl Identity {
    /// The identity of a model file.
    ///
    /// # Errors
    /// [`crate::PocketError::CorruptModel`] for a name that is no text.
    pub fn new(gguf: &Gguf, template: Option<&ChatTemplate>) -> Result<Self> {
        let mut pieces = Vec::new();
        for (key, value) in gguf.metadata().iter() {
            if key.starts_with(TEMPLATE_KEYS) {
                continue;
            }
            pieces.push(Blob::from(key.as_bytes()));
            pieces.push(match value {
                Value::Str(text) => Blob::from(text.as_bytes()),
                Value::Array(array) => array.bytes().clone(),
                scalar => Blob::from_vec(format!("{scalar:?}").into_bytes()),
            });
        }
        for tensor in gguf.tensors() {
            let entry = format!("{} {:?} {}", tensor.name, tensor.shape, tensor.ty.name());
            let bytes = gguf.bytes(tensor);
            pieces.push(Blob::from_vec(entry.into_bytes()));
            pieces.push(bytes.slice(0..bytes.len().min(SAMPLE)));
        }
        let sources = template.map(|t| [false, true].map(|tools| t.source(tools).as_bytes()));
        Ok(Self {
            name: gguf.metadata().str("general.name")?.unwrap_or("").into(),
            pieces,
            model: OnceLock::new(),
            template: digest(sources.iter().flatten().copied()),
        })
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The digest of the model file.
    pub fn model(&self) -> [u8; 32] {
        *self
            .model
            .get_or_init(|| digest(self.pieces.iter().map(|piece| &piece[..])))
    }

    /// The digest of the chat template, with its variant for tools.
    pub fn template(&self) -> [u8; 32] {
        self.template
    }
}

/// SHA-256 of parts, each after its length, so that no two lists have the same bytes.
fn digest<'a>(parts: impl Iterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

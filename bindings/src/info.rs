//! What a model says of itself, and what it tells without being asked.

/// Facts about a model file.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct ModelInfo {
    /// `general.architecture` of the file.
    pub architecture: String,
    /// Whether this runtime can run it.
    pub supported: bool,
    /// `general.name`, where the file has one.
    pub name: Option<String>,
    /// Weights, all tensors together.
    pub parameters: u64,
    /// Bytes of the file, all splits together.
    pub file_bytes: u64,
    /// Positions the model was made for.
    pub context: Option<u64>,
    /// Number of layers.
    pub layers: Option<u64>,
    /// Elements of a hidden state.
    pub dim: Option<u64>,
    /// Entries of the vocabulary.
    pub vocab: Option<u64>,
    /// The tokenizer's kind and, for byte-level BPE, its pre-tokenizer.
    pub tokenizer: Option<String>,
    /// Whether the file carries a chat template.
    pub chat_template: bool,
    /// Tensors by block format, the largest share first.
    pub types: Vec<TypeShare>,
}

/// How much of a file one block format takes.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct TypeShare {
    /// The format's name, such as `Q4_K`.
    pub name: String,
    /// Tensors in it.
    pub tensors: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Something the runtime did that the app did not ask for.
#[derive(Clone, Debug, PartialEq, uniffi::Enum)]
#[non_exhaustive]
pub enum Notice {
    /// The CPU was chosen because the GPU could not be used.
    DeviceFallback {
        /// Why the GPU was not used.
        reason: String,
    },
    /// The file has no chat template; prompts are sent as plain text and answers may be poor.
    NoChatTemplate,
    /// The context window is full: the oldest turns are no longer sent to the model.
    TurnsDropped {
        /// How many turns more than before.
        turns: u64,
    },
    /// Another one, in words.
    Other {
        /// What happened.
        message: String,
    },
}

impl From<&pocketlm::ModelInfo> for ModelInfo {
    fn from(info: &pocketlm::ModelInfo) -> Self {
        let count = |count: Option<usize>| count.map(|count| count as u64);
        Self {
            architecture: info.architecture.clone(),
            supported: info.supported,
            name: info.name.clone(),
            parameters: info.parameters,
            file_bytes: info.file_bytes,
            context: count(info.context),
            layers: count(info.layers),
            dim: count(info.dim),
            vocab: count(info.vocab),
            tokenizer: info.tokenizer.clone(),
            chat_template: info.chat_template,
            types: info
                .types
                .iter()
                .map(|share| TypeShare {
                    name: share.name.to_owned(),
                    tensors: share.tensors as u64,
                    bytes: share.bytes,
                })
                .collect(),
        }
    }
}

impl From<pocketlm::Notice> for Notice {
    fn from(notice: pocketlm::Notice) -> Self {
        use pocketlm::Notice as Core;
        match notice {
            Core::DeviceFallback { reason } => Self::DeviceFallback { reason },
            Core::NoChatTemplate => Self::NoChatTemplate,
            Core::TurnsDropped { turns } => Self::TurnsDropped {
                turns: turns as u64,
            },
            // The core's enum may grow: its text is better than nothing.
            other => Self::Other {
                message: other.to_string(),
            },
        }
    }
}

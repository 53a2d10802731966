//! A loaded model: weights, tokenizer, template and device, shared by its sessions.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::cache::KvCache;
use crate::chat::ChatTemplate;
use crate::constrain::Grammars;
use crate::error::{PocketError, Result};
use crate::gguf::Gguf;
use crate::kernels::{Compute, KvType, cpu};
use crate::model::{self, Decoder};
use crate::tokenizer::Tokenizer;

use super::conversation::{ModelSession, SessionOptions};
use super::device::{self, DeviceChoice};
use super::event::Notice;
use super::info::ModelInfo;

/// The context a model gets when the caller names none and the file allows as much.
pub const DEFAULT_CONTEXT: usize = 4096;

/// How to load a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadOptions {
    /// Where to run.
    pub device: DeviceChoice,
    /// CPU threads; as many as the process may run at once by default.
    pub threads: Option<usize>,
    /// Positions a session may use; [`DEFAULT_CONTEXT`] by default, never more than the file's.
    pub context: Option<usize>,
    /// The instruction set of the CPU kernels; the best of this CPU by default. All give the same
    /// results: a lower one is for tests and measurements.
    pub cpu_level: Option<cpu::Level>,
    /// How keys and values are kept on the CPU: f16 by default, 8-bit blocks in about half the memory.
    pub kv: KvType,
}

/// A loaded model. Cloning shares it.
#[derive(Clone)]
pub struct LocalModel {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub decoder: Decoder,
    pub compute: Compute,
    pub tokenizer: Tokenizer,
    pub template: Option<ChatTemplate>,
    /// Built when a format is asked for first: it takes as long as the rest of loading.
    grammars: OnceLock<Grammars>,
    info: ModelInfo,
    notices: Vec<Notice>,
}

impl LocalModel {
    /// Maps the GGUF file at `path` and makes it ready to run. On the CPU this reads the header
    /// and the small tensors only: the weights stay in the file mapping.
    ///
    /// # Errors
    /// [`PocketError::ModelNotFound`], [`PocketError::CorruptModel`] and
    /// [`PocketError::UnsupportedModel`] naming what is wrong, [`PocketError::DeviceUnavailable`]
    /// when a GPU was asked for and there is none, [`PocketError::InvalidArgument`] for options.
    pub fn load(path: impl AsRef<Path>, options: LoadOptions) -> Result<Self> {
        Self::from_gguf(&Gguf::open(path.as_ref())?, &options)
    }

    /// Makes an open file ready to run.
    ///
    /// # Errors
    /// As [`LocalModel::load`].
    pub fn from_gguf(gguf: &Gguf, options: &LoadOptions) -> Result<Self> {
        let info = ModelInfo::from_gguf(gguf)?;
        let context = context(&info, options.context)?;
        let (compute, notice) = device::open(options)?;
        let decoder = model::load(gguf, &compute, Some(context))?;
        let tokenizer = Tokenizer::from_gguf(gguf)?;
        if tokenizer.vocab_size() > decoder.vocab() {
            return Err(PocketError::corrupt(
                format!(
                    "{} tokens, but logits for {}",
                    tokenizer.vocab_size(),
                    decoder.vocab()
                ),
                "tokenizer.ggml.tokens",
            ));
        }
        let template = ChatTemplate::from_gguf(gguf, &tokenizer)?;
        let mut notices: Vec<Notice> = notice.into_iter().collect();
        if template.is_none() {
            notices.push(Notice::NoChatTemplate);
        }
        tracing::info!(
            architecture = info.architecture,
            device = compute.describe(),
            context,
            "model loaded"
        );
        Ok(Self {
            inner: Arc::new(Inner {
                decoder,
                compute,
                tokenizer,
                template,
                grammars: OnceLock::new(),
                info,
                notices,
            }),
        })
    }

    /// Facts about the file.
    pub fn info(&self) -> &ModelInfo {
        &self.inner.info
    }

    /// What happened while loading that the caller did not ask for.
    pub fn notices(&self) -> &[Notice] {
        &self.inner.notices
    }

    /// A sentence about the device in use.
    pub fn device(&self) -> String {
        self.inner.compute.describe()
    }

    /// The device's name: `cpu`, `gpu` or `reference`.
    pub fn device_name(&self) -> &'static str {
        self.inner.compute.name()
    }

    /// Positions a session may use.
    pub fn context(&self) -> usize {
        self.inner.decoder.context
    }

    /// Bytes of weights that one generated token reads.
    pub fn bytes_per_token(&self) -> u64 {
        self.inner.decoder.bytes_per_token()
    }

    /// The model's tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.inner.tokenizer
    }

    /// What output formats are compiled with; built at the first call.
    ///
    /// # Errors
    /// [`PocketError::UnsupportedModel`] for a vocabulary that is too large for it.
    pub fn grammars(&self) -> Result<&Grammars> {
        let shared = &self.inner.grammars;
        match shared.get() {
            Some(grammars) => Ok(grammars),
            None => {
                // Two sessions may both build it; one of the two is kept.
                let built = Grammars::new(self.tokenizer())?;
                Ok(shared.get_or_init(|| built))
            }
        }
    }

    /// A new conversation.
    ///
    /// # Errors
    /// [`PocketError::InsufficientMemory`] when a GPU cannot hold its cache.
    pub fn session(&self, options: SessionOptions) -> Result<ModelSession> {
        ModelSession::new(self.clone(), options)
    }

    /// An empty cache, for use with [`LocalModel::evaluate`].
    ///
    /// # Errors
    /// [`PocketError::InsufficientMemory`] when a GPU cannot hold it.
    pub fn new_cache(&self) -> Result<KvCache> {
        self.inner.decoder.new_cache(&self.inner.compute)
    }

    /// The primitive beneath sessions: runs `ids` after what `cache` holds and returns the logits
    /// of the last `outputs` of them, row-major `[outputs, vocab]`.
    ///
    /// # Errors
    /// [`PocketError::ContextExceeded`], [`PocketError::InvalidArgument`] for an id outside the
    /// vocabulary, [`PocketError::DeviceLost`].
    pub fn evaluate(&self, ids: &[u32], cache: &mut KvCache, outputs: usize) -> Result<Vec<f32>> {
        let inner = &self.inner;
        match inner.decoder.forward(&inner.compute, ids, cache, outputs)? {
            Some(logits) => inner.compute.read(logits),
            None => Ok(Vec::new()),
        }
    }
}

impl fmt::Debug for LocalModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalModel")
            .field("info", &self.inner.info)
            .field("device", &self.device())
            .finish()
    }
}

/// The context to run with: what the caller asks for, within what the file allows.
fn context(info: &ModelInfo, wanted: Option<usize>) -> Result<usize> {
    let trained = info.context.unwrap_or(DEFAULT_CONTEXT);
    match wanted {
        None => Ok(trained.min(DEFAULT_CONTEXT)),
        Some(wanted) if wanted == 0 || wanted > trained => Err(PocketError::invalid(
            "context",
            format!("{wanted} is not in 1..={trained}, what the model was made for"),
        )),
        Some(wanted) => Ok(wanted),
    }
}

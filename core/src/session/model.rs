//! A loaded model: weights, tokenizer, template and device, shared by its sessions.

use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use crate::cache::KvCache;
use crate::chat::ChatTemplate;
use crate::constrain::Grammars;
use crate::error::{PocketError, Result};
use crate::kernels::Compute;
use crate::model::{Decoder, Pass};
use crate::tokenizer::Tokenizer;

use super::conversation::{ModelSession, SessionOptions};
use super::event::Notice;
use super::info::ModelInfo;
use super::lifecycle::Lifecycle;
use super::persist::Identity;
use super::prefix_store::PrefixStore;
use super::stream::Canceller;

/// Prompt tokens computed together; few in tests, so that the prompts of nano models have many
/// pieces. The canceller is looked at before each layer of a piece.
pub(super) const PREFILL_CHUNK: usize = if cfg!(test) { 16 } else { 128 };

/// A loaded model. Cloning shares it.
#[derive(Clone)]
pub struct LocalModel {
    pub(super) inner: Arc<Inner>,
}

/// What the handles of a model share.
pub(super) struct Inner {
    pub tokenizer: Tokenizer,
    pub template: Option<ChatTemplate>,
    /// Built when a format is asked for first: it takes as long as the rest of loading.
    grammars: OnceLock<Grammars>,
    pub lifecycle: Arc<Lifecycle>,
    pub prefixes: PrefixStore,
    /// Logits of a position.
    pub vocab: usize,
    /// Gone once the model is closed.
    runtime: RwLock<Option<Arc<Runtime>>>,
    info: ModelInfo,
    notices: Vec<Notice>,
    device: String,
    device_name: &'static str,
    context: usize,
    bytes_per_token: u64,
}

/// What takes memory, threads or a device, and is freed when the model is closed.
pub(super) struct Runtime {
    pub decoder: Decoder,
    pub compute: Compute,
    pub identity: Identity,
}

impl Inner {
    /// A model whose sessions share beginnings of prompts in at most `shared_bytes`.
    pub fn new(
        runtime: Runtime,
        tokenizer: Tokenizer,
        template: Option<ChatTemplate>,
        info: ModelInfo,
        notices: Vec<Notice>,
        shared_bytes: u64,
    ) -> Self {
        Self {
            tokenizer,
            template,
            grammars: OnceLock::new(),
            lifecycle: Arc::default(),
            prefixes: PrefixStore::new(shared_bytes),
            vocab: runtime.decoder.vocab(),
            info,
            notices,
            device: runtime.compute.describe(),
            device_name: runtime.compute.name(),
            context: runtime.decoder.context,
            bytes_per_token: runtime.decoder.bytes_per_token(),
            runtime: RwLock::new(Some(Arc::new(runtime))),
        }
    }
}

impl LocalModel {
    pub(super) fn new(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Weights and device, kept alive for as long as the caller holds them.
    ///
    /// # Errors
    /// [`PocketError::Closed`].
    pub(super) fn runtime(&self) -> Result<Arc<Runtime>> {
        let runtime = self.inner.runtime.read();
        let runtime = runtime.unwrap_or_else(PoisonError::into_inner);
        runtime.clone().ok_or(PocketError::Closed)
    }

    /// Frees weights and device.
    pub(super) fn free(&self) {
        let runtime = self.inner.runtime.write();
        let runtime = runtime.unwrap_or_else(PoisonError::into_inner).take();
        // Threads are joined with no lock held.
        drop(runtime);
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
        self.inner.device.clone()
    }

    /// The device's name: `cpu`, `gpu` or `reference`.
    pub fn device_name(&self) -> &'static str {
        self.inner.device_name
    }

    /// Positions a session may use.
    pub fn context(&self) -> usize {
        self.inner.context
    }

    /// Bytes of weights that one generated token reads.
    pub fn bytes_per_token(&self) -> u64 {
        self.inner.bytes_per_token
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
    /// [`PocketError::InsufficientMemory`] when a GPU cannot hold its cache,
    /// [`PocketError::Closed`].
    pub fn session(&self, options: SessionOptions) -> Result<ModelSession> {
        ModelSession::new(self.clone(), options)
    }

    /// An empty cache, for use with [`LocalModel::evaluate`].
    ///
    /// # Errors
    /// [`PocketError::InsufficientMemory`] when a GPU cannot hold it, [`PocketError::Closed`].
    pub fn new_cache(&self) -> Result<KvCache> {
        let runtime = self.runtime()?;
        runtime.decoder.new_cache(&runtime.compute)
    }

    /// The primitive beneath sessions: runs `ids` after what `cache` holds and returns the logits
    /// of the last `outputs` of them, row-major `[outputs, vocab]`.
    ///
    /// # Errors
    /// [`PocketError::ContextExceeded`], [`PocketError::InvalidArgument`] for an id outside the
    /// vocabulary, [`PocketError::DeviceLost`], [`PocketError::Closed`].
    pub fn evaluate(&self, ids: &[u32], cache: &mut KvCache, outputs: usize) -> Result<Vec<f32>> {
        let logits = self.evaluate_until(ids, cache, outputs, &Canceller::default())?;
        Ok(logits.unwrap_or_default())
    }

    /// Runs `ids` in pieces of [`PREFILL_CHUNK`]; the logits of the last of them, or `None` when
    /// `canceller` stopped it before the end.
    ///
    /// # Errors
    /// As [`LocalModel::evaluate`].
    pub(super) fn prefill(
        &self,
        ids: &[u32],
        cache: &mut KvCache,
        canceller: &Canceller,
    ) -> Result<Option<Vec<f32>>> {
        let mut logits = Vec::new();
        let pieces = ids.len().div_ceil(PREFILL_CHUNK);
        for (i, piece) in ids.chunks(PREFILL_CHUNK).enumerate() {
            let outputs = usize::from(i + 1 == pieces);
            match self.evaluate_until(piece, cache, outputs, canceller)? {
                Some(all) => logits = all,
                None => return Ok(None),
            }
        }
        Ok(Some(logits))
    }

    /// [`LocalModel::evaluate`], or `None` when `canceller` stopped it between two layers.
    ///
    /// # Errors
    /// As [`LocalModel::evaluate`].
    fn evaluate_until(
        &self,
        ids: &[u32],
        cache: &mut KvCache,
        outputs: usize,
        canceller: &Canceller,
    ) -> Result<Option<Vec<f32>>> {
        let runtime = self.runtime()?;
        let (decoder, compute) = (&runtime.decoder, &runtime.compute);
        let go_on = || !canceller.is_cancelled();
        match decoder.forward_while(compute, ids, cache, outputs, &go_on)? {
            Pass::Logits(logits) => compute.read(*logits).map(Some),
            Pass::Cached => Ok(Some(Vec::new())),
            Pass::Stopped => Ok(None),
        }
    }
}

impl fmt::Debug for LocalModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalModel")
            .field("info", &self.inner.info)
            .field("device", &self.inner.device)
            .finish()
    }
}

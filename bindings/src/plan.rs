//! What a model will need, before it is loaded.

use crate::error::PocketError;
use crate::options::{KvType, LoadOptions};
use crate::worker;

/// What a model needs. All sizes are bytes.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct Plan {
    /// Whether weights and caches go to a GPU.
    pub gpu: bool,
    /// How keys and values would be kept.
    pub kv_type: KvType,
    /// Positions of a session.
    pub context: u64,
    /// CPU threads.
    pub threads: u64,
    /// Weights that stay in the mapped file: pages the system may drop and read again.
    pub weights_mapped: u64,
    /// Weights in private memory: norms and biases; on a GPU all of them, in its memory.
    pub weights_private: u64,
    /// Vocabulary and merges.
    pub tokenizer: u64,
    /// The cache of one session with a full context.
    pub kv: u64,
    /// What the model keeps at most for instructions that sessions share.
    pub shared_prefixes: u64,
    /// What the model works on while it runs, and the small rest.
    pub scratch: u64,
    /// What can be had now; none where the system does not tell.
    pub available: Option<u64>,
    /// How well it fits.
    pub fit: Fit,
    /// Another way to run the model that fits better, when this does not fit and there is one.
    pub suggestion: Option<Suggestion>,
}

/// How well a model fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Fit {
    /// Everything fits in memory, the weights too.
    InMemory,
    /// It runs, but some weights are read from storage again for each token, which is slow.
    FromStorage,
    /// It does not fit: loading is refused.
    No,
    /// This system does not tell how much memory there is.
    Unknown,
}

/// Another way to run a model, that fits better.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Suggestion {
    /// Positions of a session.
    pub context: u64,
    /// How keys and values are kept.
    pub kv_type: KvType,
    /// How well that fits.
    pub fit: Fit,
}

/// What the GGUF file at `path` will need, from its header alone: nothing is loaded.
///
/// # Errors
/// Those of a load that the header shows; too little memory is no error here.
#[uniffi::export]
pub async fn plan_model(path: String, options: LoadOptions) -> Result<Plan, PocketError> {
    worker::run("pocketlm-plan", move || {
        Ok(pocketlm::LocalModel::plan(path, &options.into())?.into())
    })
    .await
}

impl From<pocketlm::Plan> for Plan {
    fn from(plan: pocketlm::Plan) -> Self {
        Self {
            gpu: plan.setting.gpu,
            kv_type: plan.setting.kv.into(),
            context: plan.setting.context as u64,
            threads: plan.setting.threads as u64,
            weights_mapped: plan.weights_mapped,
            weights_private: plan.weights_private,
            tokenizer: plan.tokenizer,
            kv: plan.kv,
            shared_prefixes: plan.shared_prefixes,
            scratch: plan.scratch,
            available: plan.available,
            fit: plan.fit.into(),
            suggestion: plan.suggestion.map(|other| Suggestion {
                context: other.context as u64,
                kv_type: other.kv.into(),
                fit: other.fit.into(),
            }),
        }
    }
}

impl From<pocketlm::plan::Fit> for Fit {
    fn from(fit: pocketlm::plan::Fit) -> Self {
        use pocketlm::plan::Fit as Core;
        match fit {
            Core::InMemory => Self::InMemory,
            Core::FromStorage => Self::FromStorage,
            Core::No => Self::No,
            // The core's enum may grow.
            _ => Self::Unknown,
        }
    }
}

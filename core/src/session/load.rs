//! From a file to a model that is ready to run: planned, watched, and stopped when it is not
//! wanted any more.

use std::cell::Cell;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::chat::ChatTemplate;
use crate::error::{PocketError, Result};
use crate::gguf::Gguf;
use crate::kernels::{KvType, cpu};
use crate::model::{self, Reading};
use crate::plan::{self, Plan, Setting};
use crate::tokenizer::Tokenizer;

use super::device::{self, DeviceChoice};
use super::event::Notice;
use super::info::ModelInfo;
use super::model::{Inner, LocalModel, PREFILL_CHUNK, Runtime};
use super::persist::Identity;
use super::stream::Canceller;

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

/// A watcher of a load.
type Progress = Arc<dyn Fn(f64) + Send + Sync>;

/// Watches a load and can stop it.
#[derive(Clone, Default)]
pub struct LoadControl {
    /// Called on the loading thread with the part that is done, from 0 to 1, never falling.
    pub progress: Option<Progress>,
    /// Stops the load within one tensor.
    pub cancel: Canceller,
}

impl fmt::Debug for LoadControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadControl")
            .field("progress", &self.progress.is_some())
            .field("cancel", &self.cancel)
            .finish()
    }
}

impl LoadControl {
    /// Tells how far the load is; whether it is to go on.
    fn report(&self, part: f64) -> bool {
        if let Some(progress) = &self.progress {
            progress(part.clamp(0.0, 1.0));
        }
        !self.cancel.is_cancelled()
    }
}

impl LocalModel {
    /// What the GGUF file at `path` will need, from its header alone: nothing is loaded.
    ///
    /// With [`DeviceChoice::Auto`] the figures are the CPU's: which GPU there is, is found out by
    /// loading.
    ///
    /// # Errors
    /// Those of [`LocalModel::load`] that the header shows; too little memory is no error here.
    pub fn plan(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Plan> {
        let gguf = Gguf::open(path.as_ref())?;
        let info = ModelInfo::from_gguf(&gguf)?;
        let context = context(&info, options.context)?;
        let gpu = options.device == DeviceChoice::Gpu;
        Plan::from_gguf(&gguf, setting(options, gpu, context))
    }

    /// Maps the GGUF file at `path` and makes it ready to run. On the CPU this reads the header
    /// and the small tensors only: the weights stay in the file mapping.
    ///
    /// # Errors
    /// [`PocketError::ModelNotFound`], [`PocketError::CorruptModel`] and
    /// [`PocketError::UnsupportedModel`] naming what is wrong, [`PocketError::DeviceUnavailable`]
    /// when a GPU was asked for and there is none, [`PocketError::InvalidArgument`] for options,
    /// [`PocketError::InsufficientMemory`] when a session's cache and what the model works on
    /// cannot fit (see [`LocalModel::plan`]).
    pub fn load(path: impl AsRef<Path>, options: LoadOptions) -> Result<Self> {
        Self::from_gguf(&Gguf::open(path.as_ref())?, &options)
    }

    /// [`LocalModel::load`], watched: `None` when `control` cancelled it.
    ///
    /// # Errors
    /// As [`LocalModel::load`].
    pub fn load_with(
        path: impl AsRef<Path>,
        options: &LoadOptions,
        control: &LoadControl,
    ) -> Result<Option<Self>> {
        if !control.report(0.0) {
            return Ok(None);
        }
        match Self::read(&Gguf::open(path.as_ref())?, options, control) {
            Ok(model) => Ok((!control.cancel.is_cancelled()).then_some(model)),
            Err(_) if control.cancel.is_cancelled() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes an open file ready to run.
    ///
    /// # Errors
    /// As [`LocalModel::load`].
    pub fn from_gguf(gguf: &Gguf, options: &LoadOptions) -> Result<Self> {
        Self::read(gguf, options, &LoadControl::default())
    }

    fn read(gguf: &Gguf, options: &LoadOptions, control: &LoadControl) -> Result<Self> {
        let info = ModelInfo::from_gguf(gguf)?;
        let context = context(&info, options.context)?;
        let (compute, notice) = device::open(options)?;
        let gpu = compute.name() == "gpu";
        let setting = setting(options, gpu, context);

        // On the CPU weights stay where they are and the vocabulary takes the time.
        let weights_share = if gpu { 0.9 } else { 0.1 };
        let total: u64 = gguf.tensors().iter().map(|tensor| tensor.byte_len).sum();
        let placed = Cell::new(0u64);
        let go_on = |bytes: u64| {
            placed.set(placed.get() + bytes);
            control.report(weights_share * placed.get() as f64 / total.max(1) as f64)
        };
        let decoder = model::read(gguf, &compute, Some(context), Reading::Whole(&go_on))?;
        let tokenizer_bytes = plan::tokenizer_bytes(gguf.metadata())?;
        if !gpu {
            Plan::of(&decoder, tokenizer_bytes, setting, plan::available()).check()?;
        }
        let shared_bytes = plan::shared_bytes(&decoder, setting);

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
        if !control.report(0.95) {
            return Err(PocketError::Closed);
        }
        let template = ChatTemplate::from_gguf(gguf, &tokenizer)?;
        let identity = Identity::new(gguf, template.as_ref())?;
        control.report(1.0);
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
        let runtime = Runtime {
            decoder,
            compute,
            identity,
        };
        Ok(Self::new(Inner::new(
            runtime,
            tokenizer,
            template,
            info,
            notices,
            shared_bytes,
        )))
    }
}

/// How the options say the model is run.
fn setting(options: &LoadOptions, gpu: bool, context: usize) -> Setting {
    let kv = match options.device {
        DeviceChoice::Reference => KvType::F32,
        _ if gpu => KvType::F16,
        _ => options.kv,
    };
    Setting {
        gpu,
        kv,
        context,
        chunk: PREFILL_CHUNK,
        threads: options.threads.unwrap_or_else(cpu::Engine::default_threads),
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

//! A loaded model.

use std::sync::Arc;

use crate::answers::Answers;
use crate::error::PocketError;
use crate::info::{ModelInfo, Notice};
use crate::load::{CancelOnDrop, LoadTask};
use crate::options::{LoadOptions, SessionOptions};
use crate::session::{self, ModelSession};
use crate::tools::ToolDesk;
use crate::worker;

/// A model's weights: expensive to load, shared by all its sessions.
#[derive(uniffi::Object)]
pub struct LocalModel {
    pub(crate) model: pocketlm::LocalModel,
    answers: Arc<Answers>,
}

#[uniffi::export]
impl LocalModel {
    /// Loads a GGUF file. Dropping the future cancels the load, as does `task`.
    ///
    /// # Errors
    /// `ModelNotFound`, `UnsupportedModel`, `CorruptModel`, `InsufficientMemory`,
    /// `DeviceUnavailable`, `InvalidArgument` for the options, `Cancelled`.
    #[uniffi::constructor(default(task = None))]
    pub async fn load(
        path: String,
        options: LoadOptions,
        task: Option<Arc<LoadTask>>,
    ) -> Result<Arc<Self>, PocketError> {
        let task = task.unwrap_or_default();
        let _cancel = CancelOnDrop(task.clone());
        worker::run("pocketlm-load", move || {
            let control = task.control();
            let model = pocketlm::LocalModel::load_with(path, &options.into(), &control)?;
            Ok(Arc::new(Self {
                model: model.ok_or(PocketError::Cancelled)?,
                answers: Arc::default(),
            }))
        })
        .await
    }

    /// Facts about the file.
    pub fn info(&self) -> ModelInfo {
        self.model.info().into()
    }

    /// A sentence about the device in use.
    pub fn device(&self) -> String {
        self.model.device()
    }

    /// The device's name: `cpu`, `gpu` or `reference`.
    pub fn device_name(&self) -> String {
        self.model.device_name().to_owned()
    }

    /// Positions a session may use.
    pub fn context(&self) -> u64 {
        self.model.context() as u64
    }

    /// What happened while loading that the app did not ask for.
    pub fn notices(&self) -> Vec<Notice> {
        self.model
            .notices()
            .iter()
            .cloned()
            .map(Into::into)
            .collect()
    }

    /// Starts a conversation.
    ///
    /// # Errors
    /// `InsufficientMemory` when its cache does not fit, `Closed`.
    pub fn session(&self, options: SessionOptions) -> Result<Arc<ModelSession>, PocketError> {
        self.answers.open()?;
        let desk = Arc::<ToolDesk>::default();
        let tools = desk.tools(&options.tools)?;
        let session = self.model.session(options.native(tools))?;
        Ok(ModelSession::new(session, self.answers.clone(), desk))
    }

    /// The conversation that `ModelSession.save` wrote to `path`, with what a file cannot hold given
    /// by `options`. Instructions in them take the place of the saved ones.
    ///
    /// # Errors
    /// `SessionFile` saying what is wrong with the file or the key, `InvalidArgument`, `Closed`.
    pub async fn restore(
        &self,
        path: String,
        key: Option<Vec<u8>>,
        options: SessionOptions,
    ) -> Result<Arc<ModelSession>, PocketError> {
        self.answers.open()?;
        let key = key.map(session::key).transpose()?;
        let desk = Arc::<ToolDesk>::default();
        let options = {
            let tools = desk.tools(&options.tools)?;
            options.native(tools)
        };
        let (model, answers) = (self.model.clone(), self.answers.clone());
        worker::run("pocketlm-restore", move || {
            let session = model.restore(path, key.as_ref(), options)?;
            Ok(ModelSession::new(session, answers, desk))
        })
        .await
    }

    /// Does now what the first answer would wait for: reads the weights into memory where they fit,
    /// and on a GPU compiles the kernels. Dropping the future does not stop it; closing does.
    ///
    /// # Errors
    /// `Closed`, `DeviceLost`.
    pub async fn prewarm(&self) -> Result<(), PocketError> {
        self.answers.open()?;
        let model = self.model.clone();
        worker::run("pocketlm-prewarm", move || Ok(model.prewarm()?)).await
    }

    /// Closes the model for good: answers in progress are stopped, weights and the memory of all
    /// sessions are freed, and what is called afterwards, here or on a session of this model, fails
    /// with `Closed`. Does not wait; [`LocalModel::join`] does.
    pub fn shut_down(&self) {
        self.answers.close();
        // Without a thread the memory is freed with the last object that holds it.
        let _ = worker::start("pocketlm-close", self.closing(), |_| {});
    }

    /// Waits until every answer in progress has ended, without stopping any; and after
    /// [`LocalModel::shut_down`], until the memory is free.
    pub async fn join(&self) {
        self.answers.join().await;
        if self.answers.open().is_err() {
            // As above.
            let _ = worker::run("pocketlm-close", self.closing()).await;
        }
    }

    /// Whether [`LocalModel::shut_down`] was called.
    pub fn is_shut_down(&self) -> bool {
        self.answers.open().is_err()
    }
}

impl LocalModel {
    /// What frees the model, on a thread of its own.
    fn closing(&self) -> impl FnOnce() -> Result<(), PocketError> + Send + use<> {
        let model = self.model.clone();
        move || {
            model.close();
            Ok(())
        }
    }
}

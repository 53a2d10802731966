//! A loaded model.

use std::path::Path;
use std::sync::Arc;

use crate::answers::Answers;
use crate::error::PocketError;
use crate::info::{ModelInfo, Notice};
use crate::load::{CancelOnDrop, LoadTask};
use crate::options::{LoadOptions, SessionOptions};
use crate::session::ModelSession;
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
            task.reached(0.0)?;
            let model = pocketlm::LocalModel::load(Path::new(&path), options.into())?;
            task.reached(1.0)?;
            Ok(Arc::new(Self {
                model,
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
        let session = self.model.session(options.into())?;
        Ok(ModelSession::new(session, self.answers.clone()))
    }

    /// Closes the model for good: answers in progress are stopped, and what is called afterwards,
    /// here or on a session of this model, fails with `Closed`.
    pub fn shut_down(&self) {
        self.answers.close();
    }

    /// Waits until every answer in progress has ended, without stopping any.
    pub async fn join(&self) {
        self.answers.join().await;
    }

    /// Whether [`LocalModel::shut_down`] was called.
    pub fn is_shut_down(&self) -> bool {
        self.answers.open().is_err()
    }
}

//! The two objects of the API: a loaded model, and a conversation with it.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pocketlm::{Canceller, Event, GenerateOptions, LoadOptions, ResponseStream, SessionOptions};

use crate::answer::Response;
use crate::error::PocketError;
use crate::worker;

/// A model's weights: expensive to load, shared by all its sessions.
#[derive(uniffi::Object)]
pub struct LocalModel {
    model: pocketlm::LocalModel,
}

#[uniffi::export]
impl LocalModel {
    /// Loads a GGUF file.
    ///
    /// # Errors
    /// `ModelNotFound`, `UnsupportedModel`, `CorruptModel`, `InsufficientMemory`.
    #[uniffi::constructor]
    pub async fn load(path: String) -> Result<Arc<Self>, PocketError> {
        worker::run("pocketlm-load", move || {
            let model = pocketlm::LocalModel::load(Path::new(&path), LoadOptions::default())?;
            Ok(Arc::new(Self { model }))
        })
        .await
    }

    /// Starts a conversation, with instructions for the model if there are any.
    ///
    /// # Errors
    /// `InsufficientMemory` when its cache does not fit.
    #[uniffi::method(default(instructions = None))]
    pub fn session(&self, instructions: Option<String>) -> Result<Arc<ModelSession>, PocketError> {
        let options = instructions
            .map(SessionOptions::instructions)
            .unwrap_or_default();
        let session = self.model.session(options)?;
        Ok(Arc::new(ModelSession(Arc::new(Turns {
            session,
            progress: Mutex::new(Progress::Idle),
        }))))
    }
}

/// A conversation: what was said, and the model's memory of it.
#[derive(uniffi::Object)]
pub struct ModelSession(Arc<Turns>);

#[uniffi::export]
impl ModelSession {
    /// Answers a message. Dropping the future cancels the answer, and the turn is forgotten.
    ///
    /// # Errors
    /// `Busy` while another answer is in progress; else what generation reports.
    pub async fn respond(&self, prompt: String) -> Result<Response, PocketError> {
        let turn = Turn::begin(&self.0)?;
        let cancel = CancelOnDrop(&self.0);
        let response = worker::run("pocketlm-respond", move || turn.respond(&prompt)).await;
        // The turn is over: what a cancellation would meet now is the next one.
        std::mem::forget(cancel);
        response
    }

    /// Stops the answer in progress, if there is one: it ends with `FinishReason::Cancelled`.
    pub fn cancel(&self) {
        self.0.cancel();
    }
}

/// What a session's owner and the worker of its answer share.
struct Turns {
    session: pocketlm::ModelSession,
    progress: Mutex<Progress>,
}

/// How far the answer in progress is.
enum Progress {
    /// There is none.
    Idle,
    /// Its worker has not reached the model yet.
    Starting,
    /// The same, and the app does not want it any more.
    Unwanted,
    /// The model generates.
    Running(Canceller),
}

impl Turns {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cancel(&self) {
        let mut progress = self.progress();
        match &*progress {
            Progress::Starting => *progress = Progress::Unwanted,
            Progress::Running(answer) => answer.cancel(),
            Progress::Idle | Progress::Unwanted => {}
        }
    }
}

/// The right to generate; there is one for each session at a time.
struct Turn(Arc<Turns>);

impl Turn {
    fn begin(turns: &Arc<Turns>) -> Result<Self, PocketError> {
        let mut progress = turns.progress();
        if !matches!(*progress, Progress::Idle) {
            return Err(PocketError::Busy);
        }
        *progress = Progress::Starting;
        Ok(Self(turns.clone()))
    }

    fn respond(self, prompt: &str) -> Result<Response, PocketError> {
        let stream = self.0.session.stream(prompt, &GenerateOptions::default())?;
        self.running(stream.canceller());
        collect(stream)
    }

    fn running(&self, answer: Canceller) {
        let mut progress = self.0.progress();
        if matches!(*progress, Progress::Unwanted) {
            answer.cancel();
        }
        *progress = Progress::Running(answer);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *self.0.progress() = Progress::Idle;
    }
}

/// Cancels the answer when the future that waits for it is dropped.
struct CancelOnDrop<'a>(&'a Turns);

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// The whole answer of a stream.
fn collect(stream: ResponseStream) -> Result<Response, PocketError> {
    let (mut text, mut reasoning) = (String::new(), String::new());
    for event in stream {
        match event? {
            Event::Text(delta) => text.push_str(&delta),
            Event::Reasoning(delta) => reasoning.push_str(&delta),
            Event::Done { finish, usage } => {
                return Ok(Response {
                    text,
                    reasoning,
                    finish: finish.into(),
                    usage: usage.into(),
                });
            }
            _ => {}
        }
    }
    Err(PocketError::Internal {
        reason: "the answer ended without its last event".into(),
    })
}

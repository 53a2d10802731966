//! A conversation with a model: its transcript, its cache, its turns.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use crate::cache::KvCache;
use crate::chat::Message;
use crate::error::{PocketError, Result};

use super::event::{Event, FinishReason, Usage};
use super::model::LocalModel;
use super::options::GenerateOptions;
use super::prompt::Prompt;
use super::speculation::Speculator;
use super::stream::{Canceller, ResponseStream};
use super::turn::Turn;

/// How a conversation begins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionOptions {
    /// The system message.
    pub instructions: Option<String>,
}

impl SessionOptions {
    /// Options with a system message.
    pub fn instructions(text: impl Into<String>) -> Self {
        Self {
            instructions: Some(text.into()),
        }
    }
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The answer.
    pub text: String,
    /// The model's thinking, where it shows any.
    pub reasoning: String,
    /// Why it ended.
    pub finish: FinishReason,
    /// What it took.
    pub usage: Usage,
}

/// A conversation. Turns are transactional: one that fails or is cancelled leaves the transcript
/// at the last committed turn, and the next answer is the same as if it had never been.
///
/// One generation runs at a time; a second call meanwhile gets [`PocketError::Busy`].
pub struct ModelSession {
    model: LocalModel,
    state: Arc<Mutex<State>>,
}

struct State {
    transcript: Vec<Message>,
    cache: KvCache,
    /// Of the last turn, for the next one that wants the same.
    speculator: Option<Speculator>,
}

impl ModelSession {
    pub(super) fn new(model: LocalModel, options: SessionOptions) -> Result<Self> {
        let state = State {
            transcript: options
                .instructions
                .map(Message::system)
                .into_iter()
                .collect(),
            cache: model.new_cache()?,
            speculator: None,
        };
        Ok(Self {
            model,
            state: Arc::new(Mutex::new(state)),
        })
    }

    /// The model this session talks to.
    pub fn model(&self) -> &LocalModel {
        &self.model
    }

    /// The committed messages, the system message first.
    ///
    /// # Errors
    /// [`PocketError::Busy`] during a generation.
    pub fn transcript(&self) -> Result<Vec<Message>> {
        Ok(lock(&self.state)?.transcript.clone())
    }

    /// Answers `prompt` and commits both to the transcript.
    ///
    /// # Errors
    /// As [`ModelSession::stream`], and what went wrong during the generation.
    pub fn respond(&self, prompt: &str, options: &GenerateOptions) -> Result<Response> {
        let mut response = Response {
            text: String::new(),
            reasoning: String::new(),
            finish: FinishReason::Cancelled,
            usage: Usage::default(),
        };
        for event in self.stream(prompt, options)? {
            match event? {
                Event::Text(text) => response.text.push_str(&text),
                Event::Reasoning(text) => response.reasoning.push_str(&text),
                Event::Done { finish, usage } => {
                    (response.finish, response.usage) = (finish, usage)
                }
                Event::Notice(_) => {}
            }
        }
        Ok(response)
    }

    /// Answers `prompt` on a worker thread; the caller pulls the events.
    ///
    /// # Errors
    /// [`PocketError::Busy`] during another generation, [`PocketError::InvalidArgument`] for the
    /// options. Errors of the generation itself come as the stream's last item.
    pub fn stream(&self, prompt: &str, options: &GenerateOptions) -> Result<ResponseStream> {
        options.validate()?;
        drop(lock(&self.state)?);
        let (model, state) = (self.model.clone(), Arc::clone(&self.state));
        let (message, options) = (Message::user(prompt), options.clone());
        ResponseStream::start(move |canceller, events| {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let mut state = lock(&state)?;
                state.turn(&model, message, &options, canceller, events)
            }));
            let error = match outcome {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error,
                Err(panic) => {
                    // What the panic left half done is not to be trusted.
                    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                    state.cache.truncate(0);
                    state.speculator = None;
                    drop(state);
                    PocketError::Internal {
                        reason: panic_text(panic.as_ref()),
                    }
                }
            };
            // A caller who no longer listens needs no error.
            let _ = events.send(Err(error));
        })
    }
}

impl State {
    /// One turn, committed only when it ends by itself.
    fn turn(
        &mut self,
        model: &LocalModel,
        message: Message,
        options: &GenerateOptions,
        canceller: &Canceller,
        events: &Sender<Result<Event>>,
    ) -> Result<()> {
        let mut messages = self.transcript.clone();
        messages.push(message);
        let prompt = Prompt::render(model, &messages)?;
        let speculator = match &mut self.speculator {
            Some(speculator) if speculator.is(&options.speculation) => speculator,
            other => other.insert(Speculator::new(&options.speculation, model)?),
        };
        let turn = Turn {
            model,
            options,
            canceller,
        };
        let outcome = turn.run(&mut self.cache, &prompt, speculator, &mut |event| {
            if events.send(Ok(event)).is_err() {
                canceller.cancel();
            }
        })?;
        if outcome.finish != FinishReason::Cancelled {
            let mut answer = Message::assistant(outcome.text.clone());
            if !outcome.reasoning.is_empty() {
                answer.reasoning = Some(outcome.reasoning.clone());
            }
            messages.push(answer);
            self.transcript = messages;
        }
        // A caller who no longer listens misses nothing that is not in the transcript.
        let _ = events.send(Ok(outcome.done()));
        Ok(())
    }
}

/// The state of a session that is not generating.
fn lock(state: &Mutex<State>) -> Result<MutexGuard<'_, State>> {
    match state.try_lock() {
        Ok(guard) => Ok(guard),
        // The panic that poisoned it also emptied the cache (see `stream`).
        Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => Err(PocketError::Busy),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".into())
}

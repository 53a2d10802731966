//! A conversation with a model: its transcript, its cache, its turns.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError, Weak};

use crate::cache::{KvCache, common_prefix};
use crate::chat::Message;
use crate::error::{PocketError, Result};
use crate::tokenizer::Special;

use super::completion::Completer;
use super::context_policy::{self, ContextPolicy};
use super::event::{Event, FinishReason, Notice, Usage};
use super::lifecycle::Release;
use super::model::LocalModel;
use super::options::GenerateOptions;
use super::prompt::Prompt;
use super::speculation::Speculator;
use super::stream::{Canceller, ResponseStream};
use super::tool_loop::Rounds;
use super::tools::{Tool, ToolSet};
use super::turn::Turn;
use super::turn_slot::TurnSlot;

/// Rounds of tool calls in a turn, unless the caller says otherwise.
const DEFAULT_TOOL_ROUNDS: usize = 8;

/// How a conversation begins.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// The system message.
    pub instructions: Option<String>,
    /// What the model may call.
    pub tools: Vec<Arc<dyn Tool>>,
    /// How often in a turn the model may call tools, 8 by default; then the turn ends with
    /// [`FinishReason::ToolLimit`].
    pub max_tool_rounds: usize,
    /// What happens when the conversation outgrows the context window.
    pub overflow: ContextPolicy,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            instructions: None,
            tools: Vec::new(),
            max_tool_rounds: DEFAULT_TOOL_ROUNDS,
            overflow: ContextPolicy::default(),
        }
    }
}

impl SessionOptions {
    /// Options with a system message.
    pub fn instructions(text: impl Into<String>) -> Self {
        Self {
            instructions: Some(text.into()),
            ..Self::default()
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
    pub(super) model: LocalModel,
    pub(super) shared: Arc<Shared>,
    /// Made when it is first asked for.
    pub(super) completer: OnceLock<Completer>,
}

/// What a session and the worker of its turn share.
pub(super) struct Shared {
    state: Mutex<State>,
    pub slot: TurnSlot,
}

/// A conversation at its last committed turn.
pub(super) struct State {
    pub transcript: Vec<Message>,
    /// Turns that are no longer sent to the model.
    pub unsent_turns: usize,
    pub overflow: ContextPolicy,
    pub tools: ToolSet,
    /// Made when it is needed.
    pub cache: Option<KvCache>,
    /// Of the last turn, for the next one that wants the same.
    pub speculator: Option<Speculator>,
}

impl ModelSession {
    pub(super) fn new(model: LocalModel, options: SessionOptions) -> Result<Self> {
        let tools = ToolSet::new(options.tools, options.max_tool_rounds, &model)?;
        let state = State {
            tools,
            transcript: options
                .instructions
                .map(Message::system)
                .into_iter()
                .collect(),
            unsent_turns: 0,
            overflow: options.overflow,
            cache: Some(model.new_cache()?),
            speculator: None,
        };
        Self::with_state(model, state)
    }

    /// A session in this state.
    pub(super) fn with_state(model: LocalModel, state: State) -> Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            slot: TurnSlot::default(),
        });
        let weak = Arc::downgrade(&shared);
        let holder: Weak<dyn Release> = weak;
        model.inner.lifecycle.hold(holder)?;
        Ok(Self {
            model,
            shared,
            completer: OnceLock::new(),
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
        Ok(self.shared.idle()?.transcript.clone())
    }

    /// How many tokens the model reads `text` as, when a user says it.
    ///
    /// # Errors
    /// [`PocketError::InvalidArgument`] for a text longer than 1 GiB.
    pub fn token_count(&self, text: &str) -> Result<usize> {
        let tokenizer = self.model.tokenizer();
        Ok(tokenizer.encode(text, false, Special::Text)?.len())
    }

    /// How many tokens of the context window the conversation takes so far, template and all.
    ///
    /// # Errors
    /// [`PocketError::Busy`] during a generation, [`PocketError::TemplateFailed`].
    pub fn transcript_tokens(&self) -> Result<usize> {
        let (messages, tools) = {
            let state = self.shared.idle()?;
            let messages = context_policy::sent(&state.transcript, state.unsent_turns);
            (messages, state.tools.specs.clone())
        };
        if messages.is_empty() {
            return Ok(0);
        }
        let prompt = Prompt::render(&self.model, &messages, &tools, false)?;
        Ok(prompt.ids.len())
    }

    /// Answers `prompt` and commits both to the transcript.
    ///
    /// # Errors
    /// As [`ModelSession::stream`], and what went wrong during the generation.
    pub fn respond(&self, prompt: &str, options: &GenerateOptions) -> Result<Response> {
        self.stream(prompt, options)?.collect_response()
    }

    /// Answers `prompt` on a worker thread; the caller pulls the events.
    ///
    /// # Errors
    /// [`PocketError::Busy`] during another generation, [`PocketError::Closed`],
    /// [`PocketError::InvalidArgument`] for the options. Errors of the generation itself come as
    /// the stream's last item.
    pub fn stream(&self, prompt: &str, options: &GenerateOptions) -> Result<ResponseStream> {
        self.stream_until(prompt, options, Canceller::default())
    }

    /// [`ModelSession::stream`], until `canceller` says otherwise.
    pub(super) fn stream_until(
        &self,
        prompt: &str,
        options: &GenerateOptions,
        canceller: Canceller,
    ) -> Result<ResponseStream> {
        options.validate()?;
        let work = self.model.inner.lifecycle.begin(&canceller)?;
        let slot = TurnSlot::begin(&self.shared, |shared| &shared.slot, &canceller)?;
        let (model, message) = (self.model.clone(), Message::user(prompt));
        let options = options.clone();
        ResponseStream::start(
            canceller,
            work,
            slot,
            Shared::forget,
            move |shared, canceller, emit| {
                let mut state = shared.lock();
                state.turn(&model, message, &options, canceller, emit)
            },
        )
    }

    /// Stops the generation in progress, if there is one; its turn is undone. From any thread.
    pub fn cancel(&self) {
        self.shared.slot.cancel();
    }
}

impl Shared {
    /// The state of a session that is not generating.
    pub fn idle(&self) -> Result<MutexGuard<'_, State>> {
        match self.slot.is_taken() {
            true => Err(PocketError::Busy),
            false => self.try_lock().ok_or(PocketError::Busy),
        }
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, State>> {
        match self.state.try_lock() {
            Ok(guard) => Some(guard),
            // The panic that poisoned it also took the cache away (see `stream`).
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self) {
        self.lock().forget();
    }
}

impl Release for Shared {
    fn release(&self) {
        // A turn that closes its own model lets go of its cache when it ends.
        if let Some(mut state) = self.try_lock() {
            state.forget();
        }
    }
}

impl State {
    /// Lets go of everything that can be computed again.
    pub fn forget(&mut self) {
        self.cache = None;
        self.speculator = None;
    }

    /// One turn, committed only when it ends by itself; its closing event.
    fn turn(
        &mut self,
        model: &LocalModel,
        message: Message,
        options: &GenerateOptions,
        canceller: &Canceller,
        emit: &mut dyn FnMut(Event),
    ) -> Result<Event> {
        if !self.tools.is_empty() && options.format.is_some() {
            return Err(PocketError::invalid(
                "format",
                "a format leaves no room for tool calls: use a session without tools",
            ));
        }
        let mut messages = self.transcript.clone();
        messages.push(message);
        let tools = self.tools.clone();
        let (overflow, mut unsent) = (self.overflow, self.unsent_turns);
        // Every round of a turn may be the one that no longer fits.
        let mut fit = |messages: &[Message], emit: &mut dyn FnMut(Event)| {
            let (prompt, dropped) = context_policy::fit(
                overflow,
                messages,
                unsent,
                model.context(),
                options.max_tokens,
                |messages| {
                    let prompt = Prompt::render(model, messages, &tools.specs, true)?;
                    let tokens = prompt.ids.len();
                    Ok((prompt, tokens))
                },
            )?;
            if dropped > unsent {
                let turns = dropped - unsent;
                emit(Event::Notice(Notice::TurnsDropped { turns }));
                unsent = dropped;
            }
            Ok(prompt)
        };
        let prompt = fit(&messages, emit)?;
        let shared = match self.cache.as_ref().is_none_or(KvCache::is_empty) {
            true => self.share_instructions(model, &prompt)?,
            false => 0,
        };
        let cache = match &mut self.cache {
            Some(cache) => cache,
            none => none.insert(model.new_cache()?),
        };
        let speculator = Speculator::reuse(&mut self.speculator, &options.speculation, model)?;
        let turn = Turn {
            model,
            tools: &tools,
            options,
            canceller,
        };
        let mut rounds = Rounds::new(messages);
        rounds.run(&turn, prompt, &mut fit, cache, speculator, emit)?;
        if shared > 0 {
            model.inner.prefixes.keep(cache, shared);
        }
        if rounds.finish != FinishReason::Cancelled {
            self.transcript = rounds.messages;
            self.unsent_turns = unsent;
        }
        Ok(Event::Done {
            finish: rounds.finish,
            usage: rounds.usage,
        })
    }

    /// Before the first turn of a session: takes what the model already knows of its instructions.
    /// Returns how many tokens of the prompt are instructions, for other sessions to share.
    fn share_instructions(&mut self, model: &LocalModel, prompt: &Prompt) -> Result<usize> {
        let first = context_policy::turns(&self.transcript).first().copied();
        let mut other = self.transcript[..first.unwrap_or(self.transcript.len())].to_vec();
        if other.is_empty() {
            return Ok(0);
        }
        if let Some(cache) = model.inner.prefixes.find(&prompt.ids) {
            self.cache = Some(cache);
        }
        // Instructions are what two conversations with them have in common: that holds for
        // templates, too, that put them into the first message of the user.
        other.push(Message::user("\u{2013}"));
        let other = Prompt::render(model, &other, &self.tools.specs, true)?.ids;
        Ok(common_prefix(&other, &prompt.ids))
    }
}

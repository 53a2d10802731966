//! Sessions that outlive the process.

use std::path::Path;

use crate::cache::{KvCache, common_prefix};
use crate::chat::{Message, Role, ToolSpec};
use crate::error::Result;

use super::context_policy;
use super::conversation::{ModelSession, SessionOptions, State};
use super::model::LocalModel;
use super::persist::{self, Key, Snapshot};
use super::prompt::Prompt;
use super::tools::ToolSet;

impl ModelSession {
    /// Saves the conversation at its last committed turn, with its keys and values, to the file
    /// `path`; encrypted when there is a key (32 random bytes, kept in the platform's key store).
    ///
    /// The file is replaced in one step: whatever happens, it holds the new state or the old one.
    /// The format is described in `docs/session-format.md`.
    ///
    /// # Errors
    /// [`crate::PocketError::Busy`] during a generation, [`crate::PocketError::Closed`],
    /// [`crate::PocketError::SessionFile`] when the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>, key: Option<&Key>) -> Result<()> {
        self.check_open()?;
        let runtime = self.model.runtime()?;
        let (mut snapshot, tools) = {
            let state = self.shared.idle()?;
            let snapshot = Snapshot {
                transcript: state.transcript.clone(),
                unsent_turns: state.unsent_turns,
                // The session can go on while its pages are written.
                cache: state.cache.as_ref().and_then(|cache| cache.fork().ok()),
            };
            (snapshot, state.tools.specs.clone())
        };
        if let Some(cache) = &mut snapshot.cache {
            let messages = context_policy::sent(&snapshot.transcript, snapshot.unsent_turns);
            cache.truncate(self.accounted_for(&messages, &tools, cache));
        }
        persist::save(path.as_ref(), key, &runtime.identity, &snapshot)
    }

    /// How many tokens of the cache these messages account for. What lies beyond, of a turn that
    /// was cancelled or taken back, may be of use while the session lives, but is nothing to keep.
    fn accounted_for(&self, messages: &[Message], tools: &[ToolSpec], cache: &KvCache) -> usize {
        let Ok(prompt) = Prompt::render(&self.model, messages, tools, false) else {
            return 0; // some templates refuse a conversation in which no user has spoken
        };
        common_prefix(cache.tokens(), &prompt.ids)
    }
}

impl LocalModel {
    /// The conversation that [`ModelSession::save`] wrote to `path`: its next answer is the one it
    /// would have given then. Keys and values that do not suit this model's settings (another type,
    /// a GPU) are computed again.
    ///
    /// `options` gives what a file cannot hold. Instructions in it take the place of the saved
    /// ones; without any these stay.
    ///
    /// # Errors
    /// [`crate::PocketError::SessionFile`] saying what is wrong with the file or the key,
    /// [`crate::PocketError::Closed`].
    pub fn restore(
        &self,
        path: impl AsRef<Path>,
        key: Option<&Key>,
        options: SessionOptions,
    ) -> Result<ModelSession> {
        let runtime = self.runtime()?;
        let cache = self.new_cache()?;
        let vocab = self.inner.vocab;
        let saved = persist::restore(path.as_ref(), key, &runtime.identity, vocab, cache)?;
        let tools = ToolSet::new(options.tools, options.max_tool_rounds, self)?;
        let mut transcript = saved.transcript;
        if let Some(instructions) = options.instructions {
            transcript.retain(|message| message.role != Role::System);
            transcript.insert(0, Message::system(instructions));
        }
        let state = State {
            transcript,
            unsent_turns: saved.unsent_turns,
            overflow: options.overflow,
            tools,
            cache: saved.cache,
            speculator: None,
        };
        ModelSession::with_state(self.clone(), state)
    }
}

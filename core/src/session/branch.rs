//! Other ways on from where a conversation is: branches, steps back, and the end.

use crate::error::{PocketError, Result};

use super::context_policy;
use super::conversation::{ModelSession, State};

impl ModelSession {
    /// A conversation that goes on from the same point, independently. It shares the pages of keys
    /// and values until one of the two writes to them, so it costs next to nothing. On a GPU,
    /// whose caches cannot be shared, its first turn computes the prompt again.
    ///
    /// # Errors
    /// [`PocketError::Busy`] during a generation, [`PocketError::Closed`].
    pub fn fork(&self) -> Result<Self> {
        self.check_open()?;
        let state = self.shared.idle()?;
        let fork = State {
            transcript: state.transcript.clone(),
            unsent_turns: state.unsent_turns,
            overflow: state.overflow,
            tools: state.tools.clone(),
            // What cannot be forked is computed again when it is needed.
            cache: state.cache.as_ref().and_then(|cache| cache.fork().ok()),
            speculator: None,
        };
        drop(state);
        Self::with_state(self.model.clone(), fork)
    }

    /// Goes back to where the conversation had so many turns: later messages leave the
    /// transcript. A turn is a message of the user with everything that answers it.
    ///
    /// # Errors
    /// [`PocketError::Busy`] during a generation, [`PocketError::Closed`],
    /// [`PocketError::InvalidArgument`] when there are fewer turns.
    pub fn rewind(&self, turns_to_keep: usize) -> Result<()> {
        self.check_open()?;
        let mut state = self.shared.idle()?;
        let turns = context_policy::turns(&state.transcript);
        if turns_to_keep > turns.len() {
            let reason = format!("{turns_to_keep} turns of {}", turns.len());
            return Err(PocketError::invalid("turns_to_keep", reason));
        }
        if let Some(at) = turns.get(turns_to_keep) {
            state.transcript.truncate(*at);
            state.unsent_turns = state.unsent_turns.min(turns_to_keep);
        }
        Ok(())
    }

    /// Ends the conversation: a generation is cancelled and waited for, and the cache is freed.
    /// Later use is [`PocketError::Closed`]; the transcript can still be read. From any thread, any
    /// number of times. Dropping a session does the same, but waits for nothing.
    pub fn close(&self) {
        self.shared.slot.close();
        self.shared.slot.cancel_and_wait();
        if let Ok(mut state) = self.shared.idle() {
            state.forget();
        }
    }

    /// Refuses to go on after the end.
    ///
    /// # Errors
    /// [`PocketError::Closed`].
    pub(super) fn check_open(&self) -> Result<()> {
        match self.shared.slot.is_closed() || self.model.is_closed() {
            true => Err(PocketError::Closed),
            false => Ok(()),
        }
    }
}

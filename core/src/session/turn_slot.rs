//! The right to generate: one at a time for a session, and a way to stop whoever has it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use crate::error::{PocketError, Result};

use super::stream::Canceller;

/// Whether a generation is in progress, and how to stop it.
#[derive(Default)]
pub(super) struct TurnSlot {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    closed: bool,
    holder: Option<Holder>,
}

struct Holder {
    canceller: Canceller,
    thread: Option<ThreadId>,
}

impl TurnSlot {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the slot of `owner` for a generation that `canceller` stops, until what is returned
    /// is dropped.
    ///
    /// # Errors
    /// [`PocketError::Busy`] while another generation has it, [`PocketError::Closed`].
    pub fn begin<T>(
        owner: &Arc<T>,
        slot: fn(&T) -> &Self,
        canceller: &Canceller,
    ) -> Result<TurnGuard<T>> {
        let mut state = slot(owner).state();
        if state.closed {
            return Err(PocketError::Closed);
        }
        if state.holder.is_some() {
            return Err(PocketError::Busy);
        }
        state.holder = Some(Holder {
            canceller: canceller.clone(),
            thread: None,
        });
        drop(state);
        Ok(TurnGuard {
            owner: Arc::clone(owner),
            slot,
        })
    }

    /// Whether a generation has it.
    pub fn is_taken(&self) -> bool {
        self.state().holder.is_some()
    }

    /// Stops the generation that has it.
    pub fn cancel(&self) {
        if let Some(holder) = &self.state().holder {
            holder.canceller.cancel();
        }
    }

    /// Stops the generation that has it and waits for its end, unless the caller's thread is the
    /// one that generates.
    pub fn cancel_and_wait(&self) {
        self.cancel();
        let own = Some(thread::current().id());
        let mut state = self.state();
        while state.holder.as_ref().is_some_and(|h| h.thread != own) {
            state = self
                .ended
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets nobody have it any more.
    pub fn close(&self) {
        self.state().closed = true;
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.state().closed
    }
}

/// The slot is taken.
pub(super) struct TurnGuard<T> {
    owner: Arc<T>,
    slot: fn(&T) -> &TurnSlot,
}

impl<T> TurnGuard<T> {
    /// Whose slot it is.
    pub fn owner(&self) -> Arc<T> {
        Arc::clone(&self.owner)
    }

    /// Notes that the calling thread generates.
    pub fn on_this_thread(&self) {
        if let Some(holder) = &mut (self.slot)(&self.owner).state().holder {
            holder.thread = Some(thread::current().id());
        }
    }
}

impl<T> Drop for TurnGuard<T> {
    fn drop(&mut self) {
        let slot = (self.slot)(&self.owner);
        slot.state().holder = None;
        slot.ended.notify_all();
    }
}

//! The end of a model, and what has to end before it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, ThreadId};

use crate::error::{PocketError, Result};

use super::model::LocalModel;
use super::stream::Canceller;

/// Something that holds memory of a model and can give it back: a session's cache.
pub(super) trait Release: Send + Sync {
    /// Gives it back. Nothing of the model runs any more, except on the thread that closes it.
    fn release(&self);
}

/// What runs on a model, who holds its memory, and whether it still may.
#[derive(Default)]
pub(super) struct Lifecycle {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    closed: bool,
    next: u64,
    running: Vec<Running>,
    holders: Vec<Weak<dyn Release>>,
}

struct Running {
    id: u64,
    canceller: Canceller,
    thread: Option<ThreadId>,
}

impl Lifecycle {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins work that `canceller` stops; it ends when what is returned is dropped.
    ///
    /// # Errors
    /// [`PocketError::Closed`].
    pub fn begin(self: &Arc<Self>, canceller: &Canceller) -> Result<Work> {
        let mut state = self.state();
        if state.closed {
            return Err(PocketError::Closed);
        }
        let id = state.next;
        state.next += 1;
        state.running.push(Running {
            id,
            canceller: canceller.clone(),
            thread: None,
        });
        Ok(Work {
            lifecycle: Arc::clone(self),
            id,
        })
    }

    /// Notes who holds memory.
    ///
    /// # Errors
    /// [`PocketError::Closed`].
    pub fn hold(&self, holder: Weak<dyn Release>) -> Result<()> {
        let mut state = self.state();
        if state.closed {
            return Err(PocketError::Closed);
        }
        state.holders.retain(|holder| holder.strong_count() > 0);
        state.holders.push(holder);
        Ok(())
    }

    pub fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Lets nothing begin any more, stops what runs, waits until it has ended, and has all memory
    /// given back. Work of the calling thread itself is stopped but not waited for.
    fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        for running in &state.running {
            running.canceller.cancel();
        }
        let own = Some(thread::current().id());
        while state.running.iter().any(|running| running.thread != own) {
            state = self
                .ended
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let holders = std::mem::take(&mut state.holders);
        // Holders have locks of their own.
        drop(state);
        let holders = holders.iter().filter_map(Weak::upgrade);
        holders.for_each(|holder| holder.release());
    }
}

/// Work in progress on a model.
pub(super) struct Work {
    lifecycle: Arc<Lifecycle>,
    id: u64,
}

impl Work {
    /// Whether the model was closed meanwhile.
    pub fn is_closed(&self) -> bool {
        self.lifecycle.is_closed()
    }

    /// Notes that the work is done by the calling thread.
    pub fn on_this_thread(&self) {
        let mut state = self.lifecycle.state();
        if let Some(running) = state.running.iter_mut().find(|r| r.id == self.id) {
            running.thread = Some(thread::current().id());
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let mut state = self.lifecycle.state();
        state.running.retain(|running| running.id != self.id);
        self.lifecycle.ended.notify_all();
    }
}

impl LocalModel {
    /// Ends the model, for all who share it: generations are cancelled (their turns are undone) and
    /// waited for, then weights, threads, GPU buffers and the caches of all sessions are freed. Any
    /// later use, of its sessions too, is [`PocketError::Closed`]; transcripts can still be read.
    ///
    /// May be called from any thread and any number of times; every call returns when all is done.
    /// From inside a tool of a generation, that generation ends after the tool has returned.
    pub fn close(&self) {
        self.inner.lifecycle.close();
        self.inner.prefixes.clear();
        self.free();
    }

    /// Whether the model was closed.
    pub fn is_closed(&self) -> bool {
        self.inner.lifecycle.is_closed()
    }
}

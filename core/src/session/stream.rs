//! An answer as it is made: events from a worker thread, pulled by the caller.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use crate::error::{PocketError, Result};

use super::event::Event;

/// Stops a generation from any thread.
#[derive(Clone, Debug, Default)]
pub struct Canceller {
    flag: Arc<AtomicBool>,
}

impl Canceller {
    /// Asks the generation to stop; it does within one token or one piece of prefill, and its
    /// turn is undone.
    pub fn cancel(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// Whether [`Canceller::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }
}

/// The events of one answer, in order; ends after [`Event::Done`] or an error.
///
/// Dropping it cancels the generation and waits for the worker, so that afterwards the session is
/// at its last committed turn.
pub struct ResponseStream {
    events: Receiver<Result<Event>>,
    canceller: Canceller,
    worker: Option<JoinHandle<()>>,
}

impl ResponseStream {
    /// Starts `work` on a thread of its own; it sends events and returns at the end.
    ///
    /// # Errors
    /// [`PocketError::Internal`] when the system gives no thread.
    pub(super) fn start(
        work: impl FnOnce(&Canceller, &Sender<Result<Event>>) + Send + 'static,
    ) -> Result<Self> {
        let (sender, events) = mpsc::channel();
        let canceller = Canceller::default();
        let theirs = canceller.clone();
        let worker = std::thread::Builder::new()
            .name("pocketlm-turn".into())
            .spawn(move || work(&theirs, &sender))
            .map_err(|error| PocketError::Internal {
                reason: format!("no thread for a generation: {error}"),
            })?;
        Ok(Self {
            events,
            canceller,
            worker: Some(worker),
        })
    }

    /// A handle with which other threads can stop this generation.
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    fn join(&mut self) {
        if let Some(worker) = self.worker.take() {
            // The work catches its own panics.
            let _ = worker.join();
        }
    }
}

impl Iterator for ResponseStream {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        let event = self.events.recv().ok();
        if event.is_none() {
            self.join();
        }
        event
    }
}

impl Drop for ResponseStream {
    fn drop(&mut self) {
        self.canceller.cancel();
        self.join();
    }
}

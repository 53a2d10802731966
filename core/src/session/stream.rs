//! An answer as it is made: events from a worker thread, pulled by the caller.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;

use crate::error::{PocketError, Result};

use super::conversation::Response;
use super::event::{Event, FinishReason, Usage};
use super::lifecycle::Work;
use super::turn_slot::TurnGuard;

/// Stops a generation from any thread.
#[derive(Clone, Debug, Default)]
pub struct Canceller {
    flag: Arc<AtomicBool>,
    /// How often a generation may look before something happens.
    #[cfg(test)]
    looks: Option<(Arc<std::sync::atomic::AtomicUsize>, AtLast)>,
}

/// What happens when a test's canceller has been looked at often enough.
#[cfg(test)]
#[derive(Clone, Copy, Debug)]
enum AtLast {
    Cancel,
    Panic,
}

impl Canceller {
    /// Asks the generation to stop; it does within one token (inside the prompt, one layer of a
    /// piece of it), and its turn is undone.
    pub fn cancel(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// Whether [`Canceller::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        #[cfg(test)]
        self.count_look();
        self.flag.load(Ordering::Relaxed)
    }

    /// Whether both stop the same generation.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.flag, &other.flag)
    }
}

#[cfg(test)]
impl Canceller {
    /// Cancels at the look after `looks` others.
    pub(super) fn after(looks: usize) -> Self {
        Self {
            looks: Some((Arc::new(looks.into()), AtLast::Cancel)),
            ..Self::default()
        }
    }

    /// Panics at the look after `looks` others.
    pub(super) fn panicking_after(looks: usize) -> Self {
        Self {
            looks: Some((Arc::new(looks.into()), AtLast::Panic)),
            ..Self::default()
        }
    }

    fn count_look(&self) {
        let Some((looks, at_last)) = &self.looks else {
            return;
        };
        let order = Ordering::Relaxed;
        if looks
            .fetch_update(order, order, |n| n.checked_sub(1))
            .is_err()
        {
            match at_last {
                AtLast::Cancel => self.cancel(),
                AtLast::Panic => panic!("as the test asked"),
            }
        }
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
    /// Runs `turn` on a thread of its own, which has the slot and works on the model until its end:
    /// the owner of the slot, a canceller that may stop it earlier, and where its events go. It
    /// returns the last one. What a panic left half done, and what is of a model that was closed
    /// meanwhile, the owner is told to `forget`.
    ///
    /// # Errors
    /// [`PocketError::Internal`] when the system gives no thread.
    pub(super) fn start<T: Send + Sync + 'static>(
        canceller: Canceller,
        work: Work,
        slot: TurnGuard<T>,
        forget: fn(&T),
        turn: impl FnOnce(&T, &Canceller, &mut dyn FnMut(Event)) -> Result<Event> + Send + 'static,
    ) -> Result<Self> {
        let (sender, events) = mpsc::channel();
        let theirs = canceller.clone();
        let run = move || {
            work.on_this_thread();
            slot.on_this_thread();
            let owner = slot.owner();
            let mut emit = |event| {
                if sender.send(Ok(event)).is_err() {
                    theirs.cancel();
                }
            };
            let outcome = catch_unwind(AssertUnwindSafe(|| turn(&owner, &theirs, &mut emit)));
            if outcome.is_err() || work.is_closed() {
                forget(&owner);
            }
            let last = outcome.unwrap_or_else(|panic| {
                Err(PocketError::Internal {
                    reason: panic_text(panic.as_ref()),
                })
            });
            // Whoever sees the last event finds the slot free. One who no longer listens misses
            // nothing that is not in the transcript.
            drop((slot, work));
            let _ = sender.send(last);
        };
        let worker = std::thread::Builder::new()
            .name("pocketlm-turn".into())
            .spawn(run)
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

    /// Waits for the whole answer.
    ///
    /// # Errors
    /// What went wrong during the generation.
    pub fn collect_response(self) -> Result<Response> {
        let mut response = Response {
            text: String::new(),
            reasoning: String::new(),
            finish: FinishReason::Cancelled,
            usage: Usage::default(),
        };
        for event in self {
            match event? {
                Event::Text(text) => response.text.push_str(&text),
                Event::Reasoning(text) => response.reasoning.push_str(&text),
                Event::Done { finish, usage } => {
                    (response.finish, response.usage) = (finish, usage)
                }
                Event::ToolCall(_) | Event::ToolResult { .. } | Event::Notice(_) => {}
            }
        }
        Ok(response)
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

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".into())
}

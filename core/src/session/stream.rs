//! An answer as it is made: events from a worker thread, pulled by the caller.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use crate::error::{PocketError, Result};

use super::conversation::Response;
use super::event::{Event, FinishReason, Usage};

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
    /// Starts `work` on a thread of its own; it sends events and returns at the end, earlier when
    /// `canceller` says so.
    ///
    /// # Errors
    /// [`PocketError::Internal`] when the system gives no thread.
    pub(super) fn start(
        canceller: Canceller,
        work: impl FnOnce(&Canceller, &Sender<Result<Event>>) + Send + 'static,
    ) -> Result<Self> {
        let (sender, events) = mpsc::channel();
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

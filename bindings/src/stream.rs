//! An answer as it is made: events that pile up here until the app pulls them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::error::PocketError;
use crate::event::{self, Event};
use crate::message::ToolCall;
use crate::tools::ToolDesk;
use crate::worker;

/// Events that may wait for the app; the answer pauses when there are more. At a phone's speed
/// they are some ten seconds of text, so that only an app that stopped pulling is waited for.
const ROOM: usize = 256;

/// The events of one answer, pulled by the app.
///
/// Dropping it cancels the answer.
#[derive(uniffi::Object)]
pub struct ResponseStream(pub(crate) Arc<Answer>);

#[uniffi::export]
impl ResponseStream {
    /// Waits for at least one event and returns all that have piled up; an empty list is the end.
    /// After the last event the session is free for the next answer.
    ///
    /// # Errors
    /// What went wrong in the answer, once; the list is empty after that.
    pub async fn next_batch(&self) -> Result<Vec<Event>, PocketError> {
        self.0.next_batch().await
    }

    /// Says that no more events are wanted: the answer stops within one token and its turn is
    /// forgotten, and [`ResponseStream::next_batch`] returns an empty list at once, also a call
    /// that waits now.
    pub fn cancel(&self) {
        self.0.abandon();
    }

    /// The result of the tool that an `Event::ToolNeeded` asked for: its text, or why it failed,
    /// which the model is told. For a call that nobody waits for it does nothing.
    pub fn answer_tool(&self, call_id: String, content: String, is_error: bool) {
        let result = match is_error {
            false => Ok(content),
            true => Err(content),
        };
        self.0.answer_tool(call_id, result);
    }

    /// Waits until the answer has ended and the session is free, without taking events. An answer
    /// whose events nobody takes may not end by itself: cancel it first.
    pub async fn join(&self) {
        self.0.join().await;
    }
}

impl Drop for ResponseStream {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// What the app's stream and the thread that fills it share.
pub(crate) struct Answer {
    canceller: pocketlm::Canceller,
    queue: Mutex<Queue>,
    /// Told when there is room again, and when something happens to a call.
    taken: Condvar,
}

/// How long a tool waits before it looks whether its answer was cancelled.
const LOOK: Duration = Duration::from_millis(20);

#[derive(Default)]
struct Queue {
    events: VecDeque<Event>,
    error: Option<PocketError>,
    /// The answer was asked to stop: it is not held up any more.
    stopping: bool,
    /// The app wants no more events.
    abandoned: bool,
    /// Nothing more comes, and the session is free.
    ended: bool,
    waiting: Vec<Waker>,
    /// Calls of tools that are among the events.
    called: HashSet<String>,
    /// What the app has answered, by call.
    results: HashMap<String, Result<String, String>>,
}

impl Answer {
    /// Begins to take the events of `stream` on a thread of its own.
    ///
    /// # Errors
    /// `Internal` when no thread can be started.
    pub(crate) fn start(
        stream: pocketlm::ResponseStream,
        desk: &ToolDesk,
    ) -> Result<Arc<Self>, PocketError> {
        let answer = Arc::new(Self {
            canceller: stream.canceller(),
            queue: Mutex::default(),
            taken: Condvar::new(),
        });
        desk.seat(&answer);
        let (feeding, ending) = (answer.clone(), answer.clone());
        worker::start(
            "pocketlm-feed",
            move || feeding.feed(stream),
            move |last| ending.end(last),
        )?;
        Ok(answer)
    }

    /// Passes events on as they come; returns the last one when the session is free again.
    fn feed(&self, stream: pocketlm::ResponseStream) -> Result<Option<Event>, PocketError> {
        let mut last = None;
        // The stream ends when its thread has: only then can the next answer begin.
        for event in stream {
            match event::foreign(event?) {
                Some(done @ Event::Done { .. }) => last = Some(done),
                Some(event) => self.push(event),
                None => {}
            }
        }
        Ok(last)
    }

    fn push(&self, event: Event) {
        let queue = self.queue();
        let held_up = |queue: &mut Queue| queue.events.len() >= ROOM && !queue.stopping;
        let queue = self.taken.wait_while(queue, held_up);
        let mut queue = queue.unwrap_or_else(PoisonError::into_inner);
        if let Event::ToolCall { call } = &event {
            queue.called.insert(call.id.clone());
            self.taken.notify_all();
        }
        if !queue.abandoned {
            queue.events.push_back(event);
            wake(queue);
        }
    }

    /// Whether `canceller` stops this answer.
    pub(crate) fn is_of(&self, canceller: &pocketlm::Canceller) -> bool {
        self.canceller.is_same(canceller)
    }

    /// Asks the app to run a tool and waits for the result; `None` when the answer was cancelled
    /// before. Called on the thread of the generation.
    pub(crate) fn run_tool(&self, call: ToolCall) -> Option<Result<String, String>> {
        let id = call.id.clone();
        // The request must not overtake what was said before it.
        self.wait_for_tool(|queue| queue.called.contains(&id).then_some(()))?;
        self.push(Event::ToolNeeded { call });
        self.wait_for_tool(|queue| queue.results.remove(&id))
    }

    fn wait_for_tool<T>(&self, mut find: impl FnMut(&mut Queue) -> Option<T>) -> Option<T> {
        let mut queue = self.queue();
        loop {
            if let Some(found) = find(&mut queue) {
                return Some(found);
            }
            if self.canceller.is_cancelled() {
                return None;
            }
            let waited = self.taken.wait_timeout(queue, LOOK);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn answer_tool(&self, call_id: String, result: Result<String, String>) {
        self.queue().results.insert(call_id, result);
        self.taken.notify_all();
    }

    fn end(&self, last: Result<Option<Event>, PocketError>) {
        let mut queue = self.queue();
        queue.ended = true;
        if !queue.abandoned {
            match last {
                Ok(event) => queue.events.extend(event),
                Err(error) => queue.error = Some(error),
            }
        }
        wake(queue);
    }

    async fn next_batch(&self) -> Result<Vec<Event>, PocketError> {
        poll_fn(|context| {
            let mut queue = self.queue();
            if !queue.events.is_empty() {
                let events = queue.events.drain(..).collect();
                self.taken.notify_all();
                return Poll::Ready(Ok(events));
            }
            if let Some(error) = queue.error.take() {
                return Poll::Ready(Err(error));
            }
            if queue.abandoned || queue.ended {
                return Poll::Ready(Ok(Vec::new()));
            }
            queue.wait(context.waker());
            Poll::Pending
        })
        .await
    }

    /// Asks the answer to stop within one token; its last event says so.
    pub(crate) fn stop(&self) {
        self.canceller.cancel();
        self.queue().stopping = true;
        self.taken.notify_all();
    }

    /// The same, for an app that does not want that last event either.
    fn abandon(&self) {
        self.stop();
        let mut queue = self.queue();
        queue.abandoned = true;
        queue.events.clear();
        queue.error = None;
        wake(queue);
    }

    pub(crate) fn ended(&self) -> bool {
        self.queue().ended
    }

    /// Waits until nothing more comes and the session is free.
    pub(crate) async fn join(&self) {
        poll_fn(|context| {
            let mut queue = self.queue();
            if queue.ended {
                return Poll::Ready(());
            }
            queue.wait(context.waker());
            Poll::Pending
        })
        .await;
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Wakers of futures that were dropped stay until the next event; waking one does nothing.
    fn wait(&mut self, waker: &Waker) {
        if !self.waiting.iter().any(|other| other.will_wake(waker)) {
            self.waiting.push(waker.clone());
        }
    }
}

/// Wakes whoever waits, when the queue is free: a foreign executor may poll again inside the call.
fn wake(mut queue: MutexGuard<'_, Queue>) {
    let waiting = std::mem::take(&mut queue.waiting);
    drop(queue);
    for waker in waiting {
        waker.wake();
    }
}

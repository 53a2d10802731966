//! The objects as a foreign language drives them: futures polled by hand on this thread.

#[path = "../../core/tests/nano/builder/mod.rs"]
mod nano;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use pocketlm::gguf::TensorType;
use pocketlm_ffi::{FinishReason, LocalModel, ModelSession, PocketError};

/// Wakes the thread that waits.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future as an executor does: polls it, sleeps until woken, polls again.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// A session with a nano model, which says nothing sensible.
fn session() -> Arc<ModelSession> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("nano.gguf");
    std::fs::write(&path, nano::model("qwen2", TensorType::Q4K)).expect("the model is written");
    let model = wait(LocalModel::load(path.display().to_string())).expect("the model loads");
    model.session(None).expect("a session")
}

#[test]
fn a_model_answers() {
    let session = session();
    let response = wait(session.respond("hi".into())).expect("an answer");
    assert!(response.usage.generated_tokens > 0);
    assert_ne!(response.finish, FinishReason::Cancelled);
    let again = wait(session.respond("hi".into()));
    match again {
        Ok(response) => assert!(response.usage.cached_tokens > 0),
        // The first answer may have filled the context.
        Err(error) => assert!(
            matches!(error, PocketError::ContextExceeded { .. }),
            "{error}"
        ),
    }
}

#[test]
fn errors_have_their_fields_and_text() {
    let error = wait(LocalModel::load("no such file".into()))
        .err()
        .expect("an error");
    let PocketError::ModelNotFound { path, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(path, "no such file");
    assert!(error.to_string().contains("model not found"));
}

/// Polls once: the answer has begun, on threads of the library.
fn begin(future: Pin<&mut impl Future>) {
    let _ = future.poll(&mut Context::from_waker(Waker::noop()));
}

#[test]
fn one_answer_at_a_time_and_it_can_be_cancelled() {
    let session = session();
    // The model is so small that an answer may end before it can be disturbed: try again then.
    let disturbed = (0..100).any(|_| {
        let mut first = pin!(session.respond("hi".into()));
        begin(first.as_mut());
        let second = wait(session.respond("hi".into()));
        session.cancel();
        let first = wait(first);
        second == Err(PocketError::Busy)
            && first.is_ok_and(|response| response.finish == FinishReason::Cancelled)
    });
    assert!(disturbed, "no answer was ever busy and then cancelled");
}

#[test]
fn a_dropped_future_leaves_the_session_as_it_was() {
    let fresh = wait(session().respond("hi".into())).expect("an answer");
    // As above: an answer that ended before it was dropped counts as said.
    let forgotten = (0..100).any(|_| {
        let session = session();
        begin(pin!(session.respond("hi".into())));
        loop {
            match wait(session.respond("hi".into())) {
                Err(PocketError::Busy) => thread::yield_now(),
                Ok(response) => break response.usage.prompt_tokens == fresh.usage.prompt_tokens,
                Err(_) => break false,
            }
        }
    });
    assert!(forgotten, "a dropped answer stayed in the transcript");
}

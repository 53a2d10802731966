//! The answers in progress of a session or a model: what closing it has to stop.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::error::PocketError;
use crate::stream::Answer;

/// Answers that have begun; none begins after [`Answers::close`].
#[derive(Default)]
pub(crate) struct Answers(Mutex<Begun>);

#[derive(Default)]
struct Begun {
    answers: Vec<Weak<Answer>>,
    closed: bool,
}

impl Answers {
    /// # Errors
    /// `Closed` after [`Answers::close`].
    pub(crate) fn open(&self) -> Result<(), PocketError> {
        match self.lock().closed {
            false => Ok(()),
            true => Err(PocketError::Closed),
        }
    }

    /// # Errors
    /// `Busy` while an answer is in progress.
    pub(crate) fn idle(&self) -> Result<(), PocketError> {
        match self.in_progress().iter().all(|answer| answer.ended()) {
            true => Ok(()),
            false => Err(PocketError::Busy),
        }
    }

    /// Begins an answer, which cannot be missed by a call of [`Answers::close`] at the same time.
    ///
    /// # Errors
    /// `Closed`, or what `begin` returns.
    pub(crate) fn begin(
        &self,
        begin: impl FnOnce() -> Result<Arc<Answer>, PocketError>,
    ) -> Result<Arc<Answer>, PocketError> {
        let mut begun = self.lock();
        if begun.closed {
            return Err(PocketError::Closed);
        }
        let answer = begin()?;
        let in_progress = |answer: &Weak<Answer>| answer.upgrade().is_some_and(|a| !a.ended());
        begun.answers.retain(in_progress);
        begun.answers.push(Arc::downgrade(&answer));
        Ok(answer)
    }

    /// Asks every answer in progress to stop.
    pub(crate) fn stop(&self) {
        for answer in self.in_progress() {
            answer.stop();
        }
    }

    /// The same, and no answer begins any more.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.stop();
    }

    /// Waits until every answer that has begun has ended.
    pub(crate) async fn join(&self) {
        for answer in self.in_progress() {
            answer.join().await;
        }
    }

    fn in_progress(&self) -> Vec<Arc<Answer>> {
        let begun = self.lock();
        begun.answers.iter().filter_map(Weak::upgrade).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Begun> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

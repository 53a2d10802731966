//! A conversation with a model.

use std::sync::Arc;

use pocketlm::tokenizer::Special;

use crate::answers::Answers;
use crate::error::PocketError;
use crate::message::Message;
use crate::options::GenerateOptions;
use crate::stream::{Answer, ResponseStream};
use crate::worker;

/// A conversation: what was said, and the model's memory of it. One answer at a time.
#[derive(uniffi::Object)]
pub struct ModelSession {
    session: pocketlm::ModelSession,
    /// The answer in progress.
    own: Answers,
    /// Those of all sessions of the model.
    all: Arc<Answers>,
}

impl ModelSession {
    pub(crate) fn new(session: pocketlm::ModelSession, all: Arc<Answers>) -> Arc<Self> {
        Arc::new(Self {
            session,
            own: Answers::default(),
            all,
        })
    }

    fn open(&self) -> Result<(), PocketError> {
        self.own.open().and_then(|()| self.all.open())
    }
}

#[uniffi::export]
impl ModelSession {
    /// Begins the answer to a message, on threads of the library.
    ///
    /// # Errors
    /// `Busy` while another answer is in progress, `InvalidArgument` for the options, `Closed`.
    /// Errors of the answer itself come from the stream.
    pub fn stream(
        &self,
        prompt: String,
        options: GenerateOptions,
    ) -> Result<Arc<ResponseStream>, PocketError> {
        self.open()?;
        let begin = || Answer::start(self.session.stream(&prompt, &options.into())?);
        // Beginning is one at a time in the whole model: no other answer of this session slips in
        // between the question and the beginning.
        let answer = self.all.begin(|| {
            self.own.idle()?;
            self.own.begin(begin)
        })?;
        Ok(Arc::new(ResponseStream(answer)))
    }

    /// Stops the answer in progress, if there is one, within one token: its last event is `Done`
    /// with `FinishReason::Cancelled`, and its turn is forgotten.
    pub fn cancel(&self) {
        self.own.stop();
    }

    /// What was said so far, the instructions first.
    ///
    /// # Errors
    /// `Busy` during an answer, `Closed`.
    pub fn transcript(&self) -> Result<Vec<Message>, PocketError> {
        self.open()?;
        let messages = self.session.transcript()?;
        Ok(messages.into_iter().map(Into::into).collect())
    }

    /// How many tokens a text is for this session's model.
    ///
    /// # Errors
    /// `Closed`.
    pub async fn token_count(&self, text: String) -> Result<u64, PocketError> {
        self.open()?;
        let model = self.session.model().clone();
        worker::run("pocketlm-count", move || {
            let ids = model.tokenizer().encode(&text, false, Special::Text)?;
            Ok(ids.len() as u64)
        })
        .await
    }

    /// Closes the session for good: the answer in progress is stopped, and what is called
    /// afterwards fails with `Closed`.
    pub fn shut_down(&self) {
        self.own.close();
    }

    /// Waits until the answer in progress has ended, without stopping it.
    pub async fn join(&self) {
        self.own.join().await;
    }
}

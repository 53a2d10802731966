//! A conversation with a model.

use std::sync::Arc;

use crate::answers::Answers;
use crate::error::PocketError;
use crate::message::Message;
use crate::options::GenerateOptions;
use crate::stream::{Answer, ResponseStream};
use crate::tools::ToolDesk;
use crate::worker;

/// A conversation: what was said, and the model's memory of it. One answer at a time.
#[derive(uniffi::Object)]
pub struct ModelSession {
    session: Arc<pocketlm::ModelSession>,
    /// The answer in progress.
    own: Answers,
    /// The completion in progress, and perhaps one that it replaces.
    completions: Answers,
    /// Those of all sessions of the model.
    all: Arc<Answers>,
    /// Where its tools wait; shared with its forks, which have the same tools.
    desk: Arc<ToolDesk>,
}

impl ModelSession {
    pub(crate) fn new(
        session: pocketlm::ModelSession,
        all: Arc<Answers>,
        desk: Arc<ToolDesk>,
    ) -> Arc<Self> {
        Arc::new(Self {
            session: Arc::new(session),
            own: Answers::default(),
            completions: Answers::default(),
            all,
            desk,
        })
    }

    fn open(&self) -> Result<(), PocketError> {
        self.own.open().and_then(|()| self.all.open())
    }

    /// Runs `work` with the session on a thread of its own.
    async fn work<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce(&pocketlm::ModelSession) -> pocketlm::Result<T> + Send + 'static,
    ) -> Result<T, PocketError> {
        self.open()?;
        let session = self.session.clone();
        worker::run(name, move || Ok(work(&session)?)).await
    }

    /// What frees the session, on a thread of its own.
    fn closing(&self) -> impl FnOnce() -> Result<(), PocketError> + Send + use<> {
        let session = self.session.clone();
        move || {
            session.close();
            Ok(())
        }
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
        let options = options.try_into()?;
        let begin = || Answer::start(self.session.stream(&prompt, &options)?, &self.desk);
        // Beginning is one at a time in the whole model: no other answer of this session slips in
        // between the question and the beginning.
        let answer = self.all.begin(|| {
            self.own.idle()?;
            self.own.begin(begin)
        })?;
        Ok(Arc::new(ResponseStream(answer)))
    }

    /// Begins to write what belongs between two texts, for suggestions as somebody types; a
    /// completion that is still in progress is cancelled first. The conversation takes no part in
    /// it, and may go on meanwhile.
    ///
    /// # Errors
    /// `UnsupportedModel` for a model that was not made for that, `InvalidArgument` for the
    /// options, `Closed`.
    pub async fn complete(
        &self,
        prefix: String,
        suffix: String,
        options: GenerateOptions,
    ) -> Result<Arc<ResponseStream>, PocketError> {
        let options = options.try_into()?;
        let begin =
            move |session: &pocketlm::ModelSession| session.complete(&prefix, &suffix, &options);
        let stream = self.work("pocketlm-complete", begin).await?;
        let stream = ResponseStream(Answer::start(stream, &self.desk)?);
        // Dropping the stream stops it, when the session was closed meanwhile.
        let answer = stream.0.clone();
        self.all.begin(|| self.completions.begin(|| Ok(answer)))?;
        Ok(Arc::new(stream))
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
        let count = move |session: &pocketlm::ModelSession| session.token_count(&text);
        Ok(self.work("pocketlm-count", count).await? as u64)
    }

    /// How many tokens of the context window the conversation takes so far.
    ///
    /// # Errors
    /// `Busy` during an answer, `Closed`.
    pub async fn transcript_tokens(&self) -> Result<u64, PocketError> {
        let count = |session: &pocketlm::ModelSession| session.transcript_tokens();
        Ok(self.work("pocketlm-count", count).await? as u64)
    }

    /// A conversation that begins as this one is now; what both have said is computed once.
    ///
    /// # Errors
    /// `Busy` during an answer, `InsufficientMemory`, `Closed`.
    pub async fn fork(&self) -> Result<Arc<Self>, PocketError> {
        let fork = self.work("pocketlm-fork", |session| session.fork()).await?;
        Ok(Self::new(fork, self.all.clone(), self.desk.clone()))
    }

    /// Forgets the newest turns, so that `turns_to_keep` remain.
    ///
    /// # Errors
    /// `Busy` during an answer, `InvalidArgument` when there are not that many, `Closed`.
    pub fn rewind(&self, turns_to_keep: u32) -> Result<(), PocketError> {
        self.open()?;
        Ok(self.session.rewind(turns_to_keep as usize)?)
    }

    /// Saves the conversation to the file `path`, which is replaced in one step; encrypted when
    /// there is a key of 32 bytes.
    ///
    /// # Errors
    /// `SessionFile` when the file cannot be written, `Busy` during an answer, `InvalidArgument`
    /// for the key, `Closed`.
    pub async fn save(&self, path: String, key: Option<Vec<u8>>) -> Result<(), PocketError> {
        let key = key.map(self::key).transpose()?;
        let save = move |session: &pocketlm::ModelSession| session.save(path, key.as_ref());
        self.work("pocketlm-save", save).await
    }

    /// Closes the session for good: the answer in progress is stopped, its memory is freed, and what
    /// is called afterwards fails with `Closed`. Does not wait; [`ModelSession::join`] does.
    pub fn shut_down(&self) {
        self.own.close();
        self.completions.close();
        // Without a thread the memory is freed with the last object that holds it.
        let _ = worker::start("pocketlm-close", self.closing(), |_| {});
    }

    /// Waits until the answer in progress has ended, without stopping it; and after
    /// [`ModelSession::shut_down`], until the memory is free.
    pub async fn join(&self) {
        self.own.join().await;
        self.completions.join().await;
        if self.own.open().is_err() {
            // As above.
            let _ = worker::run("pocketlm-close", self.closing()).await;
        }
    }
}

/// The key of a saved session.
pub(crate) fn key(bytes: Vec<u8>) -> Result<[u8; 32], PocketError> {
    let length = bytes.len();
    let wrong = |_| PocketError::invalid("key", format!("{length} bytes, not 32"));
    bytes.try_into().map_err(wrong)
}

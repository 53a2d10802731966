//! What guesses tokens in a session, and what is known of how well it does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cache::KvCache;
use crate::error::{PocketError, Result};
use crate::sample::{LogSoftmax, argmax};
use crate::speculate::{Draft, Drafter, Lookup, MOST, Pace};

use super::model::LocalModel;
use super::stream::Canceller;

/// Whether several tokens are guessed and checked in one pass. The answer is the same in every
/// case; what changes is how long it takes.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Speculation {
    /// [`Speculation::Lookup`] where a token's logits are the same bits alone and among others (the
    /// CPU), nothing elsewhere.
    #[default]
    Auto,
    /// One token a pass.
    Off,
    /// Looks the last tokens up in the conversation: good for edits, quotations and code, free for
    /// everything else.
    Lookup,
    /// A smaller model with the same vocabulary guesses. It has its own cache in the session.
    Draft(LocalModel),
}

impl PartialEq for Speculation {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Draft(a), Self::Draft(b)) => Arc::ptr_eq(&a.inner, &b.inner),
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
        }
    }
}

/// Chances that a guess of a looked-up match comes true, by class, before anything is known.
const LOOKUP_CHANCES: [f64; Lookup::CLASSES] = [0.4, 0.3, 0.55, 0.75, 0.9];

/// The same for a model's guesses, which are dropped where it is not sure itself.
const DRAFT_CHANCES: [f64; 1] = [0.75];

/// A drafting model goes on while its likeliest token has at least this probability.
const SURE: f64 = 0.6;

/// A session's guesser. It outlives the turns: what it learnt of costs and chances, and the
/// drafting model's cache, serve the next one.
pub struct Speculator {
    kind: Speculation,
    pace: Pace,
    source: Source,
}

enum Source {
    Nothing,
    Lookup(Lookup),
    Model(Box<ModelDrafter>),
}

impl Speculator {
    /// A guesser of `kind` for answers of `target`.
    ///
    /// # Errors
    /// [`PocketError::InvalidArgument`] for a drafting model with another vocabulary, and those of
    /// [`LocalModel::new_cache`].
    pub fn new(kind: &Speculation, target: &LocalModel) -> Result<Self> {
        let exact = target.device_name() != "gpu";
        let (source, chances) = match kind {
            Speculation::Auto if exact => (Source::Lookup(Lookup::default()), &LOOKUP_CHANCES[..]),
            Speculation::Auto | Speculation::Off => (Source::Nothing, &[][..]),
            Speculation::Lookup => (Source::Lookup(Lookup::default()), &LOOKUP_CHANCES[..]),
            Speculation::Draft(model) => {
                let drafter = ModelDrafter::new(model, target)?;
                (Source::Model(Box::new(drafter)), &DRAFT_CHANCES[..])
            }
        };
        Ok(Self {
            kind: kind.clone(),
            pace: Pace::new(chances),
            source,
        })
    }

    /// The guesser in `slot`, or a new one in its place when that is of another kind.
    ///
    /// # Errors
    /// As [`Speculator::new`].
    pub fn reuse<'s>(
        slot: &'s mut Option<Self>,
        kind: &Speculation,
        target: &LocalModel,
    ) -> Result<&'s mut Self> {
        let other = slot.take().filter(|speculator| speculator.kind == *kind);
        Ok(slot.insert(match other {
            Some(same) => same,
            None => Self::new(kind, target)?,
        }))
    }

    /// Begins an answer to `prompt`.
    pub fn begin(&mut self, prompt: &[u32], canceller: &Canceller) {
        match &mut self.source {
            Source::Nothing => {}
            Source::Lookup(lookup) => *lookup = Lookup::new(prompt),
            Source::Model(drafter) => drafter.begin(prompt, canceller),
        }
    }

    /// Takes `ids` as part of the text, and guesses at most `room` tokens that follow.
    ///
    /// # Errors
    /// Those of the drafting model.
    pub fn draft(&mut self, ids: &[u32], room: usize) -> Result<Draft> {
        let mut start = Some(Instant::now());
        let pace = &self.pace;
        let worth = |class| pace.worth(class).min(room);
        let draft = match &mut self.source {
            Source::Nothing => return Ok(Draft::default()),
            Source::Lookup(lookup) => {
                lookup.accept(ids);
                lookup.draft(&worth)?
            }
            Source::Model(drafter) => {
                drafter.accept(ids);
                if drafter.behind() > MOST + 1 {
                    // Reading a prompt says nothing of what a guess takes.
                    start = None;
                }
                drafter.draft(&worth)?
            }
        };
        if let Some(start) = start {
            self.pace.note_guesses(draft.ids.len(), start.elapsed());
        }
        Ok(draft)
    }

    /// Takes note of a pass of `tokens` tokens, and of what became of its guesses.
    pub fn learn(&mut self, tokens: usize, time: Duration, draft: &Draft, accepted: usize) {
        self.pace.note_pass(tokens, time);
        self.pace
            .note_outcome(draft.class, draft.ids.len(), accepted);
    }
}

/// A model that guesses.
struct ModelDrafter {
    model: LocalModel,
    cache: KvCache,
    tokens: Vec<u32>,
    /// Ids that the other model can take.
    vocab: usize,
    canceller: Canceller,
}

impl ModelDrafter {
    fn new(model: &LocalModel, target: &LocalModel) -> Result<Self> {
        let (ours, theirs) = (model.tokenizer(), target.tokenizer());
        let vocab = ours.vocab_size().min(theirs.vocab_size());
        let differs = (0..vocab as u32).find(|id| ours.token_text(*id) != theirs.token_text(*id));
        if let Some(id) = differs {
            return Err(PocketError::invalid(
                "speculation",
                format!(
                    "token {id} is {:?} to the drafting model and {:?} to this one",
                    ours.token_text(id).unwrap_or_default(),
                    theirs.token_text(id).unwrap_or_default()
                ),
            ));
        }
        Ok(Self {
            model: model.clone(),
            cache: model.new_cache()?,
            tokens: Vec::new(),
            vocab,
            canceller: Canceller::default(),
        })
    }

    fn begin(&mut self, prompt: &[u32], canceller: &Canceller) {
        self.tokens = prompt.to_vec();
        self.canceller = canceller.clone();
    }

    /// Tokens that are not in the cache yet, about.
    fn behind(&self) -> usize {
        self.tokens.len().saturating_sub(self.cache.len())
    }

    /// Runs all tokens that are not in the cache yet; the likeliest next one and its probability,
    /// or `None` when cancelled or out of context.
    fn next(&mut self) -> Result<Option<(u32, f64)>> {
        let cached = self.cache.keep_prefix(&self.tokens);
        let fresh = &self.tokens[cached..];
        if fresh.is_empty() || self.tokens.len() > self.cache.capacity() {
            return Ok(None);
        }
        let logits = self
            .model
            .prefill(fresh, &mut self.cache, &self.canceller)?;
        let Some(logits) = logits else {
            return Ok(None);
        };
        let logits = &logits[..self.vocab];
        let id = argmax(logits)?;
        let logprob = LogSoftmax::new(logits)?.logprob(id);
        Ok(logprob.map(|logprob| (id, logprob.exp())))
    }
}

impl Drafter for ModelDrafter {
    fn accept(&mut self, ids: &[u32]) {
        self.tokens.extend_from_slice(ids);
    }

    fn draft(&mut self, worth: &dyn Fn(usize) -> usize) -> Result<Draft> {
        let text = self.tokens.len();
        let mut draft = Draft::default();
        let most = worth(0).min(MOST);
        while draft.ids.len() < most {
            match self.next()? {
                Some((id, probability)) if probability >= SURE => {
                    draft.ids.push(id);
                    self.tokens.push(id);
                }
                _ => break,
            }
        }
        self.tokens.truncate(text);
        Ok(draft)
    }
}

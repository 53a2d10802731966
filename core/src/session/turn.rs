//! One turn: prefill, then decode until something ends it.
//!
//! ```text
//! prompt ─→ prefill ─→ logits ─→ mask, choose ids ─→ output ─→ events
//!                        ↑          │ chosen ids, forced ones, then guesses of what follows
//!                        └── pass ←─┘ (guesses that do not come true leave the cache again)
//! ```

use std::time::Instant;

use crate::cache::KvCache;
use crate::chat::WrittenCall;
use crate::error::Result;
use crate::sample::Sampler;
use crate::speculate::Draft;

use super::event::{Event, FinishReason, Usage};
use super::guide::Guide;
use super::model::{LocalModel, PREFILL_CHUNK};
use super::options::GenerateOptions;
use super::output::Output;
use super::prompt::{self, Prompt};
use super::speculation::Speculator;
use super::stream::Canceller;
use super::tools::ToolSet;

/// What a turn works with.
pub struct Turn<'a> {
    /// Answers.
    pub model: &'a LocalModel,
    /// What the model may call.
    pub tools: &'a ToolSet,
    /// What the caller asked for.
    pub options: &'a GenerateOptions,
    /// Ends the turn early.
    pub canceller: &'a Canceller,
}

/// What a turn produced.
pub struct Outcome {
    /// The answer.
    pub text: String,
    /// The thinking before it.
    pub reasoning: String,
    /// The tools that the model wants to call.
    pub calls: Vec<WrittenCall>,
    /// Why it ended.
    pub finish: FinishReason,
    /// What it took.
    pub usage: Usage,
}

impl Outcome {
    /// The closing event.
    pub fn done(&self) -> Event {
        Event::Done {
            finish: self.finish,
            usage: self.usage,
        }
    }
}

impl Turn<'_> {
    /// Generates after `prompt`, of which what `cache` already holds is not computed again.
    ///
    /// Every piece of output goes to `emit` as it comes. On return `cache` holds the prompt and the
    /// generated tokens that were run; the caller decides whether they stay.
    ///
    /// # Errors
    /// [`crate::PocketError::ContextExceeded`] when the prompt leaves no room for an answer, those
    /// of [`GenerateOptions`], [`crate::PocketError::DeviceLost`].
    pub fn run(
        &self,
        cache: &mut KvCache,
        prompt: &Prompt,
        speculator: &mut Speculator,
        emit: &mut dyn FnMut(Event),
    ) -> Result<Outcome> {
        self.options.validate()?;
        let start = Instant::now();
        let closed = match self.options.reasoning_budget {
            Some(0) if prompt.opens_thinking => Some(prompt.without_thinking(self.model)?),
            _ => None,
        };
        let prompt = closed.as_ref().unwrap_or(prompt);
        let cached = cache.keep_prefix(&prompt.ids);
        // The prompt and the first generated token must fit.
        cache.reserve(prompt.ids.len() + 1 - cached)?;
        let mut answer = Answer::new(self, prompt, emit)?;
        answer.usage.cached_tokens = cached;

        let fresh = &prompt.ids[cached..];
        let Some(mut logits) = self.model.prefill(fresh, cache, self.canceller)? else {
            return Ok(answer.end(FinishReason::Cancelled));
        };
        answer.usage.time_to_first_token = start.elapsed();
        speculator.begin(&prompt.ids, self.canceller);
        let mut draft = Draft::default();
        let mut pass = None;
        let finish = loop {
            let (kept, end) = answer.take(&mut logits, &draft.ids)?;
            // Guesses that did not come true were never part of the text.
            cache.truncate(cache.len() - (draft.ids.len() - kept));
            if let Some((tokens, time)) = pass {
                speculator.learn(tokens, time, &draft, kept);
            }
            if let Some(finish) = end {
                break finish;
            }
            if cache.len() == cache.capacity() {
                break FinishReason::ContextFull;
            }
            let room = cache.capacity() - cache.len() - 1;
            let (forced, end) = answer.force(room)?;
            if let Some(finish) = end {
                break finish;
            }
            let room = (room - forced).min(answer.left() - 1);
            draft = speculator.draft(answer.newest(kept + 1 + forced), room)?;
            answer.drop_excluded(&mut draft)?;
            let chosen = answer.newest(1 + forced);
            let began = Instant::now();
            let ids = [chosen, &draft.ids].concat();
            logits = self.model.evaluate(&ids, cache, 1 + draft.ids.len())?;
            pass = Some((ids.len(), began.elapsed()));
        };
        Ok(answer.end(finish))
    }
}

/// An answer in the making.
struct Answer<'a> {
    turn: &'a Turn<'a>,
    sampler: Sampler,
    guide: Guide,
    output: Output<'a>,
    /// Tokens generated.
    ids: Vec<u32>,
    /// Of those, how many were thinking.
    thoughts: usize,
    usage: Usage,
    first: Option<Instant>,
}

impl<'a> Answer<'a> {
    fn new(turn: &'a Turn<'a>, prompt: &Prompt, emit: &'a mut dyn FnMut(Event)) -> Result<Self> {
        let mut sampler = Sampler::new(&turn.options.sample)?;
        for id in &prompt.ids {
            sampler.accept(*id);
        }
        Ok(Self {
            turn,
            sampler,
            guide: Guide::new(turn.model, turn.options)?,
            output: Output::new(
                turn.model,
                turn.tools,
                prompt.opens_thinking,
                turn.options,
                emit,
            )?,
            ids: Vec::new(),
            thoughts: 0,
            usage: Usage {
                prompt_tokens: prompt.ids.len(),
                ..Usage::default()
            },
            first: None,
        })
    }

    /// Chooses a token from each row of `logits` (`[1 + draft.len(), vocab]`) as long as the one
    /// before was guessed right. How many were, and whether the answer ends.
    fn take(&mut self, logits: &mut [f32], draft: &[u32]) -> Result<(usize, Option<FinishReason>)> {
        let width = logits.len() / (1 + draft.len());
        self.usage.drafted_tokens += draft.len();
        let mut kept = 0;
        for row in logits.chunks_exact_mut(width) {
            // Rows beyond the vocabulary pad some files' matrices; they name no token.
            let row = &mut row[..self.turn.model.tokenizer().vocab_size()];
            self.guide.mask(row, self.output.is_thinking())?;
            let id = self.sampler.sample(row)?;
            let end = self.accept(id)?;
            // Where the thinking has to end, other tokens follow than those guessed.
            let guessed = draft.get(kept) == Some(&id) && !self.has_thought_enough();
            if guessed {
                kept += 1;
                self.usage.accepted_tokens += 1;
            }
            if end.is_some() || !guessed {
                return Ok((kept, end));
            }
        }
        Ok((kept, None))
    }

    /// Takes what must come next, at most `room` tokens, because the output format forces it or the
    /// thinking has used up its budget. They run with the token before them, and nobody need guess
    /// or choose them. How many, and whether the answer ends.
    fn force(&mut self, room: usize) -> Result<(usize, Option<FinishReason>)> {
        let mut forced = match self.has_thought_enough() {
            true => prompt::closing(self.turn.model, self.turn.options)?,
            false => self.guide.forced(self.output.is_thinking())?,
        };
        // No more than runs between two looks at the canceller; the rest is forced next time.
        forced.truncate(room.min(PREFILL_CHUNK));
        for (taken, &id) in (1..).zip(&forced) {
            let end = self.accept(id)?;
            if end.is_some() {
                return Ok((taken, end));
            }
        }
        Ok((forced.len(), None))
    }

    /// Whether the thinking has to end here.
    fn has_thought_enough(&self) -> bool {
        let budget = self.turn.options.reasoning_budget;
        budget.is_some_and(|most| self.thoughts >= most) && self.output.is_thinking()
    }

    /// Drops guesses from the first on that the output format excludes.
    fn drop_excluded(&mut self, draft: &mut Draft) -> Result<()> {
        let allowed = self.guide.allows(&draft.ids, self.output.is_thinking())?;
        draft.ids.truncate(allowed);
        Ok(())
    }

    /// Makes `id` part of the answer; whether that ends it.
    fn accept(&mut self, id: u32) -> Result<Option<FinishReason>> {
        let is_whole = self.guide.accept(id, self.output.is_thinking())?;
        self.sampler.accept(id);
        self.ids.push(id);
        self.thoughts += usize::from(self.output.is_thinking());
        self.usage.generated_tokens += 1;
        self.usage.decode_time = self.first.get_or_insert_with(Instant::now).elapsed();
        if self
            .turn
            .model
            .tokenizer()
            .end_of_generation()
            .contains(&id)
        {
            return Ok(Some(FinishReason::EndOfTurn));
        }
        if self.output.push(id) {
            return Ok(Some(FinishReason::StopString));
        }
        if is_whole {
            return Ok(Some(FinishReason::EndOfTurn));
        }
        if self.left() == 0 {
            return Ok(Some(FinishReason::MaxTokens));
        }
        let cancelled = self.turn.canceller.is_cancelled();
        Ok(cancelled.then_some(FinishReason::Cancelled))
    }

    /// Tokens that may still be generated.
    fn left(&self) -> usize {
        let most = self.turn.options.max_tokens.unwrap_or(usize::MAX);
        most - self.ids.len()
    }

    /// The last `n` tokens.
    fn newest(&self, n: usize) -> &[u32] {
        &self.ids[self.ids.len() - n..]
    }

    fn end(self, finish: FinishReason) -> Outcome {
        let said = self.output.end(finish);
        Outcome {
            text: said.text,
            reasoning: said.reasoning,
            calls: said.calls,
            finish,
            usage: self.usage,
        }
    }
}

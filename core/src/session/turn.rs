//! One turn: prefill, then decode until something ends it.

use std::time::Instant;

use crate::cache::KvCache;
use crate::error::Result;
use crate::sample::{Sampler, StopStrings};

use super::event::{Event, FinishReason, Usage};
use super::model::LocalModel;
use super::options::GenerateOptions;
use super::reasoning::{Piece, Splitter};
use super::stream::Canceller;

/// Prompt tokens computed between two looks at the canceller.
const PREFILL_CHUNK: usize = 128;

/// What a turn produced.
pub struct Outcome {
    pub text: String,
    pub reasoning: String,
    pub finish: FinishReason,
    pub usage: Usage,
}

/// Generates after `prompt`, of which what `cache` already holds is not computed again.
///
/// Every piece of output goes to `emit` as it comes. On return `cache` holds the prompt and the
/// generated tokens that were run; the caller decides whether they stay.
///
/// # Errors
/// [`crate::PocketError::ContextExceeded`] when the prompt leaves no room for an answer, those of
/// [`GenerateOptions`], [`crate::PocketError::DeviceLost`].
pub fn run(
    model: &LocalModel,
    cache: &mut KvCache,
    prompt: &[u32],
    opens_thinking: bool,
    options: &GenerateOptions,
    canceller: &Canceller,
    mut emit: impl FnMut(Event),
) -> Result<Outcome> {
    options.validate()?;
    let mut sampler = Sampler::new(&options.sample)?;
    let start = Instant::now();
    let cached = cache.keep_prefix(prompt);
    // The prompt and the first generated token must fit.
    cache.reserve(prompt.len() + 1 - cached)?;
    let mut output = Output::new(model, opens_thinking, options)?;
    let mut usage = Usage {
        prompt_tokens: prompt.len(),
        cached_tokens: cached,
        ..Usage::default()
    };

    let Some(mut logits) = prefill(model, cache, &prompt[cached..], canceller)? else {
        return Ok(output.end(FinishReason::Cancelled, usage, &mut emit));
    };
    for id in prompt {
        sampler.accept(*id);
    }
    let mut first = None;
    let finish = loop {
        // Rows beyond the vocabulary pad some files' matrices; they name no token.
        let id = sampler.sample(&mut logits[..model.tokenizer().vocab_size()])?;
        sampler.accept(id);
        usage.generated_tokens += 1;
        let began = *first.get_or_insert_with(Instant::now);
        usage.time_to_first_token = began - start;
        usage.decode_time = began.elapsed();

        if model.tokenizer().end_of_generation().contains(&id) {
            break FinishReason::EndOfTurn;
        }
        if output.push(id, &mut emit) {
            break FinishReason::StopString;
        }
        if options.max_tokens == Some(usage.generated_tokens) {
            break FinishReason::MaxTokens;
        }
        if canceller.is_cancelled() {
            break FinishReason::Cancelled;
        }
        if cache.len() == cache.capacity() {
            break FinishReason::ContextFull;
        }
        logits = model.evaluate(&[id], cache, 1)?;
    };
    Ok(output.end(finish, usage, &mut emit))
}

/// Runs `ids` in pieces; the logits of the last, or `None` when cancelled before the end.
fn prefill(
    model: &LocalModel,
    cache: &mut KvCache,
    ids: &[u32],
    canceller: &Canceller,
) -> Result<Option<Vec<f32>>> {
    let mut logits = Vec::new();
    let pieces = ids.len().div_ceil(PREFILL_CHUNK);
    for (i, piece) in ids.chunks(PREFILL_CHUNK).enumerate() {
        if canceller.is_cancelled() {
            return Ok(None);
        }
        logits = model.evaluate(piece, cache, usize::from(i + 1 == pieces))?;
    }
    Ok(Some(logits))
}

/// From token ids to events: characters, stop strings, thinking.
struct Output {
    detokenizer: crate::tokenizer::Detokenizer,
    stops: StopStrings,
    splitter: Splitter,
    text: String,
    reasoning: String,
}

impl Output {
    fn new(model: &LocalModel, opens_thinking: bool, options: &GenerateOptions) -> Result<Self> {
        Ok(Self {
            detokenizer: model.tokenizer().continuing_detokenizer(),
            stops: StopStrings::new(&options.stop)?,
            splitter: Splitter::new(opens_thinking),
            text: String::new(),
            reasoning: String::new(),
        })
    }

    /// Takes one token; whether a stop string was completed.
    fn push(&mut self, id: u32, emit: &mut impl FnMut(Event)) -> bool {
        let delta = self.detokenizer.push(id);
        self.pass_on(&delta, emit)
    }

    fn pass_on(&mut self, delta: &str, emit: &mut impl FnMut(Event)) -> bool {
        let outcome = self.stops.push(delta);
        for piece in self.splitter.push(&outcome.emit) {
            self.tell(piece, emit);
        }
        outcome.stopped
    }

    fn tell(&mut self, piece: Piece, emit: &mut impl FnMut(Event)) {
        match piece {
            Piece::Text(text) => {
                self.text.push_str(&text);
                emit(Event::Text(text));
            }
            Piece::Reasoning(text) => {
                self.reasoning.push_str(&text);
                emit(Event::Reasoning(text));
            }
        }
    }

    /// Lets go of what was held back and reports the end.
    fn end(mut self, finish: FinishReason, usage: Usage, emit: &mut impl FnMut(Event)) -> Outcome {
        if finish != FinishReason::StopString {
            let tail = self.detokenizer.finish();
            if !self.pass_on(&tail, emit) {
                let held = self.stops.finish();
                for piece in self.splitter.push(&held) {
                    self.tell(piece, emit);
                }
            }
        }
        if let Some(piece) = self.splitter.finish() {
            self.tell(piece, emit);
        }
        Outcome {
            text: self.text,
            reasoning: self.reasoning,
            finish,
            usage,
        }
    }
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

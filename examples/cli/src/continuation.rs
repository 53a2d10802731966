//! `run --raw`: continuing a text as it stands, on the primitives beneath sessions.

use std::time::Instant;

use anyhow::Result;
use pocketlm::sample::{Sampler, StopStrings};
use pocketlm::tokenizer::Special;
use pocketlm::{Canceller, FinishReason, GenerateOptions, LocalModel, Usage};

use crate::answer::{Answer, AnswerWriter};
use crate::interrupt;
use crate::output::Output;

/// Prompt tokens computed between two looks at Ctrl-C.
const PIECE: usize = 128;

/// Continues `text`, writing what comes (or one JSON line at the end). Special tokens in the text
/// count as such: whoever writes raw prompts writes their own template. Ctrl-C ends it early; that
/// is no error.
///
/// # Errors
/// What the library reports, or a failed write.
pub fn continue_text(
    model: &LocalModel,
    text: &str,
    options: &GenerateOptions,
    out: &mut Output,
) -> Result<Answer> {
    options.validate()?;
    let tokenizer = model.tokenizer();
    let prompt = tokenizer.encode(text, true, Special::Parse)?;
    let mut sampler = Sampler::new(&options.sample)?;
    let mut stops = StopStrings::new(&options.stop)?;
    let mut detokenizer = tokenizer.detokenizer();
    let mut constraint = match &options.format {
        Some(format) => Some(model.grammars()?.compile(format)?),
        None => None,
    };
    let mut cache = model.new_cache()?;
    let canceller = Canceller::default();
    let _during = interrupt::during(canceller.clone());
    let mut writer = AnswerWriter::new(out);
    let mut usage = Usage {
        prompt_tokens: prompt.len(),
        ..Usage::default()
    };

    let start = Instant::now();
    let mut logits = Vec::new();
    for piece in prompt.chunks(PIECE) {
        if canceller.is_cancelled() {
            return writer.end(FinishReason::Cancelled, usage);
        }
        logits = model.evaluate(piece, &mut cache, 1)?;
    }
    prompt.iter().for_each(|&id| sampler.accept(id));
    usage.time_to_first_token = start.elapsed();
    let first = Instant::now();
    let finish = loop {
        logits.truncate(tokenizer.vocab_size());
        if let Some(constraint) = &mut constraint {
            constraint.mask(&mut logits)?;
        }
        let id = sampler.sample(&mut logits)?;
        sampler.accept(id);
        if let Some(constraint) = &mut constraint {
            constraint.accept(id)?;
        }
        usage.generated_tokens += 1;
        usage.decode_time = first.elapsed();
        if tokenizer.end_of_generation().contains(&id) {
            break FinishReason::EndOfTurn;
        }
        let outcome = stops.push(&detokenizer.push(id));
        writer.text(&outcome.emit)?;
        if outcome.stopped {
            return writer.end(FinishReason::StopString, usage);
        }
        if constraint.as_ref().is_some_and(|c| c.must_stop()) {
            break FinishReason::EndOfTurn;
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
        logits = model.evaluate(&[id], &mut cache, 1)?;
    };
    // What was held back: half a character, or what might have become a stop text.
    let outcome = stops.push(&detokenizer.finish());
    writer.text(&outcome.emit)?;
    if !outcome.stopped {
        writer.text(&stops.finish())?;
    }
    writer.end(finish, usage)
}

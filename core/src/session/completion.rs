//! Fill-in-the-middle: what belongs between a prefix and a suffix, as fast as somebody types
//! (arXiv 2207.14255).
//!
//! The prompt is `<prefix> …text before the cursor… <suffix> …text after it… <middle>`: with the
//! text before the cursor first, a keystroke changes the prompt only from its last word on, and
//! everything before that is in the cache.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::cache::KvCache;
use crate::error::{PocketError, Result};
use crate::tokenizer::Special;

use super::context_policy;
use super::conversation::ModelSession;
use super::event::Event;
use super::lifecycle::Release;
use super::model::LocalModel;
use super::options::GenerateOptions;
use super::prompt::Prompt;
use super::speculation::Speculator;
use super::stream::{Canceller, ResponseStream};
use super::tools::ToolSet;
use super::turn::Turn;
use super::turn_slot::TurnSlot;

/// The tokens around the parts of a prompt.
#[derive(Clone, Copy, Debug)]
struct Frame {
    bos: Option<u32>,
    prefix: u32,
    suffix: u32,
    middle: u32,
}

/// Completes text at a cursor, with a cache of its own that lives from keystroke to keystroke.
pub struct Completer {
    model: LocalModel,
    frame: Frame,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    memory: Mutex<Memory>,
    slot: TurnSlot,
}

/// What lives from keystroke to keystroke.
#[derive(Default)]
struct Memory {
    cache: Option<KvCache>,
    speculator: Option<Speculator>,
}

impl Shared {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self) {
        *self.memory() = Memory::default();
    }
}

impl Memory {
    /// Generates after `prompt`; the closing event.
    fn run(
        &mut self,
        turn: &Turn<'_>,
        prompt: &Prompt,
        emit: &mut dyn FnMut(Event),
    ) -> Result<Event> {
        let cache = match &mut self.cache {
            Some(cache) => cache,
            none => none.insert(turn.model.new_cache()?),
        };
        let kind = &turn.options.speculation;
        let speculator = Speculator::reuse(&mut self.speculator, kind, turn.model)?;
        Ok(turn.run(cache, prompt, speculator, emit)?.done())
    }
}

impl Release for Shared {
    fn release(&self) {
        if let Ok(mut memory) = self.memory.try_lock() {
            *memory = Memory::default();
        }
    }
}

impl LocalModel {
    /// A completer of this model.
    ///
    /// # Errors
    /// [`PocketError::UnsupportedModel`] when the vocabulary has no tokens for filling in the
    /// middle, [`PocketError::Closed`].
    pub fn completer(&self) -> Result<Completer> {
        let tokenizer = self.tokenizer();
        let ids = tokenizer.special_ids();
        let (Some(prefix), Some(suffix), Some(middle)) =
            (ids.fim_prefix, ids.fim_suffix, ids.fim_middle)
        else {
            return Err(PocketError::unsupported(
                "fill-in-the-middle: the model's vocabulary has no tokens for it",
            ));
        };
        let shared = Arc::new(Shared::default());
        let weak = Arc::downgrade(&shared);
        let holder: Weak<dyn Release> = weak;
        self.inner.lifecycle.hold(holder)?;
        Ok(Completer {
            model: self.clone(),
            frame: Frame {
                bos: tokenizer.bos().filter(|_| tokenizer.adds_bos()),
                prefix,
                suffix,
                middle,
            },
            shared,
        })
    }
}

impl Completer {
    /// Begins to generate what belongs between `prefix` and `suffix`. A completion that is still
    /// in progress is cancelled first: only the newest keystroke counts. What the two prompts have
    /// in common is not computed again.
    ///
    /// Where the window is too small, the far ends of the texts are left out: the beginning of the
    /// prefix and the end of the suffix.
    ///
    /// # Errors
    /// [`PocketError::Closed`], [`PocketError::InvalidArgument`] for the options. Errors of the
    /// generation itself come as the stream's last item.
    pub fn complete(
        &self,
        prefix: &str,
        suffix: &str,
        options: &GenerateOptions,
    ) -> Result<ResponseStream> {
        options.validate()?;
        let canceller = Canceller::default();
        let work = self.model.inner.lifecycle.begin(&canceller)?;
        let slot = loop {
            self.shared.slot.cancel_and_wait();
            match TurnSlot::begin(&self.shared, |shared| &shared.slot, &canceller) {
                // Another thread's keystroke came first: this one is newer.
                Err(PocketError::Busy) => continue,
                other => break other?,
            }
        };
        let prompt = self.prompt(prefix, suffix, options.max_tokens)?;
        let (model, options) = (self.model.clone(), options.clone());
        ResponseStream::start(
            canceller,
            work,
            slot,
            Shared::forget,
            move |shared, canceller, emit| {
                let turn = Turn {
                    model: &model,
                    tools: &ToolSet::none(),
                    options: &options,
                    canceller,
                };
                shared.memory().run(&turn, &prompt, emit)
            },
        )
    }

    /// Stops the completion in progress, if there is one.
    pub fn cancel(&self) {
        self.shared.slot.cancel();
    }

    /// What the model reads.
    fn prompt(&self, prefix: &str, suffix: &str, max_tokens: Option<usize>) -> Result<Prompt> {
        let tokenizer = self.model.tokenizer();
        let prefix = tokenizer.encode(prefix, false, Special::Text)?;
        let suffix = tokenizer.encode(suffix, false, Special::Text)?;
        let (cut, kept) = window(prefix.len(), suffix.len(), self.model.context(), max_tokens);
        let Frame {
            bos,
            prefix: before,
            suffix: after,
            middle,
        } = self.frame;
        let mut ids: Vec<u32> = bos.into_iter().collect();
        ids.push(before);
        ids.extend(&prefix[cut..]);
        ids.push(after);
        ids.extend(&suffix[..kept]);
        ids.push(middle);
        Ok(Prompt {
            ids,
            opens_thinking: false,
        })
    }
}

/// How many tokens at the beginning of the prefix are left out, and how many of the suffix are
/// kept.
///
/// Were the prefix cut to the very token, each keystroke would move its beginning and nothing of
/// the cache could be used: it is cut in strides.
fn window(
    prefix: usize,
    suffix: usize,
    context: usize,
    max_tokens: Option<usize>,
) -> (usize, usize) {
    let answer = context_policy::room(context, max_tokens);
    // The three tokens of the frame, and perhaps one that begins every sequence.
    let room = context.saturating_sub(answer + 4);
    let kept = suffix.min((room / 4).max(room.saturating_sub(prefix)));
    let over = prefix.saturating_sub(room - kept);
    let stride = (room / 8).max(1);
    (over.next_multiple_of(stride).min(prefix), kept)
}

impl ModelSession {
    /// What belongs between `prefix` and `suffix`, for suggestions as somebody types. The
    /// conversation takes no part in it and is not changed. See [`Completer::complete`].
    ///
    /// # Errors
    /// As [`LocalModel::completer`] and [`Completer::complete`].
    pub fn complete(
        &self,
        prefix: &str,
        suffix: &str,
        options: &GenerateOptions,
    ) -> Result<ResponseStream> {
        self.check_open()?;
        let completer = match self.completer.get() {
            Some(completer) => completer,
            None => {
                let new = self.model.completer()?;
                self.completer.get_or_init(|| new)
            }
        };
        completer.complete(prefix, suffix, options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_kept_whole() {
        assert_eq!(window(100, 50, 1000, Some(64)), (0, 50));
        assert_eq!(window(0, 0, 1000, None), (0, 0));
        assert_eq!(window(10, 900, 1000, Some(64)), (0, 900));
    }

    #[test]
    fn a_long_text_is_cut_at_its_far_ends_in_strides() {
        // 932 tokens of room, of which the suffix gets a quarter; strides of 116.
        let (cut, kept) = window(5000, 5000, 1000, Some(64));
        assert_eq!(kept, 233);
        assert!((5000 - cut) + kept <= 932 && cut % 116 == 0);
        let cuts: Vec<usize> = (5000..5232)
            .map(|n| window(n, 5000, 1000, Some(64)).0)
            .collect();
        let moves = cuts.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert_eq!(moves, 2, "the beginning moves once in a stride");
        for context in 1..40 {
            for prefix in 0..50 {
                let (cut, kept) = window(prefix, 50, context, None);
                assert!(cut <= prefix && kept <= 50);
                if context >= 6 {
                    let answer = 1;
                    assert!(prefix - cut + kept + 4 + answer <= context.max(6));
                }
            }
        }
    }
}

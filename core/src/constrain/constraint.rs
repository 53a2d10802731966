//! The constraint of one answer: which tokens may come next.

use std::fmt;
use std::sync::Arc;

use llguidance::Matcher;
use llguidance::toktrie::SimpleVob;

use super::vocabulary::Vocabulary;
use super::{first_line, internal};
use crate::error::{PocketError, Result};

/// The state of an answer under a grammar. A clone goes on independently from the same place.
#[derive(Clone)]
pub struct Constraint {
    matcher: Matcher,
    vocabulary: Arc<Vocabulary>,
    /// Whether white space before the answer is no part of it, as in JSON.
    skips_space: bool,
    /// Whether no token was accepted yet.
    fresh: bool,
}

impl Constraint {
    pub(super) fn new(matcher: Matcher, vocabulary: Arc<Vocabulary>, skips_space: bool) -> Self {
        Self {
            matcher,
            vocabulary,
            skips_space,
            fresh: true,
        }
    }

    /// Sets the logits of tokens that may not come next to -∞. `logits` has one element for each
    /// token of the vocabulary; elements beyond it name no token and are out too.
    ///
    /// A vocabulary that puts a space before each text (Llama 2, Mistral) may have taught its model
    /// to begin an answer with one. JSON may begin with it; other formats may not.
    ///
    /// # Errors
    /// [`PocketError::InvalidArgument`] when `logits` is too short, when no token of the
    /// vocabulary can go on (`format`), or when the grammar turns out to be too ambiguous for the
    /// limits (`format`).
    pub fn mask(&mut self, logits: &mut [f32]) -> Result<()> {
        if logits.len() < self.vocabulary.len() {
            let (got, want) = (logits.len(), self.vocabulary.len());
            return Err(PocketError::invalid(
                "logits",
                format!("{got} for a vocabulary of {want} tokens"),
            ));
        }
        let mut allowed = self.matcher.compute_mask_or_eos().map_err(refused)?;
        for id in self.space_before(&allowed) {
            allowed.allow_token(id);
        }
        if allowed.is_zero() {
            return Err(PocketError::invalid(
                "format",
                "the answer is complete, and this vocabulary has no token that ends it",
            ));
        }
        let (inside, beyond) = logits.split_at_mut(self.vocabulary.len());
        for (chunk, &bits) in inside.chunks_mut(32).zip(allowed.as_slice()) {
            match bits {
                0 => chunk.fill(f32::NEG_INFINITY),
                u32::MAX => {}
                _ => {
                    for (i, logit) in chunk.iter_mut().enumerate() {
                        if bits & 1 << i == 0 {
                            *logit = f32::NEG_INFINITY;
                        }
                    }
                }
            }
        }
        beyond.fill(f32::NEG_INFINITY);
        Ok(())
    }

    /// Takes `id` as the next token of the answer; a token that ends generation when the answer
    /// [is complete](Self::is_complete).
    ///
    /// # Errors
    /// [`PocketError::InvalidArgument`] for a token that the mask excludes; the constraint is then
    /// where it was.
    pub fn accept(&mut self, id: u32) -> Result<()> {
        let id = self.without_space(id);
        if self.vocabulary.is_end(id) && self.is_complete() {
            if !self.must_stop() {
                self.matcher.consume_token(id).map_err(refused)?;
            }
            return Ok(());
        }
        let text = !self.vocabulary.bytes(id).is_empty();
        if !text || self.matcher.try_consume_tokens(&[id]).map_err(refused)? == 0 {
            return Err(PocketError::invalid(
                "token",
                format!("the output format does not allow token {id} here"),
            ));
        }
        self.fresh = false;
        Ok(())
    }

    /// The tokens that must come next, tokenized as the model would; empty when there is a choice,
    /// be it only how to tokenize (see the [module](super)). They are not accepted by this.
    ///
    /// # Errors
    /// As [`Constraint::mask`].
    pub fn forced(&mut self) -> Result<Vec<u32>> {
        if self.must_stop() || (self.fresh && self.may_have_space()) {
            return Ok(Vec::new());
        }
        let tokens = self.matcher.compute_ff_tokens();
        match self.matcher.get_error() {
            Some(error) => Err(refused(error)),
            None => Ok(tokens),
        }
    }

    /// How many of `ids`, from the first on, may come next one after the other: what is worth
    /// guessing. Nothing is accepted by this.
    ///
    /// # Errors
    /// As [`Constraint::mask`].
    pub fn allows(&mut self, ids: &[u32]) -> Result<usize> {
        let is_text = |id: &&u32| !self.vocabulary.bytes(**id).is_empty();
        let text = ids.iter().take_while(is_text).count();
        if text == 0 || self.must_stop() {
            return Ok(0);
        }
        self.matcher.validate_tokens(&ids[..text]).map_err(refused)
    }

    /// Whether the text so far is a whole match. More may follow.
    pub fn is_complete(&mut self) -> bool {
        self.matcher.is_accepting().unwrap_or(false)
    }

    /// Whether nothing can follow: the answer ends here.
    pub fn must_stop(&self) -> bool {
        self.matcher.is_stopped()
    }

    /// Whether the answer may begin with a space that is not in the grammar.
    fn may_have_space(&self) -> bool {
        self.skips_space && !self.vocabulary.spaced().is_empty()
    }

    /// Tokens that begin with a space and are otherwise a beginning of the answer.
    fn space_before(&mut self, allowed: &SimpleVob) -> Vec<u32> {
        if !self.fresh || !self.may_have_space() {
            return Vec::new();
        }
        let mut starts = [false; 256];
        allowed.iter_set_entries(|id| {
            if let Some(&byte) = self.vocabulary.bytes(id as u32).first() {
                starts[usize::from(byte)] = true;
            }
        });
        let vocabulary = self.vocabulary.clone();
        let pairs = vocabulary.spaced().iter();
        pairs
            .filter(|(_, bare)| {
                let first = vocabulary.bytes(*bare).first();
                first.is_some_and(|&byte| starts[usize::from(byte)])
                    && self.matcher.validate_tokens(&[*bare]).is_ok_and(|n| n == 1)
            })
            .map(|(spaced, _)| *spaced)
            .collect()
    }

    /// What the grammar sees of the first token: not the space before it.
    fn without_space(&self, id: u32) -> u32 {
        if !self.fresh || !self.may_have_space() {
            return id;
        }
        let pairs = self.vocabulary.spaced();
        match pairs.binary_search_by_key(&id, |pair| pair.0) {
            Ok(i) => pairs[i].1,
            Err(_) => id,
        }
    }
}

impl fmt::Debug for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Constraint")
            .field("fresh", &self.fresh)
            .field("must_stop", &self.must_stop())
            .finish_non_exhaustive()
    }
}

/// Why the engine gave up in the middle of an answer.
fn refused(error: impl fmt::Display) -> PocketError {
    let text = error.to_string();
    let reason = first_line(&text);
    if reason.starts_with("panic") {
        return internal(reason);
    }
    let reason = match reason {
        "NoExtensionBias" => "no token of the vocabulary can go on",
        other => other,
    };
    PocketError::invalid("format", reason)
}

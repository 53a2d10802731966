//! What a caller may ask of one answer.

use crate::constrain::OutputFormat;
use crate::error::{PocketError, Result};
use crate::sample::SampleOptions;

use super::speculation::Speculation;

/// Options of one answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GenerateOptions {
    /// How tokens are drawn.
    pub sample: SampleOptions,
    /// The most tokens to generate; `None` stops only at the model's own end or a full context.
    pub max_tokens: Option<usize>,
    /// Texts that end the answer; they are not part of it.
    pub stop: Vec<String>,
    /// Whether several tokens are computed in one pass. Changes how long it takes, not what is said.
    pub speculation: Speculation,
    /// What the answer must look like; anything by default. See `docs/structured-output.md`.
    pub format: Option<OutputFormat>,
    /// Tokens of thinking after which a reasoning model has to answer: the end of its thinking is put
    /// into the text. `None` lets it think as long as it likes, 0 not at all.
    pub reasoning_budget: Option<usize>,
}

impl GenerateOptions {
    /// Always the likeliest token: the same answer every time.
    pub fn greedy() -> Self {
        Self {
            sample: SampleOptions::greedy(),
            ..Self::default()
        }
    }

    /// The same options with a bound on the tokens generated.
    pub fn with_max_tokens(mut self, max_tokens: usize) -> Self {
        self.max_tokens = Some(max_tokens);
        self
    }

    /// Checks what can be checked before anything is computed.
    ///
    /// # Errors
    /// [`PocketError::InvalidArgument`] naming the option.
    pub fn validate(&self) -> Result<()> {
        if self.max_tokens == Some(0) {
            return Err(PocketError::invalid(
                "max_tokens",
                "0 leaves no room for an answer",
            ));
        }
        Ok(())
    }
}

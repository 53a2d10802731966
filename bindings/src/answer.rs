//! What an answer consists of, as records of the foreign languages.

/// A whole answer.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct Response {
    /// Its text.
    pub text: String,
    /// The model's thinking before it, where it shows any.
    pub reasoning: String,
    /// Why it ended.
    pub finish: FinishReason,
    /// What it cost.
    pub usage: Usage,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
#[non_exhaustive]
pub enum FinishReason {
    /// The model ended its turn.
    EndOfTurn,
    /// A stop text appeared.
    StopString,
    /// The limit of tokens was reached; the answer may be incomplete.
    MaxTokens,
    /// The context window is full; the answer may be incomplete.
    ContextFull,
    /// The app cancelled; the turn is forgotten.
    Cancelled,
}

/// What an answer cost.
#[derive(Clone, Copy, Debug, PartialEq, uniffi::Record)]
pub struct Usage {
    /// Tokens of the prompt, those of earlier turns included.
    pub prompt_tokens: u64,
    /// Tokens of the prompt that the session remembered and did not compute again.
    pub cached_tokens: u64,
    /// Tokens of the answer.
    pub generated_tokens: u64,
    /// Seconds from the call to the first token.
    pub first_token_seconds: f64,
    /// Generated tokens per second after the first one.
    pub decode_tokens_per_second: f64,
}

impl From<pocketlm::FinishReason> for FinishReason {
    fn from(finish: pocketlm::FinishReason) -> Self {
        use pocketlm::FinishReason as Core;
        match finish {
            Core::StopString => Self::StopString,
            Core::MaxTokens => Self::MaxTokens,
            Core::ContextFull => Self::ContextFull,
            Core::Cancelled => Self::Cancelled,
            // The core's enum may grow by other ways to end well.
            _ => Self::EndOfTurn,
        }
    }
}

impl From<pocketlm::Usage> for Usage {
    fn from(usage: pocketlm::Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens as u64,
            cached_tokens: usage.cached_tokens as u64,
            generated_tokens: usage.generated_tokens as u64,
            first_token_seconds: usage.time_to_first_token.as_secs_f64(),
            decode_tokens_per_second: usage.decode_tokens_per_second(),
        }
    }
}

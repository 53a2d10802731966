//! What a generation tells its caller, in order.

use std::fmt;
use std::time::Duration;

use crate::chat::ToolCall;

/// One step of an answer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// More of the answer; always whole characters.
    Text(String),
    /// More of the model's thinking, which is not part of the answer.
    Reasoning(String),
    /// The model calls a tool, which runs next.
    ToolCall(ToolCall),
    /// What the call gave, as the model reads it: the tool's text, or `{"error": reason}`.
    ToolResult {
        /// The call.
        call: ToolCall,
        /// The text.
        content: String,
    },
    /// Something the app may want to know; the answer goes on.
    Notice(Notice),
    /// The end, always the last event of a generation that did not fail.
    Done {
        /// Why it ended.
        finish: FinishReason,
        /// What it took.
        usage: Usage,
    },
}

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FinishReason {
    /// The model ended its turn.
    EndOfTurn,
    /// A stop string appeared.
    StopString,
    /// `max_tokens` was reached; the answer may be incomplete.
    MaxTokens,
    /// The context window is full; the answer may be incomplete.
    ContextFull,
    /// The model wanted one more round of tool calls than a turn may have.
    ToolLimit,
    /// The caller cancelled; the turn was undone.
    Cancelled,
}

impl fmt::Display for FinishReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EndOfTurn => "end of turn",
            Self::StopString => "stop string",
            Self::MaxTokens => "max tokens",
            Self::ContextFull => "context full",
            Self::ToolLimit => "tool limit",
            Self::Cancelled => "cancelled",
        })
    }
}

/// Something the runtime did that the caller did not ask for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Notice {
    /// `auto` chose the CPU because the GPU could not be used.
    DeviceFallback {
        /// Why the GPU was not used.
        reason: String,
    },
    /// The file has no chat template; a plain one is used and answers may be poor.
    NoChatTemplate,
    /// The context window is full: the oldest turns are no longer sent to the model.
    TurnsDropped {
        /// How many turns more than before.
        turns: usize,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeviceFallback { reason } => write!(f, "running on the CPU: {reason}"),
            Self::TurnsDropped { turns } => write!(
                f,
                "the context is full: {turns} more of the oldest turns are no longer sent"
            ),
            Self::NoChatTemplate => {
                write!(
                    f,
                    "the model has no chat template; prompts are sent as plain text"
                )
            }
        }
    }
}

/// What a generation took. In a turn with tool calls, the sum over its rounds; the time to the first
/// token is the first round's, and what the tools took is not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Tokens of the whole prompt, cached ones included.
    pub prompt_tokens: usize,
    /// Tokens of the prompt that already were in the cache.
    pub cached_tokens: usize,
    /// Tokens generated, the end-of-turn token included.
    pub generated_tokens: usize,
    /// Tokens guessed ahead and checked ([`Speculation`](super::Speculation)).
    pub drafted_tokens: usize,
    /// Of those, how many came true: tokens that took no pass of their own.
    pub accepted_tokens: usize,
    /// From the call to the first generated token.
    pub time_to_first_token: Duration,
    /// From the first generated token to the last.
    pub decode_time: Duration,
}

impl Usage {
    /// Adds a round of the same turn.
    pub(super) fn add_round(&mut self, round: &Self) {
        if self.generated_tokens == 0 {
            self.time_to_first_token = round.time_to_first_token;
        }
        self.prompt_tokens += round.prompt_tokens;
        self.cached_tokens += round.cached_tokens;
        self.generated_tokens += round.generated_tokens;
        self.drafted_tokens += round.drafted_tokens;
        self.accepted_tokens += round.accepted_tokens;
        self.decode_time += round.decode_time;
    }

    /// Prompt tokens computed per second until the first token.
    pub fn prefill_tokens_per_second(&self) -> f64 {
        let computed = self.prompt_tokens - self.cached_tokens;
        rate(computed, self.time_to_first_token)
    }

    /// Tokens per second after the first.
    pub fn decode_tokens_per_second(&self) -> f64 {
        rate(self.generated_tokens.saturating_sub(1), self.decode_time)
    }
}

fn rate(count: usize, time: Duration) -> f64 {
    if time.is_zero() {
        0.0
    } else {
        count as f64 / time.as_secs_f64()
    }
}

//! What an answer consists of, as the foreign languages see it.

use crate::info::Notice;
use crate::message::ToolCall;

/// One step of an answer.
#[derive(Clone, Debug, PartialEq, uniffi::Enum)]
#[non_exhaustive]
pub enum Event {
    /// More of the answer; always whole characters.
    Text {
        /// What comes after the text before.
        delta: String,
    },
    /// More of the model's thinking, which is not part of the answer.
    Reasoning {
        /// What comes after the thinking before.
        delta: String,
    },
    /// The model calls a tool: a message for the person who watches.
    ToolCall {
        /// The call.
        call: ToolCall,
    },
    /// The tool is to be run: the answer waits for `ResponseStream.answer_tool`. Does not come for
    /// a call that cannot be made, of a tool that is not there for example.
    ToolNeeded {
        /// The call; what the schema requires of its arguments is there and has the right type.
        call: ToolCall,
    },
    /// What the call gave, as the model reads it: the tool's text, or `{"error": reason}`.
    ToolResult {
        /// The call.
        call: ToolCall,
        /// The text.
        content: String,
    },
    /// Something the app may want to know; the answer goes on.
    Notice {
        /// What it is.
        notice: Notice,
    },
    /// The end, always the last event of an answer that did not fail.
    Done {
        /// Why it ended.
        finish: FinishReason,
        /// What it took.
        usage: Usage,
    },
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
    /// The model wanted one more round of tool calls than a turn may have.
    ToolLimit,
    /// The app cancelled; the turn is forgotten.
    Cancelled,
}

/// What an answer cost.
#[derive(Clone, Copy, Debug, PartialEq, uniffi::Record)]
pub struct Usage {
    /// Tokens of the whole prompt, those of earlier turns included.
    pub prompt_tokens: u64,
    /// Tokens of the prompt that the session remembered and did not compute again.
    pub cached_tokens: u64,
    /// Tokens generated, the end-of-turn token included.
    pub generated_tokens: u64,
    /// Tokens guessed ahead and checked.
    pub drafted_tokens: u64,
    /// Of those, how many came true.
    pub accepted_tokens: u64,
    /// Seconds from the call to the first generated token.
    pub first_token_seconds: f64,
    /// Seconds from the first generated token to the last.
    pub decode_seconds: f64,
    /// Prompt tokens computed per second until the first generated token.
    pub prefill_tokens_per_second: f64,
    /// Generated tokens per second after the first.
    pub decode_tokens_per_second: f64,
}

/// The event in foreign form; `None` for one that this version of the border does not know.
pub(crate) fn foreign(event: pocketlm::Event) -> Option<Event> {
    use pocketlm::Event as Core;
    Some(match event {
        Core::Text(delta) => Event::Text { delta },
        Core::Reasoning(delta) => Event::Reasoning { delta },
        Core::ToolCall(call) => Event::ToolCall { call: call.into() },
        Core::ToolResult { call, content } => Event::ToolResult {
            call: call.into(),
            content,
        },
        Core::Notice(notice) => Event::Notice {
            notice: notice.into(),
        },
        Core::Done { finish, usage } => Event::Done {
            finish: finish.into(),
            usage: usage.into(),
        },
        _ => return None,
    })
}

impl From<pocketlm::FinishReason> for FinishReason {
    fn from(finish: pocketlm::FinishReason) -> Self {
        use pocketlm::FinishReason as Core;
        match finish {
            Core::StopString => Self::StopString,
            Core::MaxTokens => Self::MaxTokens,
            Core::ContextFull => Self::ContextFull,
            Core::ToolLimit => Self::ToolLimit,
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
            drafted_tokens: usage.drafted_tokens as u64,
            accepted_tokens: usage.accepted_tokens as u64,
            first_token_seconds: usage.time_to_first_token.as_secs_f64(),
            decode_seconds: usage.decode_time.as_secs_f64(),
            prefill_tokens_per_second: usage.prefill_tokens_per_second(),
            decode_tokens_per_second: usage.decode_tokens_per_second(),
        }
    }
}

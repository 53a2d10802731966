//! A turn of several rounds: the model answers or calls tools, and reads their results.
//!
//! ```text
//! messages ─→ prompt ─→ Turn ─→ text ─────────────────────────────→ the end
//!     ↑                     └─→ calls ─→ tools ─→ results ─┐
//!     └─────────────────────── + calls, + results ─────────┘
//! ```
//!
//! Nothing is committed here: the caller gets the messages of all rounds, and a turn that fails or
//! is cancelled in any of them, or inside a tool, is as if it had never been.

use crate::cache::KvCache;
use crate::chat::{Message, ToolCall};
use crate::error::Result;

use super::event::{Event, FinishReason, Usage};
use super::prompt::Prompt;
use super::speculation::Speculator;
use super::tools::{self, ToolSet};
use super::turn::{Outcome, Turn};

/// What stands in the text between what was said before and after a round of calls.
const BETWEEN_ROUNDS: &str = "\n\n";

/// The rounds of one turn.
pub struct Rounds {
    /// The conversation, with the answer, or several with the results of calls.
    pub messages: Vec<Message>,
    /// Why the last round ended.
    pub finish: FinishReason,
    /// What all rounds took.
    pub usage: Usage,
}

/// Makes the prompt of a conversation; it may tell of what it had to leave out.
pub type MakePrompt<'a> = dyn FnMut(&[Message], &mut dyn FnMut(Event)) -> Result<Prompt> + 'a;

impl Rounds {
    /// None yet, after `messages`.
    pub fn new(messages: Vec<Message>) -> Self {
        Self {
            messages,
            finish: FinishReason::Cancelled,
            usage: Usage::default(),
        }
    }

    /// Answers, in as many rounds as the model's calls need. `prompt` is the first one's.
    ///
    /// # Errors
    /// Those of [`Turn::run`] and of `make_prompt`, and
    /// [`PocketError::ToolFailed`](crate::PocketError::ToolFailed) when a tool panics.
    pub fn run(
        &mut self,
        turn: &Turn<'_>,
        mut prompt: Prompt,
        make_prompt: &mut MakePrompt<'_>,
        cache: &mut KvCache,
        speculator: &mut Speculator,
        emit: &mut dyn FnMut(Event),
    ) -> Result<()> {
        let mut options = turn.options.clone();
        let mut said = false;
        for round in 0.. {
            let turn = Turn {
                options: &options,
                ..*turn
            };
            let mut spoke = false;
            let outcome = turn.run(cache, &prompt, speculator, &mut |event| {
                if matches!(event, Event::Text(_)) && !std::mem::replace(&mut spoke, true) && said {
                    emit(Event::Text(BETWEEN_ROUNDS.into()));
                }
                emit(event);
            })?;
            said |= spoke;
            self.usage.add_round(&outcome.usage);
            let generated = outcome.usage.generated_tokens;
            let left = options.max_tokens.map(|most| most - generated);
            let finish = outcome.finish;
            let asked = add_answer(&mut self.messages, outcome);
            let end = match finish {
                _ if asked.is_empty() => Some(finish),
                FinishReason::EndOfTurn | FinishReason::StopString => match left {
                    Some(0) => Some(FinishReason::MaxTokens),
                    _ if round == turn.tools.max_rounds => Some(FinishReason::ToolLimit),
                    _ => None,
                },
                cut => Some(cut),
            };
            let goes_on = answer_calls(&turn, asked, end, &mut self.messages, emit)?;
            if !goes_on {
                self.finish = FinishReason::Cancelled;
                return Ok(());
            }
            if let Some(finish) = end {
                self.finish = finish;
                return Ok(());
            }
            options.max_tokens = left;
            prompt = make_prompt(&self.messages, emit)?;
        }
        Ok(())
    }
}

/// A call with an identifier, and what is wrong with it.
type Asked = (ToolCall, Option<String>);

/// Adds what the model said to `messages`. Its calls.
fn add_answer(messages: &mut Vec<Message>, outcome: Outcome) -> Vec<Asked> {
    let mut answer = Message::assistant(outcome.text);
    if !outcome.reasoning.is_empty() {
        answer.reasoning = Some(outcome.reasoning);
    }
    let mut mistakes = Vec::new();
    for call in outcome.calls {
        let before = messages.iter().flat_map(|m| &m.tool_calls);
        let taken: Vec<&str> = before
            .chain(&answer.tool_calls)
            .map(|call| call.id.as_str())
            .collect();
        let id = identifier(call.id.as_deref(), &taken);
        answer
            .tool_calls
            .push(ToolCall::new(id, call.name, call.arguments));
        mistakes.push(call.mistake);
    }
    let calls = answer.tool_calls.iter().cloned().zip(mistakes).collect();
    messages.push(answer);
    calls
}

/// The model's own identifier, where every template takes it and it is new; else a new one. Nine
/// letters and digits, because Mistral's templates demand that.
fn identifier(own: Option<&str>, taken: &[&str]) -> String {
    let is_new = |id: &str| !taken.contains(&id);
    let is_plain = |id: &str| id.len() == 9 && id.bytes().all(|b| b.is_ascii_alphanumeric());
    match own.filter(|id| is_plain(id) && is_new(id)) {
        Some(id) => id.to_owned(),
        None => (taken.len() + 1..)
            .map(|n| format!("call{n:05}"))
            .find(|id| is_new(id))
            .unwrap_or_default(),
    }
}

/// Makes the calls of the newest message and adds their results to `messages`; false when the turn
/// was cancelled meanwhile. With an `end` no tool is run, and the results say why: so the transcript
/// stays one that templates accept, and the model knows if the conversation goes on.
fn answer_calls(
    turn: &Turn<'_>,
    asked: Vec<Asked>,
    end: Option<FinishReason>,
    messages: &mut Vec<Message>,
    emit: &mut dyn FnMut(Event),
) -> Result<bool> {
    for (written, mistake) in asked {
        if turn.canceller.is_cancelled() {
            return Ok(false);
        }
        let found = match mistake {
            Some(mistake) => Err(mistake),
            None => turn.tools.find(&written),
        };
        let (call, content) = match (found, end) {
            (Err(reason), _) => {
                emit(Event::ToolCall(written.clone()));
                (written, tools::refusal(&reason))
            }
            (Ok((_, call)), Some(end)) => {
                emit(Event::ToolCall(call.clone()));
                (call, tools::refusal(&not_run(end, turn.tools)))
            }
            (Ok((tool, call)), None) => {
                emit(Event::ToolCall(call.clone()));
                let content = tools::run(tool, &call, turn.canceller)?;
                (call, content)
            }
        };
        if turn.canceller.is_cancelled() {
            return Ok(false);
        }
        messages.push(Message::tool_result(&call, content.as_str()));
        emit(Event::ToolResult { call, content });
    }
    Ok(true)
}

fn not_run(end: FinishReason, tools: &ToolSet) -> String {
    match end {
        FinishReason::ToolLimit => format!(
            "not run: {} rounds of calls are the limit of a turn",
            tools.max_rounds
        ),
        other => format!("not run: the turn ended ({other})"),
    }
}

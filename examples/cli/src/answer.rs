//! Writing an answer as it comes, and what is said about it afterwards.

use anyhow::{Context, Result};
use pocketlm::chat::ToolCall;
use pocketlm::{Event, FinishReason, GenerateOptions, ModelSession, ResponseStream, Usage};
use serde_json::{Value, json};

use crate::interrupt;
use crate::model_choice::show_notice;
use crate::output::Output;
use crate::tools;

/// An answer that has been written.
pub struct Answer {
    /// All of its text.
    pub text: String,
    /// The thinking before it, where the model shows any.
    pub reasoning: String,
    /// The tools that the model called.
    pub calls: Vec<ToolCall>,
    /// Why it ended.
    pub finish: FinishReason,
    /// What it cost.
    pub usage: Usage,
}

/// Answers `prompt`, writing the text as it comes (or one JSON line at the end). Ctrl-C ends the
/// answer early; that is no error.
///
/// # Errors
/// What the library reports, or a failed write.
pub fn answer(
    session: &ModelSession,
    prompt: &str,
    options: &GenerateOptions,
    out: &mut Output,
) -> Result<Answer> {
    write_stream(session.stream(prompt, options)?, out)
}

/// Writes an answer as it comes, as [`answer`] does.
///
/// # Errors
/// What the library reports, or a failed write.
pub fn write_stream(stream: ResponseStream, out: &mut Output) -> Result<Answer> {
    let _during = interrupt::during(stream.canceller());
    let mut writer = AnswerWriter::new(out);
    let mut end = None;
    for event in stream {
        match event? {
            Event::Text(delta) => writer.text(&delta)?,
            Event::Reasoning(delta) => writer.reasoning(&delta)?,
            Event::ToolCall(call) => writer.call(call)?,
            Event::ToolResult { content, .. } => writer.result(&content),
            Event::Notice(notice) => show_notice(&notice),
            Event::Done { finish, usage } => end = Some((finish, usage)),
            _ => {}
        }
    }
    let (finish, usage) = end.context("the answer ended without its last event")?;
    writer.end(finish, usage)
}

/// Writes the pieces of an answer. Reasoning is dim on a terminal.
pub struct AnswerWriter<'a> {
    out: &'a mut Output,
    text: String,
    reasoning: String,
    calls: Vec<ToolCall>,
    colour: bool,
    /// Whether reasoning was written last.
    in_reasoning: bool,
}

impl<'a> AnswerWriter<'a> {
    /// A writer to standard output.
    pub fn new(out: &'a mut Output) -> Self {
        Self {
            colour: out.is_terminal() && std::env::var_os("NO_COLOR").is_none(),
            out,
            text: String::new(),
            reasoning: String::new(),
            calls: Vec::new(),
            in_reasoning: false,
        }
    }

    /// More of the answer.
    pub fn text(&mut self, delta: &str) -> Result<()> {
        self.text.push_str(delta);
        self.write(delta, false)
    }

    /// More of the thinking.
    pub fn reasoning(&mut self, delta: &str) -> Result<()> {
        self.reasoning.push_str(delta);
        self.write(delta, true)
    }

    /// A call of a tool, shown on standard error.
    pub fn call(&mut self, call: ToolCall) -> Result<()> {
        let in_line = match self.in_reasoning {
            true => &self.reasoning,
            false => &self.text,
        };
        let begun = !in_line.is_empty() && !in_line.ends_with('\n');
        // On a terminal the two streams are one.
        if begun && self.out.is_terminal() && !self.out.json {
            self.out.stream("\n")?;
        }
        eprintln!("[{}]", tools::show_call(&call));
        self.calls.push(call);
        Ok(())
    }

    /// What a call gave, shown on standard error.
    pub fn result(&mut self, content: &str) {
        eprintln!("[= {}]", tools::show_result(content));
    }

    fn write(&mut self, delta: &str, reasoning: bool) -> Result<()> {
        if self.out.json {
            return Ok(());
        }
        if self.in_reasoning != reasoning {
            self.in_reasoning = reasoning;
            self.out.stream(match (self.colour, reasoning) {
                (true, true) => "\x1b[2m",
                (true, false) => "\x1b[0m\n\n",
                (false, true) => "",
                (false, false) => "\n\n",
            })?;
        }
        self.out.stream(delta)
    }

    /// The end: a newline, or all of it as JSON.
    pub fn end(mut self, finish: FinishReason, usage: Usage) -> Result<Answer> {
        if self.in_reasoning {
            self.write("", false)?;
        }
        let answer = Answer {
            text: self.text,
            reasoning: self.reasoning,
            calls: self.calls,
            finish,
            usage,
        };
        match self.out.json {
            true => self.out.json(&answer.to_json())?,
            false if answer.text.ends_with('\n') => {}
            false => self.out.line("")?,
        }
        self.out.flush()?;
        Ok(answer)
    }
}

impl Answer {
    fn to_json(&self) -> Value {
        let usage = &self.usage;
        json!({
            "text": self.text,
            "reasoning": self.reasoning,
            "calls": self.calls,
            "finish": self.finish.to_string().replace(' ', "_"),
            "usage": {
                "prompt_tokens": usage.prompt_tokens,
                "cached_tokens": usage.cached_tokens,
                "generated_tokens": usage.generated_tokens,
                "drafted_tokens": usage.drafted_tokens,
                "accepted_tokens": usage.accepted_tokens,
                "first_token_s": usage.time_to_first_token.as_secs_f64(),
                "prefill_tokens_per_s": usage.prefill_tokens_per_second(),
                "decode_tokens_per_s": usage.decode_tokens_per_second(),
            },
        })
    }
}

/// Usage in one line for people.
pub fn usage_line(usage: &Usage) -> String {
    let guesses = match usage.drafted_tokens {
        0 => String::new(),
        drafted => format!(
            " ({} of {drafted} guesses came true)",
            usage.accepted_tokens
        ),
    };
    format!(
        "{} prompt tokens ({} cached), first token after {:.2} s; {} tokens at {:.1} tok/s{guesses}",
        usage.prompt_tokens,
        usage.cached_tokens,
        usage.time_to_first_token.as_secs_f64(),
        usage.generated_tokens,
        usage.decode_tokens_per_second(),
    )
}

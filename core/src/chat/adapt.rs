//! Rewrites a conversation for a template that lacks something: the system role, tools, tool calls
//! or results.
//!
//! - **System messages** go in front of the next user message, with a line break between them;
//!   several are joined the same way. A system message with no user message after it becomes a user
//!   message.
//! - **Tools** are described at the end of the first system message: how to call one, then one JSON
//!   object per tool and line ([`describe_tools`]).
//! - **Tool calls** are written into the assistant's content in the form the description asks for
//!   (`<tool_call>\n{"name": …, "arguments": …}\n</tool_call>`), after what it already says.
//! - **Tool results** become user messages of the form `<tool_response>\n…\n</tool_response>`;
//!   results that follow each other share one message, because many templates insist that user and
//!   assistant alternate.
//!
//! A template that lists no tools of its own gets calls and results in this form as well, even if
//! it has another for them: the model was told this one.

use serde_json::Value;

use super::capabilities::Capabilities;
use super::context::json_text;
use super::message::{Message, Role, ToolCall};
use crate::error::Result;

/// Before the list of tools in a system message.
const TOOLS_INTRO: &str = "You may call the tools listed below. To call one, reply with a JSON object that holds \
its name and its arguments, in this form:\n<tool_call>\n{\"name\": \"tool name\", \"arguments\": {}}\n</tool_call>\n\
\nTools, one JSON object per line:\n";

/// What stands between two texts that are merged.
const SEPARATOR: &str = "\n";

/// Returns the messages to render, and whether the template gets the list of tools.
///
/// `tools` are in the form of [`ToolSpec::to_json`](super::ToolSpec).
pub(super) fn adapt(
    mut messages: Vec<Message>,
    tools: &[Value],
    can: &Capabilities,
) -> Result<(Vec<Message>, bool)> {
    let native = tools.is_empty() || can.tools;
    if !native {
        let description = describe_tools(tools)?;
        match messages.iter_mut().find(|m| m.role == Role::System) {
            Some(system) if system.content.is_empty() => system.content = description,
            Some(system) => system.content = format!("{}\n\n{description}", system.content),
            None => messages.insert(0, Message::system(description)),
        }
    }
    if !(native && can.tool_calls) {
        for message in &mut messages {
            write_calls(message)?;
        }
    }
    if !(native && can.tool_results) {
        messages = results_as_user(messages);
    }
    if !can.system {
        messages = merge_system(messages);
    }
    Ok((messages, native))
}

/// The text that tells a model about `tools` where its template does not.
fn describe_tools(tools: &[Value]) -> Result<String> {
    let mut text = TOOLS_INTRO.to_owned();
    for (i, tool) in tools.iter().enumerate() {
        if i > 0 {
            text.push('\n');
        }
        text.push_str(&json_text("tools", tool)?);
    }
    Ok(text)
}

fn write_calls(message: &mut Message) -> Result<()> {
    for ToolCall {
        name, arguments, ..
    } in std::mem::take(&mut message.tool_calls)
    {
        let name = json_text("name", &Value::from(name))?;
        let arguments = match arguments {
            Value::String(text) => text,
            arguments => json_text("arguments", &arguments)?,
        };
        if !message.content.is_empty() {
            message.content.push_str(SEPARATOR);
        }
        message.content.push_str(&format!(
            "<tool_call>\n{{\"name\": {name}, \"arguments\": {arguments}}}\n</tool_call>"
        ));
    }
    Ok(())
}

fn results_as_user(messages: Vec<Message>) -> Vec<Message> {
    let mut adapted: Vec<Message> = Vec::with_capacity(messages.len());
    let mut after_result = false;
    for message in messages {
        let is_result = message.role == Role::Tool;
        if !is_result {
            adapted.push(message);
        } else {
            let text = format!("<tool_response>\n{}\n</tool_response>", message.content);
            match adapted.last_mut() {
                Some(last) if after_result => {
                    last.content.push_str(SEPARATOR);
                    last.content.push_str(&text);
                }
                _ => adapted.push(Message::user(text)),
            }
        }
        after_result = is_result;
    }
    adapted
}

fn merge_system(messages: Vec<Message>) -> Vec<Message> {
    let mut merged: Vec<Message> = Vec::with_capacity(messages.len());
    let mut pending: Option<String> = None;
    for mut message in messages {
        match message.role {
            Role::System => {
                pending = Some(match pending {
                    Some(text) => text + SEPARATOR + &message.content,
                    None => message.content,
                });
                continue;
            }
            Role::User => {
                if let Some(text) = pending.take() {
                    message.content = text + SEPARATOR + &message.content;
                }
            }
            _ => merged.extend(pending.take().map(Message::user)),
        }
        merged.push(message);
    }
    merged.extend(pending.map(Message::user));
    merged
}

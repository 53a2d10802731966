//! The variables a template is rendered with.

use minijinja::value::Value;
use serde_json::Map;

use super::container::{Dict, List, from_json};
use super::engine::{InputSize, failed};
use super::json::JsonStyle;
use super::message::{Message, ToolCall};
use crate::error::{PocketError, Result};

/// Variables that callers cannot set, because the renderer does.
pub(super) const RESERVED: &[&str] = &[
    "messages",
    "tools",
    "documents",
    "add_generation_prompt",
    "bos_token",
    "eos_token",
];

/// The key of arguments that are no object, in templates that want one.
const UNPARSED: &str = "unparsed";

/// Choices in the form of messages on which templates differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Shape {
    /// Contents as `[{"type": "text", "text": …}]` instead of text.
    pub(super) content_parts: bool,
    /// An empty content beside tool calls as `none`, as OpenAI's API has it, instead of empty text.
    pub(super) none_content: bool,
    /// The arguments of a call as JSON text instead of an object.
    pub(super) arguments_as_text: bool,
}

impl Shape {
    /// The shapes to try for tool calls, the best first. `none` comes before empty text because
    /// some templates close a turn for every content that is not `none`.
    pub(super) fn tool_call_candidates(self) -> [Self; 4] {
        [(true, false), (false, false), (true, true), (false, true)].map(
            |(none_content, arguments_as_text)| Self {
                none_content,
                arguments_as_text,
                ..self
            },
        )
    }
}

/// Everything that goes into one render.
pub(super) struct TemplateVariables<'a> {
    pub(super) messages: &'a [Message],
    /// Tools in the form of [`ToolSpec::to_json`](super::ToolSpec).
    pub(super) tools: &'a [serde_json::Value],
    pub(super) shape: Shape,
    pub(super) bos: &'a str,
    pub(super) eos: &'a str,
    pub(super) add_generation_prompt: bool,
    pub(super) extra: &'a Map<String, serde_json::Value>,
}

impl TemplateVariables<'_> {
    /// The variables by name, as Hugging Face's renderer names them.
    ///
    /// # Errors
    /// [`PocketError::InvalidArgument`] for JSON that nests too deeply.
    pub(super) fn build(&self) -> Result<Vec<(String, Value)>> {
        let messages = self.messages.iter().map(|m| self.message(m));
        let messages = messages.collect::<Result<Vec<_>>>()?;
        let tools = match self.tools {
            [] => Value::from(()),
            tools => {
                let tools = tools.iter().map(|t| json("tools", t));
                list(tools.collect::<Result<_>>()?)?
            }
        };
        let mut variables = Vec::with_capacity(RESERVED.len() + self.extra.len());
        for (name, value) in self.extra {
            variables.push((name.clone(), json("variables", value)?));
        }
        let own = [
            list(messages)?,
            tools,
            Value::from(()),
            Value::from(self.add_generation_prompt),
            Value::from(self.bos),
            Value::from(self.eos),
        ];
        variables.extend(RESERVED.iter().map(|name| (*name).to_owned()).zip(own));
        Ok(variables)
    }

    /// How much input this is.
    pub(super) fn size(&self) -> InputSize {
        let mut bytes = 0;
        for message in self.messages {
            bytes += message.content.len() + message.reasoning.as_ref().map_or(0, String::len);
            bytes += message
                .tool_calls
                .iter()
                .map(|c| json_size(&c.arguments))
                .sum::<usize>();
        }
        bytes += self.tools.iter().map(json_size).sum::<usize>();
        bytes += self.extra.values().map(json_size).sum::<usize>();
        InputSize {
            messages: self.messages.len() + self.tools.len(),
            bytes,
        }
    }

    fn message(&self, message: &Message) -> Result<Value> {
        let mut fields = vec![
            ("role", Value::from(message.role.name())),
            ("content", self.content(message)?),
        ];
        if let Some(reasoning) = &message.reasoning {
            fields.push(("reasoning_content", Value::from(reasoning.as_str())));
            fields.push(("thinking", Value::from(reasoning.as_str())));
        }
        if !message.tool_calls.is_empty() {
            let calls = message.tool_calls.iter().map(|call| self.call(call));
            fields.push(("tool_calls", list(calls.collect::<Result<_>>()?)?));
        }
        if let Some(id) = &message.tool_call_id {
            fields.push(("tool_call_id", Value::from(id.as_str())));
        }
        if let Some(name) = &message.name {
            fields.push(("name", Value::from(name.as_str())));
        }
        dict(fields)
    }

    fn content(&self, message: &Message) -> Result<Value> {
        if message.content.is_empty() && !message.tool_calls.is_empty() && self.shape.none_content {
            return Ok(Value::from(()));
        }
        let text = Value::from(message.content.as_str());
        if self.shape.content_parts {
            let part = dict(vec![("type", Value::from("text")), ("text", text)])?;
            return list(vec![part]);
        }
        Ok(text)
    }

    fn call(&self, call: &ToolCall) -> Result<Value> {
        let arguments = match (&call.arguments, self.shape.arguments_as_text) {
            (serde_json::Value::String(_), true) => json("arguments", &call.arguments)?,
            (value, true) => Value::from(to_text(&json("arguments", value)?)?),
            (serde_json::Value::String(text), false) => unparsed(text)?,
            (value, false) => json("arguments", value)?,
        };
        let function = dict(vec![
            ("name", Value::from(call.name.as_str())),
            ("arguments", arguments),
        ])?;
        dict(vec![
            ("id", Value::from(call.id.as_str())),
            ("type", Value::from("function")),
            ("function", function),
        ])
    }
}

/// Arguments that were not parsed, for a template that wants an object: many go through its fields.
fn unparsed(text: &str) -> Result<Value> {
    match serde_json::from_str(text) {
        Ok(object @ serde_json::Value::Object(_)) => json("arguments", &object),
        _ => dict(vec![(UNPARSED, Value::from(text))]),
    }
}

/// JSON text of `json`, as `tojson` would write it.
pub(super) fn json_text(what: &str, value: &serde_json::Value) -> Result<String> {
    to_text(&json(what, value)?)
}

fn to_text(value: &Value) -> Result<String> {
    JsonStyle::default()
        .write(value)
        .map_err(|e| failed(e.to_string()))
}

fn json(what: &str, value: &serde_json::Value) -> Result<Value> {
    from_json(value).map_err(|e| PocketError::invalid(what, e.to_string()))
}

fn list(items: Vec<Value>) -> Result<Value> {
    List::value(items).map_err(|e| PocketError::invalid("messages", e.to_string()))
}

fn dict(fields: Vec<(&str, Value)>) -> Result<Value> {
    Dict::from_fields(fields).map_err(|e| PocketError::invalid("messages", e.to_string()))
}

/// Roughly the bytes of text in a JSON value. Depth is bounded by whoever built or will build it.
fn json_size(value: &serde_json::Value) -> usize {
    let mut size = 0;
    let mut pending = vec![value];
    while let Some(value) = pending.pop() {
        size += 8;
        match value {
            serde_json::Value::String(s) => size += s.len(),
            serde_json::Value::Array(items) => pending.extend(items),
            serde_json::Value::Object(fields) => {
                size += fields.keys().map(String::len).sum::<usize>();
                pending.extend(fields.values());
            }
            _ => {}
        }
    }
    size
}

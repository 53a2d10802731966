//! Finds out what a template can do by rendering small conversations with it.
//!
//! Templates do not declare what they support, and one that does not know a role or a tool either
//! raises an error or leaves the text out. So each question is asked with a text that occurs
//! nowhere else, and the answer is whether that text comes out.

use serde_json::{Map, json};

use super::context::{Shape, TemplateVariables};
use super::engine::{Engine, Failure};
use super::message::{Message, ToolCall, ToolSpec};
use crate::error::Result;

const SYSTEM: &str = "probe-system-text";
const USER: &str = "probe-user-text";
const RESULT: &str = "probe-result-text";
const TOOL: &str = "probe_tool_name";
const KEY: &str = "probe_key";
const VALUE: &str = "probe_value";
/// Nine letters and digits, because Mistral's templates demand that.
const CALL_ID: &str = "probe0001";

/// What a template does by itself. What it does not,
/// [`ChatTemplate::render`](super::ChatTemplate::render) makes up for in the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Whether system messages come out. If not, they are put in front of the next user message.
    pub system: bool,
    /// Whether the list of tools comes out. If not, the system message describes the tools.
    pub tools: bool,
    /// Whether an assistant's tool calls come out. If not, they are written into its content.
    pub tool_calls: bool,
    /// Whether tool results come out. If not, they become user messages.
    pub tool_results: bool,
    /// The form in which the template wants contents and arguments.
    pub(super) shape: Shape,
}

impl Capabilities {
    /// Asks `template`.
    ///
    /// # Errors
    /// A probe that reaches a limit of the engine ends the inquiry: such a template is not asked
    /// eight more times.
    pub(super) fn probe(template: &Probe<'_>) -> Result<Self> {
        let user = [Message::user(USER)];
        let mut shape = Shape::default();
        let mut plain = template.render(&user, &[], shape)?;
        if !contains(&plain, USER) {
            let parts = Shape {
                content_parts: true,
                ..shape
            };
            let rendered = template.render(&user, &[], parts)?;
            if contains(&rendered, USER) {
                (shape, plain) = (parts, rendered);
            }
        }
        let with_system = [Message::system(SYSTEM), Message::user(USER)];
        let with_system = template.render(&with_system, &[], shape)?;
        // A template that fails on a lone user message is broken in a way that merging would only
        // hide.
        let system = contains(&with_system, SYSTEM) || plain.is_none();

        let tool = ToolSpec::new(
            TOOL,
            "probe",
            json!({"type": "object", "properties": {KEY: {"type": "string", "description": "probe"}}}),
        );
        let tools = contains(
            &template.render(&user, std::slice::from_ref(&tool), shape)?,
            TOOL,
        );

        let offered: &[ToolSpec] = if tools {
            std::slice::from_ref(&tool)
        } else {
            &[]
        };
        let prints_none = contains(&plain, "None");
        let mut called = None;
        for candidate in shape.tool_call_candidates() {
            let out = template.render(&called_conversation(), offered, candidate)?;
            if out
                .as_deref()
                .is_some_and(|o| renders_call(o, tools, prints_none))
            {
                called = Some((candidate, out));
                break;
            }
        }
        let tool_calls = called.is_some();
        let tool_results = match &called {
            Some((candidate, out)) => {
                shape = *candidate;
                contains(out, RESULT)
            }
            None => {
                let call = ToolCall::new(CALL_ID, TOOL, json!({}));
                let answered = [
                    Message::user(USER),
                    Message::assistant("probe"),
                    Message::tool_result(&call, RESULT),
                ];
                contains(&template.render(&answered, offered, shape)?, RESULT)
            }
        };
        Ok(Self {
            system,
            tools,
            tool_calls,
            tool_results,
            shape,
        })
    }
}

fn contains(rendered: &Option<String>, text: &str) -> bool {
    rendered.as_deref().is_some_and(|r| r.contains(text))
}

fn called_conversation() -> [Message; 3] {
    let call = ToolCall::new(CALL_ID, TOOL, json!({KEY: VALUE}));
    [
        Message::user(USER),
        Message::assistant("").with_tool_calls(vec![call.clone()]),
        Message::tool_result(&call, RESULT),
    ]
}

/// Whether `out` shows the call of [`called_conversation`] as it should: by name (which a list of
/// tools shows too), with the argument's value, neither as Python prints a dict nor as a JSON
/// string inside JSON.
fn renders_call(out: &str, tools_listed: bool, prints_none: bool) -> bool {
    let names = out.matches(TOOL).count();
    names > usize::from(tools_listed)
        && out.contains(VALUE)
        && !out.contains(&format!("'{KEY}'"))
        && !out.contains(&format!("\\\"{KEY}\\\""))
        && (prints_none || !out.contains("None"))
}

/// What a probe renders with.
pub(super) struct Probe<'a> {
    pub(super) engine: &'a Engine,
    pub(super) bos: &'a str,
    pub(super) eos: &'a str,
}

impl Probe<'_> {
    /// The output, or `None` when the template refused the conversation.
    fn render(
        &self,
        messages: &[Message],
        tools: &[ToolSpec],
        shape: Shape,
    ) -> Result<Option<String>> {
        let tools: Vec<_> = tools.iter().map(ToolSpec::to_json).collect();
        let variables = TemplateVariables {
            messages,
            tools: &tools,
            shape,
            bos: self.bos,
            eos: self.eos,
            add_generation_prompt: true,
            extra: &Map::new(),
        };
        match self.engine.render(variables.build()?, 0, variables.size()) {
            Ok(out) => Ok(Some(out)),
            Err(Failure::Template(_)) => Ok(None),
            Err(Failure::Limit(error)) => Err(error),
        }
    }
}

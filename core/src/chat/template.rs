//! A model's chat template: conversations in, prompt text out.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::adapt::adapt;
use super::capabilities::{Capabilities, Probe};
use super::context::{RESERVED, TemplateVariables};
use super::date;
use super::engine::{Engine, MAX_OUTPUT, on_own_stack};
use super::literal::{Marks, Place, Specials};
use super::message::{Message, Role, ToolSpec};
use crate::error::{PocketError, Result};

/// Tags of inline reasoning. In an assistant's content they stay what they are when the template's
/// source mentions them: it has to find them to cut the reasoning off, and they cannot end a turn.
const REASONING_TAGS: &[&str] = &["<think>", "</think>", "[THINK]", "[/THINK]"];

/// The longest name of a [`Role::Other`].
const MAX_ROLE_NAME: usize = 64;

/// A prompt, and which parts of it are text even though they spell control tokens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rendered {
    /// The prompt.
    pub text: String,
    /// Byte ranges of `text` in which a special text owes at least one byte to a message, a tool or
    /// a variable: they must be tokenized as text, never as control tokens. Sorted and disjoint;
    /// each covers whole special texts.
    pub literal: Vec<Range<usize>>,
}

/// What a render may be given beside messages and tools.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RenderOptions {
    /// Whether the prompt ends with the beginning of an assistant message.
    pub add_generation_prompt: bool,
    /// Further variables that some templates read, such as `enable_thinking` or `reasoning_effort`.
    /// The names that the renderer sets itself (`messages`, `tools`, `documents`,
    /// `add_generation_prompt`, `bos_token`, `eos_token`) are refused.
    pub variables: Map<String, Value>,
    /// The time that templates see as now, in seconds since 1970-01-01 UTC; `None` reads the clock.
    pub now: Option<u64>,
}

/// One template source, compiled, and what it can do.
#[derive(Clone)]
struct Compiled {
    source: String,
    engine: Engine,
    can: Capabilities,
}

impl Compiled {
    fn new(source: &str, bos: &str, eos: &str) -> Result<Self> {
        on_own_stack(|| {
            let engine = Engine::compile(source)?;
            let can = Capabilities::probe(&Probe {
                engine: &engine,
                bos,
                eos,
            })?;
            Ok(Self {
                source: source.to_owned(),
                engine,
                can,
            })
        })
    }
}

/// A chat template in Jinja, as model files carry it.
///
/// Rendering follows Hugging Face's `apply_chat_template`: the same variables, `trim_blocks` and
/// `lstrip_blocks`, `tojson` as Python writes JSON, `raise_exception`, `strftime_now`, Python's
/// string methods, `break` and `continue`, and the `generation` tag. A template that lacks the
/// system role or tools gets them by way of the messages; see [`Capabilities`].
///
/// Templates are foreign code. Each is compiled and rendered within limits of source size, nesting,
/// work and output, and what exceeds one is a [`PocketError::TemplateFailed`].
#[derive(Clone)]
pub struct ChatTemplate {
    default: Compiled,
    with_tools: Option<Compiled>,
    bos: String,
    eos: String,
    specials: Arc<Specials>,
}

impl fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatTemplate")
            .field("source_bytes", &self.default.source.len())
            .field("capabilities", &self.default.can)
            .field("has_tool_template", &self.with_tools.is_some())
            .finish_non_exhaustive()
    }
}

impl ChatTemplate {
    /// Compiles `source` and finds out what it supports.
    ///
    /// `bos` and `eos` are the texts of the tokens that begin and end a sequence, empty where there
    /// are none. `special` lists every text that the tokenizer turns into a control token.
    ///
    /// # Errors
    /// [`PocketError::TemplateFailed`] when the source is not Jinja or exceeds a limit.
    pub fn new(source: &str, bos: &str, eos: &str, special: Vec<String>) -> Result<Self> {
        Ok(Self {
            default: Compiled::new(source, bos, eos)?,
            with_tools: None,
            bos: bos.to_owned(),
            eos: eos.to_owned(),
            specials: Arc::new(Specials::new(special)?),
        })
    }

    /// Adds the template to use when there are tools, as models with a variant named `tool_use`
    /// have it.
    ///
    /// # Errors
    /// As [`new`](ChatTemplate::new).
    pub fn with_tool_template(mut self, source: &str) -> Result<Self> {
        self.with_tools = Some(Compiled::new(source, &self.bos, &self.eos)?);
        Ok(self)
    }

    /// The source of the template, of the one for tools if `tools` and if there is one.
    pub fn source(&self, tools: bool) -> &str {
        &self.select(tools).source
    }

    /// What the template does by itself (the one for tools, if `tools` and if there is one).
    pub fn capabilities(&self, tools: bool) -> Capabilities {
        self.select(tools).can
    }

    fn select(&self, tools: bool) -> &Compiled {
        match &self.with_tools {
            Some(template) if tools => template,
            _ => &self.default,
        }
    }

    /// Renders a conversation. With `add_generation_prompt`, the prompt ends where the model's
    /// answer begins.
    ///
    /// # Errors
    /// As [`render_with`](ChatTemplate::render_with).
    pub fn render(
        &self,
        messages: &[Message],
        tools: &[ToolSpec],
        add_generation_prompt: bool,
    ) -> Result<Rendered> {
        let options = RenderOptions {
            add_generation_prompt,
            ..RenderOptions::default()
        };
        self.render_with(messages, tools, &options)
    }

    /// Renders a conversation with further variables.
    ///
    /// # Errors
    /// [`PocketError::TemplateFailed`] when the template refuses the conversation (many insist that
    /// user and assistant alternate) or exceeds a limit; [`PocketError::InvalidArgument`] for input
    /// that cannot be rendered: a custom role that is not a plain name, a reserved variable, JSON
    /// nested deeper than 120 levels, or more text than a prompt may have.
    pub fn render_with(
        &self,
        messages: &[Message],
        tools: &[ToolSpec],
        options: &RenderOptions,
    ) -> Result<Rendered> {
        for message in messages {
            check_role(&message.role)?;
        }
        if let Some(name) = RESERVED
            .iter()
            .find(|name| options.variables.contains_key(**name))
        {
            return Err(PocketError::invalid(
                "variables",
                format!("{name} is set by the renderer"),
            ));
        }
        let template = self.select(!tools.is_empty());
        check_json(messages, tools, &options.variables)?;
        let tools: Vec<Value> = tools.iter().map(ToolSpec::to_json).collect();

        let mut marks = self.marks(messages, &tools, &options.variables, template)?;
        let allowed: Vec<&str> = REASONING_TAGS
            .iter()
            .copied()
            .filter(|tag| template.source.contains(tag))
            .collect();
        let messages = messages
            .iter()
            .map(|m| mark_message(&mut marks, m, &allowed))
            .collect();
        let tools: Vec<Value> = tools.iter().map(|t| mark_json(&mut marks, t)).collect();
        let extra: Map<String, Value> = options
            .variables
            .iter()
            .map(|(name, value)| (name.clone(), mark_json(&mut marks, value)))
            .collect();

        let (messages, list_tools) = adapt(messages, &tools, &template.can)?;
        let variables = TemplateVariables {
            messages: &messages,
            tools: if list_tools { &tools } else { &[] },
            shape: template.can.shape,
            bos: &self.bos,
            eos: &self.eos,
            add_generation_prompt: options.add_generation_prompt,
            extra: &extra,
        };
        let (size, variables) = (variables.size(), variables.build()?);
        if size.bytes > MAX_OUTPUT {
            return Err(PocketError::invalid(
                "messages",
                format!("{} bytes of text, more than {MAX_OUTPUT}", size.bytes),
            ));
        }
        let now = options.now.unwrap_or_else(date::now);
        let rendered = on_own_stack(|| Ok(template.engine.render(variables, now, size)?))?;
        let (text, literal) = marks.strip(&rendered);
        Ok(Rendered { text, literal })
    }

    fn marks(
        &self,
        messages: &[Message],
        tools: &[Value],
        variables: &Map<String, Value>,
        template: &Compiled,
    ) -> Result<Marks<'_>> {
        let mut texts: Vec<&str> = vec![&template.source, &self.bos, &self.eos];
        for m in messages {
            texts.push(&m.content);
            texts.extend(
                [&m.reasoning, &m.tool_call_id, &m.name]
                    .into_iter()
                    .flatten()
                    .map(String::as_str),
            );
            for call in &m.tool_calls {
                texts.extend([call.id.as_str(), &call.name]);
                json_texts(&call.arguments, &mut texts);
            }
        }
        for value in tools.iter().chain(variables.values()) {
            json_texts(value, &mut texts);
        }
        Marks::new(&self.specials, texts.into_iter())
    }
}

fn check_role(role: &Role) -> Result<()> {
    let name = role.name();
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    if name.is_empty() || name.len() > MAX_ROLE_NAME || !name.bytes().all(is_plain) {
        return Err(PocketError::invalid(
            "role",
            "a custom role has 1 to 64 letters, digits, `_`, `-` or `.`",
        ));
    }
    Ok(())
}

/// Refuses JSON that nests too deeply, before anything walks it by recursion.
fn check_json(
    messages: &[Message],
    tools: &[ToolSpec],
    variables: &Map<String, Value>,
) -> Result<()> {
    /// Room for the lists and maps that JSON is put into.
    const MAX: usize = super::container::MAX_DEPTH - 8;
    let arguments = messages
        .iter()
        .flat_map(|m| &m.tool_calls)
        .map(|c| ("arguments", &c.arguments));
    let tools = tools.iter().map(|t| ("tools", &t.parameters));
    let variables = variables.values().map(|v| ("variables", v));
    for (what, value) in arguments.chain(tools).chain(variables) {
        let mut pending = vec![(value, 0)];
        while let Some((value, depth)) = pending.pop() {
            if depth > MAX {
                return Err(PocketError::invalid(
                    what,
                    format!("JSON nests deeper than {MAX}"),
                ));
            }
            match value {
                Value::Array(items) => pending.extend(items.iter().map(|v| (v, depth + 1))),
                Value::Object(fields) => pending.extend(fields.values().map(|v| (v, depth + 1))),
                _ => {}
            }
        }
    }
    Ok(())
}

fn json_texts<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(items) => items.iter().for_each(|v| json_texts(v, texts)),
        Value::Object(fields) => {
            for (key, value) in fields {
                texts.push(key);
                json_texts(value, texts);
            }
        }
        _ => {}
    }
}

fn mark_message(marks: &mut Marks, message: &Message, allowed: &[&str]) -> Message {
    let allowed = if message.role == Role::Assistant {
        allowed
    } else {
        &[]
    };
    let mut marked = message.clone();
    marked.content = marks.mark(&message.content, Place::Prose, allowed);
    marked.reasoning = message
        .reasoning
        .as_ref()
        .map(|r| marks.mark(r, Place::Prose, &[]));
    let mut field = |text: &String| marks.mark(text, Place::Field, &[]);
    marked.tool_call_id = message.tool_call_id.as_ref().map(&mut field);
    marked.name = message.name.as_ref().map(&mut field);
    for call in &mut marked.tool_calls {
        call.id = field(&call.id);
        call.name = field(&call.name);
    }
    for call in &mut marked.tool_calls {
        call.arguments = mark_json(marks, &call.arguments);
    }
    marked
}

fn mark_json(marks: &mut Marks, value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(marks.mark(text, Place::Field, &[])),
        Value::Array(items) => items.iter().map(|v| mark_json(marks, v)).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (marks.mark(key, Place::Field, &[]), mark_json(marks, value)))
            .collect(),
        other => other.clone(),
    }
}

//! Tools of the app that the model may call.

use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::chat::{CallFormat, CallParser, ToolCall, ToolSpec, check_arguments};
use crate::error::{PocketError, Result};

use super::model::LocalModel;
use super::stream::{Canceller, panic_text};

/// Something of the app that the model may call.
///
/// Calls are made one after another on the thread of the generation, while the session is busy. What
/// the model asks for is not to be trusted: whoever can put text into the conversation, a web page
/// say, can make it call any tool with any arguments.
pub trait Tool: Send + Sync {
    /// What the model is told about it. The same at every call.
    fn spec(&self) -> &ToolSpec;

    /// Runs it. The arguments are an object in which what the schema requires is there and has the
    /// right type; deeper conditions are the tool's to check. The text is what the model reads,
    /// always as text: it cannot end a turn or speak as someone else.
    ///
    /// A tool that takes its time should look at `cancel`; what it returns then is not used.
    ///
    /// # Errors
    /// A reason for the model, which gets `{"error": reason}` and may try again: the turn goes on. A
    /// panic ends the turn with [`PocketError::ToolFailed`].
    fn call(&self, call: &ToolCall, cancel: &Canceller) -> std::result::Result<String, String>;
}

/// A tool made of a function.
pub struct FunctionTool<F> {
    spec: ToolSpec,
    run: F,
}

impl<F> FunctionTool<F>
where
    F: Fn(&ToolCall, &Canceller) -> std::result::Result<String, String> + Send + Sync + 'static,
{
    /// A tool that runs `run`, as [`Tool::call`] says.
    pub fn shared(spec: ToolSpec, run: F) -> Arc<dyn Tool> {
        Arc::new(Self { spec, run })
    }
}

impl<F> Tool for FunctionTool<F>
where
    F: Fn(&ToolCall, &Canceller) -> std::result::Result<String, String> + Send + Sync,
{
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn call(&self, call: &ToolCall, cancel: &Canceller) -> std::result::Result<String, String> {
        (self.run)(call, cancel)
    }
}

impl fmt::Debug for dyn Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tool").field(&self.spec().name).finish()
    }
}

/// The tools of a session.
#[derive(Clone)]
pub struct ToolSet {
    tools: Vec<Arc<dyn Tool>>,
    /// Theirs, in order.
    pub specs: Vec<ToolSpec>,
    /// How often in a turn calls may be run.
    pub max_rounds: usize,
    format: &'static CallFormat,
}

impl ToolSet {
    /// The tools for sessions of `model`.
    ///
    /// # Errors
    /// [`PocketError::InvalidArgument`] for a name that is empty or there twice, or parameters that
    /// are no object; [`PocketError::UnsupportedModel`] when there are tools but no chat template.
    pub fn new(tools: Vec<Arc<dyn Tool>>, max_rounds: usize, model: &LocalModel) -> Result<Self> {
        let template = model.inner.template.as_ref();
        if !tools.is_empty() && template.is_none() {
            return Err(PocketError::unsupported(
                "tools: the model has no chat template that could tell it about them",
            ));
        }
        let specs: Vec<ToolSpec> = tools.iter().map(|tool| tool.spec().clone()).collect();
        let mut names = BTreeSet::new();
        for spec in &specs {
            let reason = match spec.name.trim() {
                "" => "a tool has no name".to_owned(),
                name if !names.insert(name) => format!("there are two tools named {name}"),
                name if !(spec.parameters.is_object() || spec.parameters.is_null()) => {
                    format!("the parameters of {name} are no JSON schema of an object")
                }
                _ => continue,
            };
            return Err(PocketError::invalid("tools", reason));
        }
        Ok(Self {
            tools,
            specs,
            max_rounds,
            format: CallFormat::of(template, Some(model.tokenizer())),
        })
    }

    /// No tools.
    pub fn none() -> Self {
        Self {
            tools: Vec::new(),
            specs: Vec::new(),
            max_rounds: 0,
            format: CallFormat::of(None, None),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.tools.is_empty()
    }

    /// A parser for one answer, and the control tokens that it must see; none without tools.
    pub fn parser(&self) -> Option<(CallParser, &'static [&'static str])> {
        let names = self.specs.iter().map(|spec| spec.name.clone());
        (!self.is_empty()).then(|| (CallParser::new(self.format, names), self.format.markers))
    }

    /// What `call` comes to: the tool, and the call with its arguments as the tool wants them; or why
    /// it cannot be made.
    pub fn find(&self, call: &ToolCall) -> std::result::Result<(&dyn Tool, ToolCall), String> {
        let tool = self.tools.iter().find(|tool| tool.spec().name == call.name);
        let Some(tool) = tool else {
            let names: Vec<&str> = self.specs.iter().map(|s| s.name.as_str()).collect();
            let names = names.join(", ");
            return Err(format!("there is no tool {}, only {names}", call.name));
        };
        let arguments = check_arguments(tool.spec(), &call.arguments)?;
        let call = ToolCall::new(call.id.as_str(), call.name.as_str(), arguments);
        Ok((tool.as_ref(), call))
    }
}

/// Runs `tool`; the text for the model.
///
/// # Errors
/// [`PocketError::ToolFailed`] when it panics.
pub fn run(tool: &dyn Tool, call: &ToolCall, canceller: &Canceller) -> Result<String> {
    match catch_unwind(AssertUnwindSafe(|| tool.call(call, canceller))) {
        Ok(Ok(content)) => Ok(content),
        Ok(Err(reason)) => Ok(refusal(&reason)),
        Err(panic) => Err(PocketError::ToolFailed {
            name: call.name.clone(),
            reason: panic_text(panic.as_ref()),
        }),
    }
}

/// What the model reads when a call gave no result.
pub fn refusal(reason: &str) -> String {
    Value::to_string(&json!({ "error": reason }))
}

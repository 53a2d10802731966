//! Tools of the app, by pull: the model's call is an event, and the app brings the result when it
//! has it. So an app's tool can be as asynchronous as it likes, and nothing here calls the app.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use pocketlm::{Canceller, Tool};

use crate::error::PocketError;
use crate::stream::Answer;

/// A tool that the model may call.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct ToolSpec {
    /// The name the model calls it by.
    pub name: String,
    /// What it does and when to use it, for the model to read.
    pub description: String,
    /// The JSON schema of its arguments, an object schema, as JSON text.
    pub parameters_json: String,
}

/// Where the tools of a session and of its forks find the answer in which they are called.
#[derive(Default)]
pub(crate) struct ToolDesk {
    answers: Mutex<Vec<Weak<Answer>>>,
}

impl ToolDesk {
    /// The session's tools, whose calls come here.
    ///
    /// # Errors
    /// `InvalidArgument` for parameters that are no JSON.
    pub(crate) fn tools(
        self: &Arc<Self>,
        specs: &[ToolSpec],
    ) -> Result<Vec<Arc<dyn Tool>>, PocketError> {
        let tools = specs.iter().map(|spec| {
            let parameters = serde_json::from_str(&spec.parameters_json);
            let parameters = parameters.map_err(|error| {
                let reason = format!("the parameters of {}: {error}", spec.name);
                PocketError::invalid("tools", reason)
            })?;
            let spec = pocketlm::ToolSpec::new(&spec.name, &spec.description, parameters);
            let desk = self.clone();
            let tool: Arc<dyn Tool> = Arc::new(PulledTool { spec, desk });
            Ok(tool)
        });
        tools.collect()
    }

    /// Takes note of an answer that begins.
    pub(crate) fn seat(&self, answer: &Arc<Answer>) {
        let mut answers = self.answers();
        answers.retain(|answer| answer.strong_count() > 0);
        answers.push(Arc::downgrade(answer));
    }

    /// The answer that `cancel` stops.
    fn find(&self, cancel: &Canceller) -> Option<Arc<Answer>> {
        let answers = self.answers();
        let mut answers = answers.iter().filter_map(Weak::upgrade);
        answers.find(|answer| answer.is_of(cancel))
    }

    fn answers(&self) -> MutexGuard<'_, Vec<Weak<Answer>>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct PulledTool {
    spec: pocketlm::ToolSpec,
    desk: Arc<ToolDesk>,
}

impl Tool for PulledTool {
    fn spec(&self) -> &pocketlm::ToolSpec {
        &self.spec
    }

    fn call(&self, call: &pocketlm::ToolCall, cancel: &Canceller) -> Result<String, String> {
        let cancelled = || "cancelled".to_owned();
        // A generation begins a moment before its answer is seated here.
        let answer = loop {
            if let Some(answer) = self.desk.find(cancel) {
                break answer;
            }
            if cancel.is_cancelled() {
                return Err(cancelled());
            }
            thread::sleep(Duration::from_millis(1));
        };
        let result = answer.run_tool(call.clone().into());
        result.unwrap_or_else(|| Err(cancelled()))
    }
}

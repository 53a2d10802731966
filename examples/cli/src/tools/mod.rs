//! Local tools for the model: `chat --tools`, `run --tools`.

mod calculator;
mod clock;
mod files;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use pocketlm::Tool;
use pocketlm::chat::ToolCall;
use serde_json::Value;

/// Which tools the model gets.
#[derive(Args, Clone)]
pub struct ToolArgs {
    /// Let the model use local tools: a clock, a calculator and, with --tools-folder, files
    #[arg(long, help_heading = "Tools")]
    tools: bool,
    /// Let the model list and read the files of this folder (and write nothing)
    #[arg(
        long,
        value_name = "FOLDER",
        requires = "tools",
        help_heading = "Tools"
    )]
    tools_folder: Option<PathBuf>,
    /// How often in an answer the model may call tools
    #[arg(
        long,
        value_name = "N",
        requires = "tools",
        help_heading = "Tools",
        default_value_t = 8
    )]
    tool_rounds: usize,
}

impl ToolArgs {
    /// The tools, none without `--tools`.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn tools(&self) -> Result<Vec<Arc<dyn Tool>>> {
        if !self.tools {
            return Ok(Vec::new());
        }
        let mut tools = vec![clock::tool(), calculator::tool()];
        if let Some(folder) = &self.tools_folder {
            tools.extend(files::tools(folder)?);
        }
        Ok(tools)
    }

    /// How many rounds of calls an answer may have.
    pub fn rounds(&self) -> usize {
        self.tool_rounds
    }
}

/// The text argument of a call. The runtime has checked that it is there.
fn text<'a>(call: &'a ToolCall, name: &str) -> Option<&'a str> {
    call.arguments.get(name).and_then(Value::as_str)
}

/// A call in one line, for standard error.
pub fn show_call(call: &ToolCall) -> String {
    format!("{} {}", call.name, call.arguments)
}

/// The beginning of a result in one line.
pub fn show_result(content: &str) -> String {
    const MOST: usize = 100;
    let line: Vec<&str> = content.split_whitespace().collect();
    let line = line.join(" ");
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

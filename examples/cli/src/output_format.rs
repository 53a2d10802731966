//! The options for what an answer must look like.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use pocketlm::OutputFormat;
use serde_json::Value;

/// What the answer must look like.
#[derive(Args, Clone)]
#[group(multiple = false)]
pub struct FormatArgs {
    /// Answer with JSON that is valid under a JSON Schema: a file, or the schema itself
    #[arg(long, value_name = "FILE|JSON", help_heading = "Output format")]
    schema: Option<String>,
    /// Answer with a JSON object or array
    #[arg(long, help_heading = "Output format")]
    json_answer: bool,
    /// Answer with text that a regular expression matches as a whole
    #[arg(long, value_name = "EXPRESSION", help_heading = "Output format")]
    regex: Option<String>,
    /// Answer with text that a grammar in Lark's syntax generates
    #[arg(long, value_name = "FILE", help_heading = "Output format")]
    lark: Option<PathBuf>,
}

impl FormatArgs {
    /// The library's option, where one was given.
    ///
    /// # Errors
    /// A schema or grammar that cannot be read.
    pub fn format(&self) -> Result<Option<OutputFormat>> {
        if let Some(schema) = &self.schema {
            return Ok(Some(OutputFormat::JsonSchema(read_schema(schema)?)));
        }
        if let Some(expression) = &self.regex {
            return Ok(Some(OutputFormat::Regex(expression.clone())));
        }
        if let Some(path) = &self.lark {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the grammar {}", path.display()))?;
            return Ok(Some(OutputFormat::Lark(text)));
        }
        Ok(self.json_answer.then_some(OutputFormat::Json))
    }
}

/// A schema from a file, or from the argument itself, which then begins with a brace.
fn read_schema(argument: &str) -> Result<Value> {
    if argument.trim_start().starts_with('{') {
        return serde_json::from_str(argument).context("the schema is not JSON");
    }
    let text = std::fs::read_to_string(argument)
        .with_context(|| format!("cannot read the schema {argument}"))?;
    serde_json::from_str(&text).with_context(|| format!("the schema {argument} is not JSON"))
}

//! `pocketlm run`: one prompt, one answer.

use std::io::{IsTerminal, Read};

use anyhow::{Context, Result, bail};
use clap::Args;
use pocketlm::{FinishReason, SessionOptions};

use crate::generation::GenerationArgs;
use crate::interrupt::{self, Interrupted};
use crate::output::Output;
use crate::tools::ToolArgs;
use crate::{Globals, answer, continuation, model_choice};

/// Arguments of `pocketlm run`.
#[derive(Args)]
pub struct RunArgs {
    /// A GGUF file, or a name from `pocketlm catalogue` [default: the default model]
    model: Option<String>,
    /// The prompt; `-` or nothing reads it from standard input
    prompt: Option<String>,
    /// Continue the prompt as it is, without the model's chat template
    #[arg(long, conflicts_with_all = ["system", "tools"])]
    raw: bool,
    /// Instructions for the model, as a system message
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    #[command(flatten)]
    tools: ToolArgs,
    #[command(flatten)]
    generation: GenerationArgs,
}

/// Answers the prompt.
pub fn command(args: &RunArgs, globals: &Globals, out: &mut Output) -> Result<()> {
    let prompt = match args.prompt.as_deref() {
        Some(prompt) if prompt != "-" => prompt.to_string(),
        _ => read_prompt()?,
    };
    interrupt::install()?;
    let model = model_choice::load(args.model.as_deref(), globals)?;
    let options = args.generation.options(globals)?;
    let answer = if args.raw {
        continuation::continue_text(&model, &prompt, &options, out)?
    } else {
        let session = model.session(SessionOptions {
            instructions: args.system.clone(),
            tools: args.tools.tools()?,
            max_tool_rounds: args.tools.rounds(),
            ..SessionOptions::default()
        })?;
        answer::answer(&session, &prompt, &options, out)?
    };
    if globals.verbose {
        eprintln!("{}", answer::usage_line(&answer.usage));
    }
    match answer.finish {
        FinishReason::Cancelled => bail!(Interrupted),
        _ => Ok(()),
    }
}

/// Standard input as the prompt, less the newline that ends it.
fn read_prompt() -> Result<String> {
    if std::io::stdin().is_terminal() {
        eprintln!("reading the prompt from standard input; end it with Ctrl-D");
    }
    let mut prompt = String::new();
    std::io::stdin()
        .read_to_string(&mut prompt)
        .context("cannot read the prompt")?;
    let prompt = prompt.strip_suffix('\n').unwrap_or(&prompt);
    let prompt = prompt.strip_suffix('\r').unwrap_or(prompt);
    if prompt.is_empty() {
        bail!("the prompt is empty: give it after the model, or on standard input");
    }
    Ok(prompt.to_string())
}

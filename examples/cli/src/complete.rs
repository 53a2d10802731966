//! `pocketlm complete`: what belongs between two texts.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use pocketlm::FinishReason;

use crate::generation::GenerationArgs;
use crate::interrupt::{self, Interrupted};
use crate::output::Output;
use crate::{Globals, answer, model_choice};

/// Arguments of `pocketlm complete`.
#[derive(Args)]
pub struct CompleteArgs {
    /// A GGUF file, or a name from `pocketlm catalogue` [default: the default model]
    model: Option<String>,
    /// The text before the cursor
    #[arg(long, value_name = "TEXT", conflicts_with = "prefix_file")]
    prefix: Option<String>,
    /// A file with the text before the cursor
    #[arg(long, value_name = "FILE")]
    prefix_file: Option<PathBuf>,
    /// The text after the cursor
    #[arg(long, value_name = "TEXT", conflicts_with = "suffix_file")]
    suffix: Option<String>,
    /// A file with the text after the cursor
    #[arg(long, value_name = "FILE")]
    suffix_file: Option<PathBuf>,
    #[command(flatten)]
    generation: GenerationArgs,
}

/// Completes.
pub fn command(args: &CompleteArgs, globals: &Globals, out: &mut Output) -> Result<()> {
    let prefix = text(args.prefix.as_deref(), args.prefix_file.as_deref())?;
    let suffix = text(args.suffix.as_deref(), args.suffix_file.as_deref())?;
    if prefix.is_empty() && suffix.is_empty() {
        bail!("there is no text: give --prefix or --prefix-file, and --suffix or --suffix-file");
    }
    interrupt::install()?;
    let model = model_choice::load(args.model.as_deref(), globals)?;
    let completer = model.completer()?;
    let options = args.generation.options(globals)?;
    let stream = completer.complete(&prefix, &suffix, &options)?;
    let answer = answer::write_stream(stream, out)?;
    if globals.verbose {
        eprintln!("{}", answer::usage_line(&answer.usage));
    }
    match answer.finish {
        FinishReason::Cancelled => bail!(Interrupted),
        _ => Ok(()),
    }
}

/// A text given as it is, or in a file.
fn text(text: Option<&str>, file: Option<&Path>) -> Result<String> {
    match (text, file) {
        (Some(text), _) => Ok(text.to_owned()),
        (None, Some(file)) => {
            fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
        }
        (None, None) => Ok(String::new()),
    }
}

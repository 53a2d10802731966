//! The real models that tests use.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::Extent;
use crate::cargo::{build_workspace, cache_folder, program, succeed};
use crate::system;

/// The file of the model that the packages' examples talk to.
pub const CHAT_MODEL: &str = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf";

/// Names in the command line program's catalogue.
const SMALL: &[&str] = &["gemma-3-270m-q4_k_m", "qwen2.5-coder-0.5b-instruct-q4_k_m"];

/// Fetched only when everything is to be tested.
const LARGE: &[&str] = &["qwen2.5-coder-1.5b-instruct-q4_k_m"];

/// Where the models are kept: `$POCKETLM_MODELS`, or a folder in the project's cache.
///
/// # Errors
/// When there is no home folder.
pub fn folder() -> Result<PathBuf> {
    match std::env::var_os("POCKETLM_MODELS") {
        Some(folder) if !folder.is_empty() => Ok(folder.into()),
        _ => Ok(cache_folder()?.join("models")),
    }
}

/// Fetches the models that are not there yet, by `pocketlm download`.
///
/// # Errors
/// When the program does not build, or a model cannot be fetched.
pub fn fetch(extent: Extent) -> Result<()> {
    system::pip()?;
    build_workspace()?;
    let mut command = Command::new(program()?);
    command
        .arg("download")
        .env("POCKETLM_MODELS", folder()?)
        .args(SMALL);
    if extent == Extent::Full {
        command.args(LARGE);
    }
    succeed(&mut command)
}

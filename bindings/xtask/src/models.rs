//! The real models that tests use.

use std::env::consts::EXE_EXTENSION;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::Extent;
use crate::cargo::{cache_folder, cargo, succeed, target_folder};
use crate::system;

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
    // Built with the tests: alone, it would need other features of its dependencies, and all of them
    // would be compiled once more.
    succeed(&mut cargo(&["test", "--workspace", "--no-run"])?)?;
    let program = target_folder()?
        .join("debug")
        .join("pocketlm")
        .with_extension(EXE_EXTENSION);
    let mut command = Command::new(program);
    command
        .arg("download")
        .env("POCKETLM_MODELS", folder()?)
        .args(SMALL);
    if extent == Extent::Full {
        command.args(LARGE);
    }
    succeed(&mut command)
}

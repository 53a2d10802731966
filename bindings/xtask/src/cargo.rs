//! Running cargo on this workspace, and other programs.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX, EXE_EXTENSION};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    // `cargo run` says where this package is. Where it was when it was compiled may be another clone:
    // clones share the target folder, and the program with it.
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.ancestors().nth(2).unwrap_or(&here).to_path_buf()
}

/// The project's cache folder, `~/.cache/pocketlm`: build output and models survive the clone.
pub fn cache_folder() -> Result<PathBuf> {
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    Ok(home
        .context("there is no home folder")?
        .join(".cache")
        .join("pocketlm"))
}

/// Where cargo builds: into the cache folder unless the environment says where.
///
/// # Errors
/// When there is no home folder.
pub fn target_folder() -> Result<PathBuf> {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) if !folder.is_empty() => Ok(workspace().join(folder)),
        _ => Ok(cache_folder()?.join("target")),
    }
}

/// A cargo command in the workspace.
///
/// # Errors
/// When there is no home folder.
pub fn cargo(arguments: &[&str]) -> Result<Command> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(workspace())
        .env("CARGO_TARGET_DIR", target_folder()?);
    // `cargo run` has described this program to us; build scripts that look at these variables would
    // run again at every change between `cargo xtask` and cargo itself.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    Ok(command)
}

/// Builds everything in the workspace, with the tests: a part alone would need other features of its
/// dependencies, and all of those would be compiled once more.
///
/// # Errors
/// When the build fails.
pub fn build_workspace() -> Result<()> {
    succeed(&mut cargo(&[
        "build",
        "--workspace",
        "--lib",
        "--bins",
        "--tests",
    ])?)
}

/// The folder of the libraries and programs that [`build_workspace`] makes.
///
/// # Errors
/// When there is no home folder.
pub fn built() -> Result<PathBuf> {
    Ok(target_folder()?.join("debug"))
}

/// The command line program that [`build_workspace`] makes.
///
/// # Errors
/// When there is no home folder.
pub fn program() -> Result<PathBuf> {
    Ok(built()?.join("pocketlm").with_extension(EXE_EXTENSION))
}

/// The library that apps load, as [`build_workspace`] makes it.
///
/// # Errors
/// When it is not built.
pub fn library() -> Result<PathBuf> {
    let library = built()?.join(library_name());
    ensure!(library.exists(), "{} is not built", library.display());
    Ok(library)
}

/// The file name of the library that apps load, on this system.
pub fn library_name() -> String {
    format!("{DLL_PREFIX}pocketlm_ffi{DLL_SUFFIX}")
}

/// Shows a command, runs it to its end, and requires success.
///
/// # Errors
/// When it cannot be started or fails.
pub fn succeed(command: &mut Command) -> Result<()> {
    let text = show(command);
    let status = command
        .status()
        .with_context(|| format!("cannot run {text}"))?;
    ensure!(status.success(), "`{text}` failed ({status})");
    Ok(())
}

/// Prints a command as it would be typed, and returns that text.
pub fn show(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let arguments = command
        .get_args()
        .map(|argument| argument.to_string_lossy().into_owned());
    let text = std::iter::once(program)
        .chain(arguments)
        .collect::<Vec<_>>()
        .join(" ");
    println!("$ {text}");
    text
}

/// Whether a program can be run and succeeds, silently.
pub fn works(program: &str, arguments: &[&str]) -> bool {
    let output = Command::new(program).args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}

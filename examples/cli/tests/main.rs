//! The program as a user meets it: what it prints, where, and with which exit code.

mod bench;
mod conversation;
mod evaluation;
mod files;
mod formats;
#[path = "../../../core/tests/nano/builder/mod.rs"]
mod nano;
mod peer;
mod real_model;
mod sessions;
mod tools;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use pocketlm::gguf::TensorType;
use serde_json::Value;

/// The program, on the CPU with one thread, and with a models folder and home of its own so that
/// nothing is fetched or left behind.
fn pocketlm(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pocketlm"));
    command.args(["--device", "cpu", "--threads", "1"]);
    command
        .env("HOME", home)
        .env("POCKETLM_MODELS", home.join("models"));
    command.env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// Runs a command with this on its standard input.
fn run_with_input(command: &mut Command, input: &str) -> Output {
    let command = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    // A program that does not read its input is no failure of the test.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("the program ends")
}

/// Standard output of a successful run.
fn stdout(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}: {}",
        output.status,
        stderr(output)
    );
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

/// The JSON lines of a successful run.
fn json_lines(output: &Output) -> Vec<Value> {
    let lines = stdout(output);
    lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// A failure with exit code 1 and one line `error: …`; returns that line.
fn error_line(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", stderr(output));
    let text = stderr(output);
    let errors: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert_eq!(errors.len(), 1, "{text}");
    assert!(!text.contains("panicked"), "{text}");
    errors[0].to_string()
}

/// Writes a model of half a megabyte into a folder: it runs like a real one and says nothing
/// sensible. Its vocabulary is byte-level, its template ChatML.
fn nano_model(folder: &Path) -> PathBuf {
    let path = folder.join("nano.gguf");
    std::fs::write(&path, nano::model("qwen2", TensorType::Q4K)).expect("the model is written");
    path
}

//! `--tools`: what the model may call, and what the user sees of it.

use std::fs;
use std::path::PathBuf;

use super::nano::script::{self, TEMPLATE};
use super::{error_line, json_lines, pocketlm, run_with_input, stderr, stdout};

const CALCULATE: &str =
    r#"<tool_call>{"name": "calculator", "arguments": {"expression": "6 * 7"}}</tool_call>"#;
const CLOCK: &str = r#"<tool_call>{"name": "current_time", "arguments": {}}</tool_call>"#;
const LIST: &str = r#"<tool_call>{"name": "list_files", "arguments": {}}</tool_call>"#;
const READ: &str =
    r#"<tool_call>{"name": "read_file", "arguments": {"path": "a.txt"}}</tool_call>"#;

/// A model that calls each tool when asked to, and answers what comes back: the calculator's 42, the
/// clock's day, a listing's `bytes)`, the file's `@`.
fn model(folder: &std::path::Path) -> PathBuf {
    let lines: &[&[&str]] = &[
        &["compute", "Wait. ", CALCULATE],
        &["time", CLOCK],
        &["list", LIST],
        &["read", READ],
        &["2", "It is 42."],
        &["y", "So late."],
        &[")", "One file."],
        &["@", "An at sign."],
        &["}", "I cannot."],
    ];
    let path = folder.join("script.gguf");
    let nano = script::script(TEMPLATE, &[], lines);
    fs::write(&path, nano.to_bytes()).expect("the model is written");
    path
}

#[test]
fn a_chat_uses_local_tools() {
    let home = tempfile::tempdir().unwrap();
    let model = model(home.path());
    let folder = home.path().join("open");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("a.txt"), "some text @").unwrap();
    let mut command = pocketlm(home.path());
    command
        .arg("chat")
        .arg(&model)
        .args(["--greedy", "--tools", "--tools-folder"])
        .arg(&folder);
    let output = run_with_input(&mut command, "compute\ntime\nlist\nread\n");
    let lines = stdout(&output);
    assert_eq!(
        lines,
        "Wait.\n\nIt is 42.\nSo late.\nOne file.\nAn at sign.\n"
    );
    let shown = stderr(&output);
    for line in [
        r#"[calculator {"expression":"6 * 7"}]"#,
        "[= 42]",
        "[current_time {}]",
        "UTC, ",
        "[= a.txt (11 bytes)]",
        r#"[read_file {"path":"a.txt"}]"#,
        "[= some text @]",
    ] {
        assert!(shown.contains(line), "{line} is not in {shown}");
    }
}

#[test]
fn files_stay_closed_without_a_folder() {
    let home = tempfile::tempdir().unwrap();
    let model = model(home.path());
    let mut command = pocketlm(home.path());
    command
        .arg("run")
        .arg(&model)
        .args(["read", "--greedy", "--tools", "--json"]);
    let json = json_lines(&command.output().unwrap());
    assert_eq!(json[0]["text"], "I cannot.");
    assert_eq!(json[0]["calls"][0]["name"], "read_file");
    // Without --tools nothing is called: it is all text.
    let mut command = pocketlm(home.path());
    command.arg("run").arg(&model).args(["compute", "--greedy"]);
    let text = stdout(&command.output().unwrap());
    assert_eq!(text, format!("Wait. {CALCULATE}\n"));
}

#[test]
fn tool_options_are_checked() {
    let home = tempfile::tempdir().unwrap();
    let model = model(home.path());
    let mut command = pocketlm(home.path());
    command
        .arg("run")
        .arg(&model)
        .args(["list", "--tools", "--tools-folder", "nowhere"]);
    let line = error_line(&command.output().unwrap());
    assert!(line.contains("cannot read the folder nowhere"), "{line}");
    let mut command = pocketlm(home.path());
    command
        .arg("run")
        .arg(&model)
        .args(["list", "--tools-folder", "."]);
    assert_eq!(command.output().unwrap().status.code(), Some(2));
    // A limit of no rounds at all: the call is shown, not made.
    let mut command = pocketlm(home.path());
    command.arg("run").arg(&model).args([
        "compute",
        "--greedy",
        "--tools",
        "--tool-rounds",
        "0",
        "--json",
    ]);
    let json = json_lines(&command.output().unwrap());
    assert_eq!(json[0]["finish"], "tool_limit");
}

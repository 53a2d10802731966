//! The default model, where `cargo xtask models` has put it.

use std::path::PathBuf;

use super::{json_lines, pocketlm, run_with_input, stdout};

/// The default model's file, or `None` with a line that says so.
pub fn small() -> Option<PathBuf> {
    let folder = std::env::var_os("POCKETLM_MODELS").map(PathBuf::from);
    let folder = folder.or_else(|| Some(std::env::home_dir()?.join(".cache/pocketlm/models")))?;
    let path = folder.join("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf");
    if path.is_file() {
        return Some(path);
    }
    eprintln!(
        "SKIPPED: {} is absent (cargo xtask models fetches it)",
        path.display()
    );
    None
}

#[test]
fn it_answers_a_question() {
    let Some(model) = small() else { return };
    let home = tempfile::tempdir().unwrap();
    let mut command = pocketlm(home.path());
    command
        .arg("run")
        .arg(&model)
        .args(["--threads", "2", "--greedy"]);
    let answer = stdout(
        &command
            .arg("What is 17 + 26? Answer with the number only.")
            .output()
            .unwrap(),
    );
    assert_eq!(answer, "43\n");
}

#[test]
fn it_remembers_what_was_said() {
    let Some(model) = small() else { return };
    let home = tempfile::tempdir().unwrap();
    let mut command = pocketlm(home.path());
    command.arg("chat").arg(&model).args([
        "--threads",
        "2",
        "--greedy",
        "--json",
        "--system",
        "Answer briefly.",
    ]);
    let answers = json_lines(&run_with_input(
        &mut command,
        "My name is Ada.\nWhat is my name?\n",
    ));
    assert!(
        answers[1]["text"].as_str().unwrap().contains("Ada"),
        "{}",
        answers[1]
    );
    let cached = answers[1]["usage"]["cached_tokens"].as_u64().unwrap();
    assert!(cached >= answers[0]["usage"]["prompt_tokens"].as_u64().unwrap());
}

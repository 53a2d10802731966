//! `--schema`, `--json-answer`, `--regex` and `--lark`.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::real_model::small;
use super::{json_lines, pocketlm, run_with_input, stderr, stdout};

const SCHEMA: &str = r#"{"type": "object", "properties": {"name": {"type": "string"},
    "age": {"type": "integer", "minimum": 0, "maximum": 130}}, "required": ["name", "age"]}"#;

fn run(home: &Path, model: &Path) -> Command {
    let mut command = pocketlm(home);
    command
        .arg("run")
        .arg(model)
        .args(["--greedy", "-n", "60", "--threads", "2"]);
    command
}

#[test]
fn an_answer_has_the_format_that_was_asked_for() {
    let Some(model) = small() else { return };
    let home = tempfile::tempdir().unwrap();
    let schema = home.path().join("schema.json");
    std::fs::write(&schema, SCHEMA).unwrap();
    let prompt = "Extract name and age: Ada Lovelace is 36 years old.";
    for given in [SCHEMA, schema.to_str().unwrap()] {
        let mut command = run(home.path(), &model);
        let answer = stdout(&command.args([prompt, "--schema", given]).output().unwrap());
        let value: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(value["name"], "Ada Lovelace", "{answer}");
        assert_eq!(value["age"], 36, "{answer}");
    }

    let mut command = run(home.path(), &model);
    let answer = stdout(&command.args([prompt, "--json-answer"]).output().unwrap());
    assert!(answer.starts_with(['{', '[']), "{answer}");

    let mut command = run(home.path(), &model);
    command.args(["What is 17 + 26?", "--regex", "The answer is [0-9]{2}\\."]);
    assert_eq!(stdout(&command.output().unwrap()), "The answer is 43.\n");

    let grammar = home.path().join("moves.lark");
    std::fs::write(
        &grammar,
        "start: \"move \" PIECE \" to \" /[a-h][1-8]/\nPIECE: \"king\" | \"queen\"\n",
    )
    .unwrap();
    let mut command = run(home.path(), &model);
    command
        .arg("Move the queen to d4.")
        .arg("--lark")
        .arg(&grammar);
    assert_eq!(stdout(&command.output().unwrap()), "move queen to d4\n");

    let mut command = pocketlm(home.path());
    command.arg("chat").arg(&model).args([
        "--greedy",
        "--json",
        "--threads",
        "2",
        "--regex",
        "yes|no",
    ]);
    let answers = json_lines(&run_with_input(
        &mut command,
        "Is water wet?\nIs fire cold?\n",
    ));
    for answer in &answers {
        assert!(
            ["yes", "no"].contains(&answer["text"].as_str().unwrap()),
            "{answer}"
        );
        assert_eq!(answer["finish"], "end_of_turn");
    }
    assert_eq!(answers.len(), 2);
}

#[test]
fn a_wrong_format_is_one_line_of_error() {
    let Some(model) = small() else { return };
    let home = tempfile::tempdir().unwrap();
    for (args, says) in [
        (["--schema", "{"], "the schema is not JSON"),
        (
            ["--schema", "none.json"],
            "cannot read the schema none.json",
        ),
        (["--schema", r#"{"not": {}}"#], "/not"),
        (["--regex", "(a"], "invalid regex"),
        (["--lark", "none.lark"], "cannot read the grammar none.lark"),
    ] {
        let output = run(home.path(), &model)
            .arg("Hello")
            .args(args)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let error = stderr(&output);
        assert!(
            error.contains(says) && error.trim().lines().count() == 1,
            "{args:?}: {error}"
        );
    }
    let mut command = run(home.path(), &model);
    let output = command
        .args(["Hello", "--json-answer", "--regex", "a"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "two formats");
}

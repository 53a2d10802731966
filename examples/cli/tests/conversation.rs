//! `run` and `chat`: streams, pipes, options and interruption.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::{error_line, json_lines, nano_model, pocketlm, run_with_input, stderr, stdout};

#[test]
fn the_prompt_comes_as_an_argument_or_on_standard_input() {
    let home = tempfile::tempdir().unwrap();
    let model = nano_model(home.path());
    let run = || {
        let mut command = pocketlm(home.path());
        command
            .arg("run")
            .arg(&model)
            .args(["--greedy", "--max-tokens", "8", "--json"]);
        command
    };
    let argument = json_lines(&run().arg("hello").output().unwrap());
    assert_eq!(argument.len(), 1);
    let usage = &argument[0]["usage"];
    // <|im_start|> user \n hello <|im_end|> \n <|im_start|> assistant \n
    assert_eq!(usage["prompt_tokens"], 9, "{usage}");
    assert!(usage["generated_tokens"].as_u64().unwrap() <= 8);
    for (input, last) in [("hello\n", None), ("hello", Some("-")), ("hello\r\n", None)] {
        let piped = json_lines(&run_with_input(run().args(last), input));
        assert_eq!(piped[0]["text"], argument[0]["text"]);
    }
}

#[test]
fn raw_text_gets_no_template() {
    let home = tempfile::tempdir().unwrap();
    let model = nano_model(home.path());
    let mut command = pocketlm(home.path());
    command
        .arg("run")
        .arg(&model)
        .args(["hello", "--raw", "--greedy", "-n", "2", "--json"]);
    let json = json_lines(&command.output().unwrap());
    assert_eq!(json[0]["usage"]["prompt_tokens"], 1);
}

#[test]
fn a_seed_makes_an_answer_repeatable() {
    let home = tempfile::tempdir().unwrap();
    let model = nano_model(home.path());
    let run = |seed: &str| {
        let mut command = pocketlm(home.path());
        command.arg("run").arg(&model).args([
            "hi",
            "--temperature",
            "2",
            "--top-k",
            "0",
            "-n",
            "24",
            "--seed",
            seed,
        ]);
        stdout(&command.output().unwrap())
    };
    assert_eq!(run("1"), run("1"));
    assert_ne!(run("1"), run("2"));
}

#[test]
fn an_option_out_of_range_is_named() {
    let home = tempfile::tempdir().unwrap();
    let model = nano_model(home.path());
    for (option, name) in [
        ("--temperature=-1", "temperature"),
        ("--top-p=7", "top_p"),
        ("--max-tokens=0", "max_tokens"),
    ] {
        let mut command = pocketlm(home.path());
        command.arg("run").arg(&model).args(["hi", option]);
        let line = error_line(&command.output().unwrap());
        assert!(line.contains(name), "{line}");
    }
}

#[test]
fn a_piped_chat_answers_line_by_line_and_obeys_commands() {
    let home = tempfile::tempdir().unwrap();
    let model = nano_model(home.path());
    let mut command = pocketlm(home.path());
    command
        .arg("chat")
        .arg(&model)
        .args(["--greedy", "-n", "4", "--json"]);
    let input =
        "one\n\ntwo\n/stats\n/nonsense\n/reset\none\n/system Be brief.\none\n/help\n/quit\nnever\n";
    let output = run_with_input(&mut command, input);
    let answers = json_lines(&output);
    assert_eq!(answers.len(), 4);
    let prompt = |i: usize| answers[i]["usage"]["prompt_tokens"].as_u64().unwrap();
    assert!(prompt(0) > 8);
    assert!(
        prompt(1) > prompt(0),
        "the second turn has the first before it"
    );
    assert!(
        answers[1]["usage"]["cached_tokens"].as_u64().unwrap() >= 6,
        "the first turn is remembered"
    );
    assert_eq!(
        answers[2]["text"], answers[0]["text"],
        "after /reset everything is new"
    );
    assert_eq!(prompt(2), prompt(0));
    assert!(prompt(3) > prompt(0), "the instructions come first");
    let notes = stderr(&output);
    assert!(
        notes.contains("tok/s")
            && notes.contains("no command /nonsense")
            && notes.contains("/system TEXT")
    );
    assert!(
        !home.path().join(".cache/pocketlm/history.txt").exists(),
        "a pipe leaves no history"
    );
}

#[test]
fn a_context_that_is_full_ends_a_piped_chat_with_an_error() {
    let home = tempfile::tempdir().unwrap();
    let model = nano_model(home.path());
    let mut command = pocketlm(home.path());
    let output = run_with_input(command.arg("chat").arg(&model), &"x".repeat(300));
    assert!(error_line(&output).contains("context exceeded"));
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let home = tempfile::tempdir().unwrap();
    let model = nano_model(home.path());
    let mut command = pocketlm(home.path());
    command
        .arg("run")
        .arg(&model)
        .args(["hi", "-n", "100", "--seed", "1"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stderr(&output), "");
}

/// Sends Ctrl-C's signal to a process.
#[cfg(unix)]
fn interrupt(process: u32) {
    let sent = std::process::Command::new("kill")
        .args(["-INT", &process.to_string()])
        .status();
    assert!(sent.unwrap().success());
}

#[test]
#[cfg(unix)]
fn ctrl_c_without_an_answer_ends_the_program() {
    let home = tempfile::tempdir().unwrap();
    let model = nano_model(home.path());
    let mut command = pocketlm(home.path());
    command.arg("chat").arg(&model).args(["-n", "2", "--json"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"hi\n").unwrap();
    // Once the answer has been read, the program waits for the next line.
    let mut answer = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut answer)
        .unwrap();
    assert!(answer.contains("finish"), "{answer}");
    std::thread::sleep(Duration::from_millis(300));
    interrupt(child.id());
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

/// An answer of a real model takes long enough to be stopped in the middle.
#[test]
#[cfg(unix)]
fn ctrl_c_stops_the_answer_and_not_the_chat() {
    let Some(model) = super::real_model::small() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let mut command = pocketlm(home.path());
    command
        .arg("chat")
        .arg(&model)
        .args(["--threads", "2", "--greedy"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(b"Count from 1 to 1000, one number a line.\n")
        .unwrap();
    // The first bytes of the answer: it has begun.
    let mut first = [0; 4];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut first)
        .unwrap();
    let start = Instant::now();
    interrupt(child.id());
    stdin
        .write_all(b"What is 17 + 26? Answer with the number only.\n")
        .unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(
        stdout(&output).trim_end().ends_with("43"),
        "{}",
        stdout(&output)
    );
    assert!(stderr(&output).contains("stopped"));
    assert!(
        start.elapsed() < Duration::from_secs(120),
        "{:?}",
        start.elapsed()
    );
}

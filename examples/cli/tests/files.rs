//! Choosing and inspecting files, and wrong usage.

use std::fs;

use pocketlm::gguf::Writer;

use super::{error_line, json_lines, nano, nano_model, pocketlm, stderr, stdout};

#[test]
fn a_model_is_inspected_for_people_and_for_programs() {
    let home = tempfile::tempdir().unwrap();
    let model = nano_model(home.path());
    let text = stdout(
        &pocketlm(home.path())
            .arg("inspect")
            .arg(&model)
            .output()
            .unwrap(),
    );
    for part in [
        "qwen2",
        "nano",
        "256 tokens",
        "gpt2",
        "Q4_K",
        "F32",
        "chat template yes",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(!text.contains("general.architecture"));

    let text = stdout(
        &pocketlm(home.path())
            .args(["inspect", "--verbose"])
            .arg(&model)
            .output()
            .unwrap(),
    );
    assert!(
        text.contains("general.architecture = \"qwen2\"") && text.contains("blk.0.ffn_down.weight")
    );

    let json = json_lines(
        &pocketlm(home.path())
            .args(["inspect", "--json"])
            .arg(&model)
            .output()
            .unwrap(),
    );
    assert_eq!(json[0]["architecture"], "qwen2");
    assert_eq!(json[0]["context_length"], nano::CONTEXT);
    assert_eq!(json[0]["file_bytes"], fs::metadata(&model).unwrap().len());
    assert!(
        json[0]["types"]["Q4_K"]["tensors"]
            .as_u64()
            .is_some_and(|count| count > 5)
    );
    assert_eq!(json[0]["vocabulary"], nano::VOCAB);
}

#[test]
fn a_file_that_is_no_model_is_one_line_of_error() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("bad.gguf");
    let good = fs::read(nano_model(home.path())).unwrap();
    let unknown = Writer::new()
        .metadata("general.architecture", "none such")
        .to_bytes()
        .unwrap();
    for (content, expected) in [
        (b"hello".to_vec(), "GGUF"),
        (Vec::new(), ""),
        (good[..good.len() / 2].to_vec(), "byte"),
        (unknown, "none such"),
    ] {
        fs::write(&path, content).unwrap();
        let line = error_line(
            &pocketlm(home.path())
                .arg("run")
                .arg(&path)
                .arg("x")
                .output()
                .unwrap(),
        );
        assert!(
            line.contains("bad.gguf") && line.contains(expected),
            "{line}"
        );
    }
}

#[test]
fn what_is_no_model_is_explained() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().display().to_string();
    for (model, expected) in [
        ("no/such/file.gguf", "there is no file no/such/file.gguf"),
        ("gpt-9", "known: qwen2.5-coder-0.5b"),
        (&folder, "is a folder"),
    ] {
        for command in ["inspect", "run", "chat", "bench"] {
            let output = pocketlm(home.path())
                .args([command, model])
                .output()
                .unwrap();
            if command == "run" {
                // Without a prompt, that is the first thing to say.
                assert!(error_line(&output).contains("prompt"));
                continue;
            }
            let line = error_line(&output);
            assert!(line.contains(expected), "{command}: {line}");
        }
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    let home = tempfile::tempdir().unwrap();
    for arguments in [
        &["no-such-command"][..],
        &["chat", "--temperature", "warm"],
        &["inspect", "--device", "abacus"],
        &["run", "m", "p", "--greedy", "--temperature", "1"],
        &["score", "m"],
        &["bench", "-r", "0"],
    ] {
        let output = pocketlm(home.path()).args(arguments).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn the_catalogue_says_what_is_there() {
    let home = tempfile::tempdir().unwrap();
    let json = json_lines(
        &pocketlm(home.path())
            .args(["catalogue", "--json"])
            .output()
            .unwrap(),
    );
    assert!(json.len() >= 3);
    for entry in &json {
        assert_eq!(entry["sha256"].as_str().unwrap().len(), 64);
        assert!(entry["path"].is_null(), "nothing is fetched here");
    }
    let output = pocketlm(home.path())
        .args(["download", "no-such-model"])
        .output()
        .unwrap();
    assert!(error_line(&output).contains("known:"));
    assert!(!home.path().join("models").exists());
}

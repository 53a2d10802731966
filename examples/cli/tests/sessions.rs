//! `plan`, `complete`, and chats that are saved.

use std::fs;

use super::{error_line, json_lines, nano, nano_model, pocketlm, run_with_input, stderr, stdout};
use pocketlm::gguf::TensorType;
use serde_json::Value;

#[test]
fn a_plan_adds_up() {
    let home = tempfile::tempdir().unwrap();
    let model = nano_model(home.path());
    let plan = |options: &[&str]| {
        let mut command = pocketlm(home.path());
        command.arg("plan").arg(&model).args(options);
        command.output().unwrap()
    };
    let json = json_lines(&plan(&["--json"])).remove(0);
    let bytes = |name: &str| json[name].as_u64().unwrap();
    let private: u64 = [
        "weights_private",
        "tokenizer",
        "kv",
        "shared_prefixes",
        "scratch",
    ]
    .map(bytes)
    .iter()
    .sum();
    assert_eq!(bytes("private"), private);
    assert_eq!(bytes("total"), private + bytes("weights_mapped"));
    let file = fs::metadata(&model).unwrap().len();
    assert!(bytes("weights_mapped") < file && bytes("weights_mapped") > file / 2);
    let smaller = json_lines(&plan(&["--json", "--context", "64", "--kv", "q8_0"])).remove(0);
    assert!(smaller["kv"].as_u64().unwrap() < bytes("kv") / 4);
    let text = stdout(&plan(&[]));
    assert!(
        text.contains("keys and values") && text.contains("available"),
        "{text}"
    );
    let too_long = plan(&["--context", "100000"]);
    assert!(error_line(&too_long).contains("context"));
}

#[test]
fn a_chat_goes_on_where_it_was_saved() {
    let home = tempfile::tempdir().unwrap();
    let model = nano_model(home.path());
    let (saved, key) = (home.path().join("chat"), home.path().join("key"));
    fs::write(&key, "5f".repeat(32)).unwrap();
    let chat = |options: &[&str], input: &str| {
        let mut command = pocketlm(home.path());
        command
            .arg("chat")
            .arg(&model)
            .args(["--greedy", "-n", "4", "--json"]);
        run_with_input(command.args(options), input)
    };
    let saved = saved.to_str().unwrap();
    let key = key.to_str().unwrap();
    for key in [&[][..], &["--key-file", key]] {
        let whole = json_lines(&chat(&[], "one\ntwo\n"));
        let save = [&["--save", saved], key].concat();
        json_lines(&chat(&save, "one\n"));
        let restore = [&["--restore", saved], key].concat();
        let rest = json_lines(&chat(&restore, "two\n"));
        assert_eq!(rest[0]["text"], whole[1]["text"]);
        // The last token of an answer may be in the cache or not: it is when it was guessed.
        let cached = |answer: &Value| answer["usage"]["cached_tokens"].as_u64().unwrap();
        assert!(
            cached(&rest[0]).abs_diff(cached(&whole[1])) <= 1,
            "all is still there"
        );
    }
    let error = error_line(&chat(&["--restore", saved], "two\n"));
    assert!(error.contains("a key is needed"), "{error}");
    let error = error_line(&chat(&["--restore", saved, "--key-file", saved], "two\n"));
    assert!(error.contains("holds no key"), "{error}");
    let error = error_line(&chat(&["--restore", "no such file"], "two\n"));
    assert!(error.contains("cannot be read"), "{error}");
}

#[test]
fn a_gap_is_filled() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("fim.gguf");
    let mut model = nano::recipe("qwen2").build(nano::Weights::All(TensorType::Q4K));
    for (i, name) in ["pre", "suf", "mid"].iter().enumerate() {
        let key = format!("tokenizer.ggml.fim_{name}_token_id");
        model.set(&key, 310u32 + i as u32);
    }
    fs::write(&path, model.to_bytes()).unwrap();
    let complete = |model: &std::path::Path, options: &[&str]| {
        let mut command = pocketlm(home.path());
        command
            .arg("complete")
            .arg(model)
            .args(["--greedy", "-n", "4", "--json"]);
        command.args(options).output().unwrap()
    };
    let texts = ["--prefix", "hello", "--suffix", " world"];
    let answer = json_lines(&complete(&path, &texts)).remove(0);
    assert_eq!(answer["usage"]["prompt_tokens"], 5, "{answer}");
    let file = home.path().join("before");
    fs::write(&file, "hello").unwrap();
    let files = [
        "--prefix-file",
        file.to_str().unwrap(),
        "--suffix",
        " world",
    ];
    let from_file = json_lines(&complete(&path, &files)).remove(0);
    assert_eq!(from_file["text"], answer["text"]);

    let plain = nano_model(home.path());
    let error = error_line(&complete(&plain, &texts));
    assert!(error.contains("fill-in-the-middle"), "{error}");
    assert!(error_line(&complete(&path, &[])).contains("--prefix"));
    let both = complete(&path, &["--prefix", "a", "--prefix-file", "b"]);
    assert_eq!(both.status.code(), Some(2), "{}", stderr(&both));
}

//! `score`.

use std::fs;

use super::{error_line, json_lines, nano, nano_model, pocketlm, run_with_input};

#[test]
fn each_case_gives_a_line_with_a_position_for_each_token() {
    let home = tempfile::tempdir().unwrap();
    let model = nano_model(home.path());
    let cases = home.path().join("cases.jsonl");
    // The same case as ids (in this vocabulary a byte is its own token) and as text, a blank line
    // between, and a case with nothing to score.
    let lines = r#"{"prompt_ids":[104,105],"continuation_ids":[33,63,10],"name":"ids"}

{"prompt":"hi","continuation":"!?\n"}
{"prompt":"hi","continuation_ids":[]}
"#;
    fs::write(&cases, lines).unwrap();
    let score = |input: &str| {
        let mut command = pocketlm(home.path());
        command
            .arg("score")
            .arg(&model)
            .args(["--top", "5", "--input", input]);
        json_lines(&run_with_input(&mut command, lines))
    };
    let scores = score(cases.to_str().unwrap());
    assert_eq!(scores.len(), 3);
    assert_eq!(scores[0], scores[1], "ids and text are the same case");
    assert_eq!(scores[2]["positions"].as_array().unwrap().len(), 0);
    let positions = scores[0]["positions"].as_array().unwrap();
    assert_eq!(positions.len(), 3);
    for position in positions {
        let top = position["top"].as_array().unwrap();
        assert_eq!(top.len(), 5);
        let logprobs: Vec<f64> = top.iter().map(|entry| entry[1].as_f64().unwrap()).collect();
        assert!(logprobs.is_sorted_by(|a, b| a >= b), "{logprobs:?}");
        let rank = position["rank"].as_u64().unwrap() as usize;
        let logprob = position["logprob"].as_f64().unwrap();
        assert!(logprob < 0.0 && rank < nano::VOCAB);
        if rank < 5 {
            assert_eq!(top[rank][0], position["id"]);
            assert_eq!(logprobs[rank], logprob);
        } else {
            assert!(logprob <= logprobs[4]);
        }
    }
    assert_eq!(score("-"), scores, "standard input is read too");
}

#[test]
fn a_bad_case_is_named_by_its_line_after_the_good_ones() {
    let home = tempfile::tempdir().unwrap();
    let model = nano_model(home.path());
    let good = r#"{"prompt":"a","continuation":"b"}"#;
    for (bad, expected) in [
        ("nonsense", "not a JSON object"),
        (r#"{"prompt":"a"}"#, "continuation"),
        (r#"{"prompt_ids":[1],"continuation_ids":[99999]}"#, "99999"),
        (r#"{"prompt_ids":[99999],"continuation_ids":[1]}"#, "99999"),
        (r#"{"prompt_ids":[],"continuation_ids":[1]}"#, "prompt"),
    ] {
        let mut command = pocketlm(home.path());
        command.arg("score").arg(&model).args(["--input", "-"]);
        let output = run_with_input(&mut command, &format!("{good}\n{bad}\n{good}\n"));
        let line = error_line(&output);
        assert!(line.contains("line 2") && line.contains(expected), "{line}");
        assert_eq!(
            output.stdout.iter().filter(|&&byte| byte == b'\n').count(),
            1,
            "what came before is there"
        );
    }
}

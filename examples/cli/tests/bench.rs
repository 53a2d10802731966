//! `bench`: which numbers it gives for which options.

use std::fs;
use std::path::Path;

use pocketlm::kernels::PAGE;
use serde_json::Value;

use super::{error_line, json_lines, nano_model, pocketlm, stderr, stdout};

/// Runs `bench` on a model with these arguments.
fn bench(home: &Path, model: &Path, arguments: &[&str]) -> std::process::Output {
    let mut command = pocketlm(home);
    let command = command.arg("bench").arg(model).args(arguments);
    command.output().unwrap()
}

/// The one JSON object of a short run.
fn bench_json(home: &Path, model: &Path, arguments: &[&str]) -> Value {
    let short = ["--json", "-n", "4", "-r", "2"];
    let mut lines = json_lines(&bench(home, model, &[&short, arguments].concat()));
    assert_eq!(lines.len(), 1);
    lines.remove(0)
}

fn keys(json: &Value, part: &str) -> Vec<String> {
    let keys = json.as_object().unwrap().keys();
    keys.filter(|key| key.contains(part)).cloned().collect()
}

#[test]
fn a_measurement_has_the_fields_that_its_options_name() {
    let home = tempfile::tempdir().unwrap();
    let model = nano_model(home.path());
    let output = bench(
        home.path(),
        &model,
        &["--json", "-p", "16", "-n", "4", "-r", "2"],
    );
    let note = stderr(&output);
    assert!(note.starts_with("note: depth 4096 is left out"), "{note}");
    let json = json_lines(&output);
    assert_eq!(json.len(), 1);
    let json = &json[0];
    for key in [
        "pp16",
        "tg4",
        "verify_2",
        "verify_4",
        "verify_8",
        "load_s",
        "first_token_s",
        "kv_cache_bytes",
        "read_gb_per_s",
        "bytes_per_token",
        "bandwidth_fraction",
    ] {
        assert!(json[key].as_f64().is_some_and(|x| x > 0.0), "{key}: {json}");
    }
    assert!(keys(json, "_d").iter().all(|key| !key.starts_with("tg")));
    assert_eq!(json["device"], "cpu");
    for key in ["peak_rss_bytes", "private_bytes", "private_beyond_kv_bytes"] {
        let there = json[key].as_u64().is_some_and(|x| x > 1 << 20);
        assert_eq!(there, cfg!(target_os = "linux"), "{key}: {json}");
    }
    // The buffers with which the bandwidth is measured are not the model's.
    for key in ["peak_rss_bytes", "private_bytes"] {
        assert!(json[key].as_u64().unwrap_or(0) < 400 << 20, "{key}: {json}");
    }
    assert!(json["private_bytes"].as_u64() >= json["private_beyond_kv_bytes"].as_u64());
}

#[test]
fn generating_is_measured_at_each_depth() {
    let home = tempfile::tempdir().unwrap();
    let model = nano_model(home.path());
    let run = |depths: &[&str]| {
        bench_json(
            home.path(),
            &model,
            &[&["-p", "0", "--verify", "0"], depths].concat(),
        )
    };
    let shallow = run(&["-d", "0"]);
    assert_eq!(keys(&shallow, "tg"), ["tg4"]);
    assert!(keys(&shallow, "verify").is_empty() && keys(&shallow, "pp").is_empty());

    let deep = run(&["-d", "200,0", "-d", "30"]);
    assert_eq!(keys(&deep, "tg"), ["tg4", "tg4_d30", "tg4_d200"]);
    let cache_bytes = |json: &Value| json["kv_cache_bytes"].as_u64().unwrap();
    let pages = (200 + 4_u64).div_ceil(PAGE as u64);
    assert_eq!(cache_bytes(&deep), pages * cache_bytes(&shallow));

    let only_deep = run(&["--depth", "30"]);
    assert_eq!(keys(&only_deep, "tg"), ["tg4_d30"]);
    assert!(
        only_deep["bandwidth_fraction"].is_null(),
        "it is the empty context's"
    );
}

#[test]
fn the_context_grows_with_the_depth_as_far_as_the_model_allows() {
    let home = tempfile::tempdir().unwrap();
    let model = nano_model(home.path());
    for arguments in [
        &["-d", "253"][..],
        &["-d", "0,1000"],
        &["-d", "61", "-c", "64"],
    ] {
        let output = bench(home.path(), &model, &[&["-n", "4"], arguments].concat());
        let line = error_line(&output);
        assert!(line.contains("do not fit a context of"), "{line}");
    }

    // The same model, made for 5,000 positions.
    let mut bytes = fs::read(&model).unwrap();
    let key = b"qwen2.context_length";
    let place = bytes.windows(key.len()).position(|window| window == key);
    let value = place.unwrap() + key.len() + size_of::<u32>(); // after its type
    bytes[value..value + 4].copy_from_slice(&5000u32.to_le_bytes());
    let long = home.path().join("long.gguf");
    fs::write(&long, bytes).unwrap();

    let short = bench_json(home.path(), &long, &["-p", "0", "-d", "0"]);
    assert_eq!(short["context"], 4096, "the default is enough");
    let deep = bench_json(home.path(), &long, &["-p", "0"]);
    assert_eq!(
        keys(&deep, "tg"),
        ["tg4", "tg4_d4096"],
        "the default depths"
    );
    assert_eq!(deep["context"], 4100);
}

#[test]
fn a_table_has_a_line_for_each_number() {
    let home = tempfile::tempdir().unwrap();
    let model = nano_model(home.path());
    let output = bench(
        home.path(),
        &model,
        &[
            "-p", "8", "-n", "2", "-d", "0,20", "--verify", "3", "-r", "1",
        ],
    );
    let text = stdout(&output);
    for label in [
        "pp8 ",
        "tg2 ",
        "tg2_d20 ",
        "verify 3 tokens ",
        "load ",
        "first token ",
        "peak private ",
        "largest cache ",
        "memory reads ",
        "of bandwidth ",
    ] {
        assert_eq!(
            text.lines().filter(|line| line.starts_with(label)).count(),
            1,
            "{label} in\n{text}"
        );
    }
    assert!(!text.contains("verify 2"));
    assert_eq!(stderr(&output), "");
}

#[test]
fn there_must_be_something_to_measure() {
    let home = tempfile::tempdir().unwrap();
    let model = nano_model(home.path());
    let output = bench(home.path(), &model, &["-p", "0", "-n", "0"]);
    assert!(error_line(&output).contains("nothing to measure"));
    let json = json_lines(&bench(
        home.path(),
        &model,
        &["--json", "-p", "0", "-n", "0", "--verify", "1", "-r", "3"],
    ));
    // One token against one token: anything but about 1 means that the two are timed differently.
    let ratio = json[0]["verify_1"].as_f64().unwrap();
    assert!((0.5..2.0).contains(&ratio), "{ratio}");
}

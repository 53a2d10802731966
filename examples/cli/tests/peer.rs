//! `benches/peer.py`, against a stand-in for llama-bench.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use super::{json_lines, nano_model, stderr, stdout};

/// Prints llama-bench's JSON: 20 tokens per second, and 10 while a process beside it spins.
const STAND_IN: &str = r#"#!/usr/bin/env python3
import json, os, sys
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
assert options["-t"] == "2" and options["-o"] == "json" and os.path.isfile(options["-m"])
assert (options["-p"] == "0") != (options["-n"] == "0"), "one row at a time"
parent = os.getppid()
children = open(f"/proc/{parent}/task/{parent}/children").read().split()
speed = 10.0 if len(children) > 1 else 20.0
print(json.dumps([{"samples_ts": [1.0, speed, 1000.0][: int(options["-r"])], "flash_attn": -1}]))
"#;

/// Python, or `None` with a line that says so.
fn python() -> Option<PathBuf> {
    let mut command = Command::new("python3");
    match command
        .args(["-c", "import sys; print(sys.executable)"])
        .output()
    {
        Ok(output) if output.status.success() => Some(stdout(&output).trim().into()),
        _ => {
            eprintln!("SKIPPED: there is no python3");
            None
        }
    }
}

/// Runs the script with our program and with a PATH and home that hold no other.
fn peer(python: &Path, home: &Path, arguments: &[&str]) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/peer.py");
    Command::new(python)
        .args([script, "--pocketlm", env!("CARGO_BIN_EXE_pocketlm")])
        .args(arguments)
        .env("HOME", home)
        .env("PATH", python.parent().unwrap())
        .output()
        .unwrap()
}

/// A stand-in for llama-bench in a folder of its own.
fn stand_in(home: &Path) -> PathBuf {
    let path = home.join("llama-bench-stand-in");
    fs::write(&path, STAND_IN).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn both_programs_run_the_same_rows_and_ratios_are_ours_to_theirs() {
    let Some(python) = python() else { return };
    let home = tempfile::tempdir().unwrap();
    let model = nano_model(home.path());
    let (model, theirs) = (model.to_str().unwrap(), stand_in(home.path()));
    let short = ["-p", "8", "-n", "2", "-d", "16,0", "-r", "2", "-t", "2"];
    let arguments = [
        &short[..],
        &["--repetitions", "3", "--busy", "--json", model],
        &["--llama-bench", theirs.to_str().unwrap()],
    ];
    let output = peer(&python, home.path(), &arguments.concat());
    let json = &json_lines(&output)[0];
    let rows = json["rows"].as_object().unwrap();
    assert!(rows.keys().eq(["pp8", "tg2", "tg2_d16"]), "{json}");
    let number = |value: &Value| value.as_f64().unwrap();
    for (name, row) in rows {
        assert_eq!(row["llama-bench"]["median"], 20.0, "{name}: {row}");
        let ours = &row["pocketlm"];
        assert!(number(&ours["min"]) > 0.0 && number(&ours["min"]) <= number(&ours["max"]));
        for end in ["min", "median", "max"] {
            let (ratio, ours) = (number(&row["ratio"][end]), number(&ours[end]));
            assert!((ratio - ours / 20.0).abs() < 1e-9 * ours, "{name}: {row}");
        }
        // A busy core halves the stand-in's speed, and only while it is measured so.
        let share = &row["busy_to_alone"]["llama-bench"];
        match name.as_str() {
            "pp8" => assert!(share.is_null()),
            _ => assert_eq!(share["median"], 0.5, "{name}: {row}"),
        }
    }
    assert_eq!(json["llama_bench"]["flash_attn"], -1);
    // Their turns alternate, each round with all rows: 1 + 2 · 2 measurements of each program.
    let turns = stderr(&output);
    let turns: Vec<&str> = turns.lines().filter(|l| l.starts_with("round")).collect();
    assert_eq!(turns.len(), 2 * 2 * (1 + 2 * 2));
    for pair in turns.chunks(2) {
        assert!(pair[0].contains("pocketlm") && pair[1].contains("llama-bench"));
    }
}

#[test]
fn a_table_shows_medians_and_ranges() {
    let Some(python) = python() else { return };
    let home = tempfile::tempdir().unwrap();
    let model = nano_model(home.path());
    let (model, theirs) = (model.to_str().unwrap(), stand_in(home.path()));
    let output = peer(
        &python,
        home.path(),
        &[
            "-p",
            "0",
            "-n",
            "2",
            "-r",
            "1",
            "-t",
            "2",
            "--llama-bench",
            theirs.to_str().unwrap(),
            model,
        ],
    );
    let text = stdout(&output);
    assert!(text.contains("nano.gguf, CPU, 2 threads"), "{text}");
    let row = text.lines().find(|line| line.starts_with("tg2 ")).unwrap();
    // Two repetitions by default, 1 and 20.
    assert!(row.contains("10.5 (10.5–10.5)"), "{text}");
}

#[test]
fn without_llama_bench_it_says_how_to_build_it() {
    let Some(python) = python() else { return };
    let home = tempfile::tempdir().unwrap();
    let model = nano_model(home.path());
    let model = model.to_str().unwrap();
    let how = stdout(&peer(&python, home.path(), &["--how"]));
    for part in [
        "pip download",
        "cmake -S",
        "GGML_NATIVE=ON",
        "ninja -C build llama-bench",
    ] {
        assert!(how.contains(part), "{part}");
    }
    let absent = home.path().join("absent");
    for (arguments, message) in [
        (
            &["--llama-bench", absent.to_str().unwrap(), model][..],
            how.as_str(),
        ),
        (
            &["no-such-file.gguf"],
            "there is no model file no-such-file.gguf",
        ),
        (&["-p", "0", "-n", "0", model], "nothing to measure"),
    ] {
        let output = peer(&python, home.path(), arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let text = stderr(&output);
        assert!(
            text.starts_with("error: ") && text.contains(message),
            "{text}"
        );
    }
}

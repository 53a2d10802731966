//! `cargo xtask test`: one step after the other, a summary, and a closing line.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::Extent;
use crate::cargo::{cargo, succeed, works};
use crate::tally::Tally;
use crate::{arm64, bindings, kotlin, models, swift, system};

/// How a step ended, with its name and duration.
struct Outcome {
    name: &'static str,
    result: Result<()>,
    time: Duration,
}

/// Runs every step, whatever became of the ones before; true when all succeeded.
///
/// # Errors
/// None of its own: a step's error is part of the summary.
pub fn run(extent: Extent) -> Result<bool> {
    let mut tally = Tally::default();
    let mut outcomes = Vec::new();
    let mut step = |name: &'static str, work: &mut dyn FnMut() -> Result<()>| {
        println!("\n== {name}");
        let start = Instant::now();
        let result = work();
        if let Err(error) = &result {
            println!("FAILED: {error:#}");
        }
        outcomes.push(Outcome {
            name,
            result,
            time: start.elapsed(),
        });
    };

    step("format", &mut || {
        succeed(&mut cargo(&["fmt", "--all", "--check"])?)
    });
    step("lints", &mut || {
        let lints = [
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ];
        succeed(&mut cargo(&lints)?)
    });
    if extent != Extent::Quick {
        step("documentation", &mut || {
            succeed(cargo(&["doc", "--workspace", "--no-deps"])?.env("RUSTDOCFLAGS", "-D warnings"))
        });
        step("Vulkan driver", &mut system::vulkan_driver);
        step("models", &mut || models::fetch(extent));
    }
    step("tests", &mut || test(&mut tally, extent));
    if extent != Extent::Quick {
        step("bindings", &mut bindings::check_all);
        step(kotlin::STEP, &mut || kotlin::test(&mut tally));
        step(arm64::STEP, &mut || arm64::test(&mut tally));
        step(swift::STEP, &mut || swift::test(&mut tally));
    }
    step("dependencies", &mut dependencies);

    println!("\n== summary");
    for (test, reason) in &tally.skips {
        println!("SKIPPED: {reason} ({test})");
    }
    for Outcome { name, result, time } in &outcomes {
        let word = if result.is_ok() { "ok" } else { "FAILED" };
        println!("{name:<16} {word:<6} {:>5.0} s", time.as_secs_f64());
    }
    println!("{}", tally.closing_line());
    Ok(outcomes.iter().all(|outcome| outcome.result.is_ok()))
}

/// Runs all tests of the workspace, counting.
fn test(tally: &mut Tally, extent: Extent) -> Result<()> {
    let mut command = cargo(&[
        "test",
        "--workspace",
        "--no-fail-fast",
        "--",
        "--show-output",
    ])?;
    command.env("POCKETLM_MODELS", models::folder()?);
    if extent == Extent::Full {
        // The slow combinations of models and devices leave themselves out without it.
        command.env("POCKETLM_FULL", "1");
    }
    tally.run(&mut command)
}

/// Licences, advisories and sources of the dependencies, where cargo-deny is installed.
fn dependencies() -> Result<()> {
    if !works("cargo-deny", &["--version"]) {
        println!("SKIPPED: cargo-deny is not installed (cargo install cargo-deny)");
        return Ok(());
    }
    succeed(&mut cargo(&["deny", "check"])?)
}

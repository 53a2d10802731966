//! The Kotlin package: its tests over the built library, and its Maven repository folder.
//!
//! ```text
//! cargo build ─→ libpocketlm_ffi.so ─┬→ mvn: compile, JUnit tests ─→ jar, AAR, …
//!                                     │                                  ↓ deploy
//!                                     └── stripped ─→ in the jar   kotlin/target/repo
//!                                                                        ↓ resolve
//!                           examples/kotlin-cli, which chats with a real model
//! ```

use std::env::consts::{ARCH, OS};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::cargo::{build_workspace, library, program, show, succeed, works, workspace};
use crate::tally::Tally;
use crate::{models, system};

/// The name of the step.
pub const STEP: &str = "Kotlin";

/// Runs the tests of the package, packs it for this machine, and lets the example use what was
/// packed. Without Maven or a JDK, and no way to install them, the step is skipped with a word.
///
/// # Errors
/// When something does not build, a test fails, or the example does not answer.
pub fn test(tally: &mut Tally) -> Result<()> {
    if let Err(reason) = system::maven() {
        tally.skip(STEP, &reason.to_string());
        return Ok(());
    }
    build_workspace()?;
    let library = library()?;
    let mut command = maven("kotlin", &["package"])?;
    command
        .env("POCKETLM_LIBRARY", &library)
        .env("POCKETLM_PROGRAM", program()?)
        .env("POCKETLM_MODELS", models::folder()?);
    run(tally, &mut command)?;
    package_with(&library)?;
    example(tally)
}

/// Packs a release into `kotlin/target/repo`, with the libraries found in `natives` (folders
/// `jvm/linux-x86-64`, `android/arm64-v8a` and so on).
///
/// # Errors
/// When Maven or the folder is missing, or something does not build.
pub fn package(natives: &str) -> Result<()> {
    system::maven()?;
    deploy(&fs::canonicalize(natives).with_context(|| natives.to_string())?)
}

/// The library of this machine in the form that the packages of a release have.
fn package_with(library: &Path) -> Result<()> {
    let natives = workspace().join("kotlin/target/natives");
    let folder = natives.join("jvm").join(jna_platform());
    fs::create_dir_all(&folder)?;
    let name = library.file_name().context("a library without a name")?;
    let packed = folder.join(name);
    fs::copy(library, &packed).with_context(|| format!("cannot copy {}", library.display()))?;
    // Names of functions take most of a library that was not built for release.
    if works("strip", &["--version"]) {
        succeed(Command::new("strip").arg("-S").arg("-x").arg(&packed))?;
    }
    deploy(&natives)
}

fn deploy(natives: &Path) -> Result<()> {
    let repository = workspace().join("kotlin/target/repo");
    if repository.exists() {
        fs::remove_dir_all(&repository)?;
    }
    let mut command = maven("kotlin", &["deploy", "-P", "package", "-DskipTests"])?;
    command
        .arg(format!("-Dpocketlm.natives={}", natives.display()))
        .arg(format!(
            "-DaltDeploymentRepository=local::file://{}",
            repository.display()
        ));
    succeed(command.arg("-q"))?;
    println!("packed into {}", repository.display());
    Ok(())
}

/// Builds the example against what was packed, as an app would, and talks to it.
fn example(tally: &mut Tally) -> Result<()> {
    // A release never changes, so Maven would keep the one it has seen before.
    succeed(&mut maven(
        "examples/kotlin-cli",
        &[
            "-q",
            "org.apache.maven.plugins:maven-dependency-plugin:3.9.0:purge-local-repository",
            "-DmanualInclude=dev.pocketlm:pocketlm",
            "-DreResolve=false",
        ],
    )?)?;
    succeed(&mut maven("examples/kotlin-cli", &["-q", "package"])?)?;
    let model = models::folder()?.join(models::CHAT_MODEL);
    if !model.exists() {
        tally.skip(STEP, "no model for the Kotlin example (cargo xtask models)");
        return Ok(());
    }
    let folder = workspace().join("examples/kotlin-cli/target");
    let classes = format!("{0}/classes:{0}/lib/*", folder.display());
    let mut command = Command::new("java");
    command.args(["-cp", &classes, "MainKt"]).arg(&model);
    show(&command);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().context("no input")?;
    writeln!(input, "My name is Ada. Say only: hello")?;
    writeln!(input, "What is my name?")?;
    drop(input);
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    ensure!(output.status.success(), "the example failed");
    let remembered = text
        .rsplit("> ")
        .any(|answer| answer.contains("name is Ada"));
    ensure!(remembered, "the example did not remember a name");
    tally.passed += 1;
    Ok(())
}

/// Runs Maven's tests, counting and showing what is worth it.
fn run(tally: &mut Tally, command: &mut Command) -> Result<()> {
    let text = show(command);
    let mut totals = None;
    let result = tally.follow(command, |tally, line| {
        tally.note_skip(STEP, line);
        // The last such line is the sum over all classes.
        totals = Totals::read(line).or(totals.take());
        true
    });
    if let Some(totals) = &totals {
        tally.passed += totals.run - totals.failed - totals.skipped;
        tally.failed += totals.failed;
        tally.ignored += totals.skipped;
    }
    result.with_context(|| format!("`{text}`"))?;
    ensure!(totals.is_some(), "`{text}` ran no test");
    Ok(())
}

/// What Surefire says of a class or of all.
#[derive(Debug, PartialEq, Eq)]
struct Totals {
    run: u64,
    failed: u64,
    skipped: u64,
}

impl Totals {
    /// Reads `[INFO] Tests run: 3, Failures: 1, Errors: 1, Skipped: 0`.
    fn read(line: &str) -> Option<Self> {
        let (_, counts) = line.split_once("Tests run: ")?;
        let mut counts = counts.split(", ").map(|count| {
            let number = count.rsplit(' ').next().unwrap_or(count);
            number.trim().parse::<u64>().ok()
        });
        let mut next = || counts.next().flatten();
        let (run, failures, errors, skipped) = (next()?, next()?, next()?, next()?);
        Some(Self {
            run,
            failed: failures + errors,
            skipped,
        })
    }
}

/// Maven in a folder of the workspace, without questions.
fn maven(folder: &str, arguments: &[&str]) -> Result<Command> {
    let program = if cfg!(windows) { "mvn.cmd" } else { "mvn" };
    let mut command = Command::new(program);
    command
        .current_dir(workspace().join(folder))
        .args(["-B", "-ntp"])
        .args(arguments);
    Ok(command)
}

/// This machine in JNA's terms: the folder of a jar in which it looks for a library.
fn jna_platform() -> String {
    let system = match OS {
        "macos" => "darwin",
        "windows" => "win32",
        other => other,
    };
    let processor = match ARCH {
        "x86_64" => "x86-64",
        other => other,
    };
    format!("{system}-{processor}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surefire_s_sums_are_read() {
        let line = "[ERROR] Tests run: 12, Failures: 1, Errors: 2, Skipped: 3";
        let totals = Totals {
            run: 12,
            failed: 3,
            skipped: 3,
        };
        assert_eq!(Totals::read(line), Some(totals));
        let of_a_class = "[INFO] Tests run: 5, Failures: 0, Errors: 0, Skipped: 0, Time elapsed: 2.1 s -- in dev.A";
        assert_eq!(Totals::read(of_a_class).map(|totals| totals.run), Some(5));
        assert_eq!(Totals::read("[INFO] Running dev.A"), None);
    }

    #[test]
    fn the_package_has_the_version_of_the_workspace() {
        let version = env!("CARGO_PKG_VERSION");
        for pom in ["kotlin/pom.xml", "examples/kotlin-cli/pom.xml"] {
            let text = fs::read_to_string(workspace().join(pom)).expect("a readable file");
            let expected = "<artifactId>pocketlm</artifactId>\n";
            let after = text.split_once(expected).expect("the package is named").1;
            let line = after.lines().next().unwrap_or_default().trim();
            assert_eq!(line, format!("<version>{version}</version>"), "in {pom}");
        }
    }
}

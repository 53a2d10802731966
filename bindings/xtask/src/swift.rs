//! The Swift package: its generated part is up to date, it builds, its tests pass against the library
//! of this clone and a real model, the example runs, and the code in its documentation compiles.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::bindings::{self, Language};
use crate::cargo::{build_workspace, built, program, show, succeed, target_folder, workspace};
use crate::swift_toolchain::Toolchain;
use crate::tally::Tally;
use crate::{Extent, models, snippets};

/// The step's name in the summary.
pub const STEP: &str = "Swift";

/// What it is asked, always with the likeliest answer.
const PROMPT: &str = "What is the capital of France? Answer with one word.";

/// Runs the step; the library and the command line program have been built by the tests.
///
/// # Errors
/// When something fails. Where there is no toolchain and none can be installed, that is said and
/// noted as a skip.
pub fn test(tally: &mut Tally) -> Result<()> {
    let toolchain = match Toolchain::provide() {
        Ok(toolchain) => toolchain,
        Err(error) => {
            tally.skip(STEP, &format!("{error:#}"));
            return Ok(());
        }
    };
    println!("{}", toolchain.version()?);
    if cfg!(target_os = "macos") {
        // There the library is an XCFramework, which `cargo xtask xcframework` makes first.
        let framework = workspace().join("swift").join("PocketLMFFI.xcframework");
        if !framework.exists() {
            tally.skip(STEP, "no XCFramework (cargo xtask xcframework)");
            return Ok(());
        }
    }
    let package = Package::new(toolchain)?;
    package.test(tally)?;
    package.example()?;
    package.snippets()?;
    package.released_manifest()
}

/// The step by itself, with a closing line.
///
/// # Errors
/// As [`test()`] does.
pub fn alone() -> Result<()> {
    models::fetch(Extent::Normal)?;
    build_workspace()?;
    bindings::check(Language::Swift)?;
    Tally::alone(test)
}

/// The package with what it is built by.
struct Package {
    toolchain: Toolchain,
    workspace: PathBuf,
    /// Where it is built, outside of the clone.
    build: PathBuf,
    libraries: PathBuf,
    models: PathBuf,
}

impl Package {
    fn new(toolchain: Toolchain) -> Result<Self> {
        let build = target_folder()?.join("swift");
        fs::create_dir_all(&build)?;
        Ok(Self {
            toolchain,
            workspace: workspace(),
            build,
            libraries: built()?,
            models: models::folder()?,
        })
    }

    /// A `swift` command for the package in `folder`, built in a place of its own.
    fn swift(&self, verb: &str, folder: &Path, arguments: &[&str]) -> Result<Command> {
        let name = folder.file_name().context("a package has a name")?;
        let scratch = self.build.join(name);
        let scratch = scratch.to_str().context("a path of text")?;
        let mut all = vec![verb, "--scratch-path", scratch];
        all.extend(arguments);
        let target = target_folder()?;
        let folders = [
            self.workspace.as_path(),
            target.as_path(),
            self.models.as_path(),
        ];
        let program = program()?;
        let variables: [(&str, OsString); 3] = [
            ("POCKETLM_LIBRARY", self.libraries.clone().into()),
            ("POCKETLM_MODELS", self.models.clone().into()),
            ("POCKETLM_PROGRAM", program.into()),
        ];
        println!("$ swift {verb} {}", arguments.join(" "));
        Ok(self.toolchain.swift(&all, folder, &folders, &variables))
    }

    /// The package's tests, one after the other: they measure threads and memory.
    fn test(&self, tally: &mut Tally) -> Result<()> {
        let folder = self.workspace.join("swift");
        let mut command = self.swift("test", &folder, &["--no-parallel"])?;
        let mut run = Tally::default();
        let result = run.run_swift(&mut command);
        let result = result.and_then(|()| {
            ensure!(run.ran() > 0, "no test has run");
            Ok(())
        });
        tally.add_run(run, STEP);
        result
    }

    /// The example, a program of another package, asks the model what the command line program asks.
    fn example(&self) -> Result<()> {
        let model = self.models.join(models::CHAT_MODEL);
        if !model.exists() {
            println!("SKIPPED: the example needs {}", models::CHAT_MODEL);
            return Ok(());
        }
        let model = model.to_str().context("a path of text")?;
        let folder = self.workspace.join("examples").join("swift-cli");
        let arguments = ["pocketlm-swift", "--greedy", model, PROMPT];
        let answer = output(&mut self.swift("run", &folder, &arguments)?)?;
        let mut program = Command::new(program()?);
        program.args(["--device", "cpu", "run", "--greedy", model, PROMPT]);
        let expected = output(&mut program)?;
        ensure!(
            answer.trim() == expected.trim() && answer.contains("Paris"),
            "the example says `{answer}`, the command line program `{expected}`"
        );
        println!(
            "the example says what the command line program says: {}",
            answer.trim()
        );
        Ok(())
    }

    /// The code of the documentation, as a package that depends on this one.
    fn snippets(&self) -> Result<()> {
        let folder = self.build.join("snippets-package");
        let count = snippets::write(&self.workspace, &folder)?;
        println!("{count} pieces of code in the documentation");
        succeed(&mut self.swift("build", &folder, &[])?)
    }

    /// The manifest that apps see is one, although its binary part cannot be had yet.
    fn released_manifest(&self) -> Result<()> {
        let mut command = self.swift("package", &self.workspace, &["dump-package"])?;
        let description = output(&mut command)?;
        ensure!(
            description.contains("PocketLMFFI.xcframework.zip"),
            "the manifest at the root has no binary part"
        );
        Ok(())
    }
}

/// What a command prints; its errors are shown.
fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {}", show(command)))?;
    ensure!(output.status.success(), "failed ({})", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

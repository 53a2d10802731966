//! The generated Kotlin and Swift bindings. They are committed, because users of the packages cannot
//! run cargo, and the tests make them anew and compare.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cargo::{build_workspace, built, cargo, library, succeed, target_folder, workspace};

/// A language that bindings are generated for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    Kotlin,
    Swift,
}

/// Each generated file, by its name below the generator's output folder, and where it is committed.
const FILES: &[(Language, &str, &str)] = &[
    (
        Language::Kotlin,
        "dev/pocketlm/internal/pocketlm_ffi.kt",
        "kotlin/src/generated/kotlin/dev/pocketlm/internal/pocketlm_ffi.kt",
    ),
    (
        Language::Swift,
        "PocketLMInternal.swift",
        "swift/Sources/PocketLMInternal/PocketLMInternal.swift",
    ),
    (
        Language::Swift,
        "PocketLMFFI.h",
        "swift/Sources/PocketLMFFI/PocketLMFFI.h",
    ),
    (
        Language::Swift,
        "PocketLMFFI.modulemap",
        "swift/Sources/PocketLMFFI/module.modulemap",
    ),
];

const LANGUAGES: &[Language] = &[Language::Kotlin, Language::Swift];

impl Language {
    /// As the generator calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Kotlin => "kotlin",
            Self::Swift => "swift",
        }
    }
}

/// Generates all bindings and puts them where they are committed.
///
/// # Errors
/// When the library or the generator does not build, or a file cannot be written.
pub fn write() -> Result<()> {
    build_workspace()?;
    for language in LANGUAGES {
        let folder = generate(*language)?;
        for (made, committed) in files(*language, &folder) {
            fs::copy(&made, &committed)
                .with_context(|| format!("cannot write {}", committed.display()))?;
            println!("wrote {}", committed.display());
        }
    }
    Ok(())
}

/// Generates all bindings and compares them with those that are committed.
///
/// # Errors
/// When they differ, and as [`write()`] does.
pub fn check_all() -> Result<()> {
    build_workspace()?;
    for language in LANGUAGES {
        check(*language)?;
    }
    Ok(())
}

/// Generates the bindings of one language from the library that was built last, and compares them
/// with those that are committed.
///
/// # Errors
/// When they differ, and as [`write()`] does.
pub fn check(language: Language) -> Result<()> {
    let folder = generate(language)?;
    for (made, committed) in files(language, &folder) {
        let fresh = fs::read(&made).with_context(|| format!("no {}", made.display()))?;
        let old = fs::read(&committed).unwrap_or_default();
        ensure!(
            fresh == old,
            "{} is not what the library generates: run `cargo xtask bindings`",
            committed.display()
        );
    }
    println!("the {} bindings are up to date", language.name());
    Ok(())
}

/// Runs the generator, and returns the folder with what it made.
fn generate(language: Language) -> Result<PathBuf> {
    let folder = target_folder()?.join("bindings").join(language.name());
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let library = library()?;
    // By itself, see its Cargo.toml.
    let build = [
        "build",
        "--package",
        "pocketlm-bindgen",
        "--features",
        "bindgen",
    ];
    succeed(&mut cargo(&build)?)?;
    let mut command = Command::new(built()?.join("uniffi-bindgen"));
    command
        .current_dir(workspace())
        .args(["generate", "--no-format", "--metadata-no-deps"])
        .args(["--language", language.name(), "--out-dir"])
        .args([&folder, &library]);
    succeed(&mut command)?;
    Ok(folder)
}

/// The generated files of a language, and where they are committed.
fn files(language: Language, folder: &Path) -> Vec<(PathBuf, PathBuf)> {
    FILES
        .iter()
        .filter(|(of, _, _)| *of == language)
        .map(|(_, made, committed)| (folder.join(made), workspace().join(committed)))
        .collect()
}

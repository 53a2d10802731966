//! The library for Apple's systems: an XCFramework of static libraries, which the Swift package has
//! as its binary part. **Not run yet**: it needs a Mac with Xcode.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::bindings::{self, Language};
use crate::cargo::{build_workspace, cargo, succeed, target_folder, workspace};

/// A part of the framework: its name, and the targets whose libraries become one file.
const PARTS: &[(&str, &[&str])] = &[
    ("ios", &["aarch64-apple-ios"]),
    (
        "ios-simulator",
        &["aarch64-apple-ios-sim", "x86_64-apple-ios"],
    ),
    ("macos", &["aarch64-apple-darwin", "x86_64-apple-darwin"]),
];

/// The lowest versions of the systems, as the compiler wants to be told; those of `Package.swift`.
const DEPLOYMENT: &[(&str, &str)] = &[
    ("IPHONEOS_DEPLOYMENT_TARGET", "15.0"),
    ("MACOSX_DEPLOYMENT_TARGET", "12.0"),
];

const LIBRARY: &str = "libpocketlm_ffi.a";
const FRAMEWORK: &str = "PocketLMFFI.xcframework";

/// Builds the framework into `swift/`, and an archive of it for a release into the target folder.
///
/// # Errors
/// When this is no Mac with Xcode, a target is missing, or a step fails.
pub fn build() -> Result<()> {
    ensure!(
        cfg!(target_os = "macos"),
        "an XCFramework can be made on a Mac with Xcode only"
    );
    let folder = target_folder()?.join("xcframework");
    fs::create_dir_all(&folder)?;
    let headers = headers(&folder)?;
    let framework = workspace().join("swift").join(FRAMEWORK);
    if framework.exists() {
        fs::remove_dir_all(&framework)?;
    }
    let mut create = Command::new("xcodebuild");
    create.arg("-create-xcframework");
    for (name, targets) in PARTS {
        let library = library(&folder, name, targets)?;
        create
            .arg("-library")
            .arg(library)
            .arg("-headers")
            .arg(&headers);
    }
    succeed(create.arg("-output").arg(&framework))?;
    archive(&framework)
}

/// The archive that a release offers.
///
/// # Errors
/// When there is no home folder.
pub fn archive_path() -> Result<PathBuf> {
    Ok(target_folder()?
        .join("xcframework")
        .join(format!("{FRAMEWORK}.zip")))
}

/// The header and its module map, in a folder of the module's name: frameworks of other makers have a
/// module map of the same name, and Xcode copies all of them into one place.
fn headers(folder: &Path) -> Result<PathBuf> {
    build_workspace()?;
    bindings::check(Language::Swift)?;
    let headers = folder.join("headers");
    let module = headers.join("PocketLMFFI");
    fs::create_dir_all(&module)?;
    for file in ["PocketLMFFI.h", "module.modulemap"] {
        let source = workspace().join("swift/Sources/PocketLMFFI").join(file);
        fs::copy(&source, module.join(file))
            .with_context(|| format!("cannot copy {}", source.display()))?;
    }
    Ok(headers)
}

/// The library of a part, for all its targets.
fn library(folder: &Path, name: &str, targets: &[&str]) -> Result<PathBuf> {
    let mut libraries = Vec::new();
    for target in targets {
        let build = [
            "build",
            "--release",
            "--locked",
            "--package",
            "pocketlm-ffi",
            "--target",
        ];
        let mut command = cargo(&build)?;
        command.arg(target).envs(DEPLOYMENT.iter().copied());
        succeed(&mut command)
            .with_context(|| format!("is the target here? rustup target add {target}"))?;
        libraries.push(target_folder()?.join(target).join("release").join(LIBRARY));
    }
    if let [library] = libraries.as_slice() {
        return Ok(library.clone());
    }
    let part = folder.join(name);
    fs::create_dir_all(&part)?;
    let joined = part.join(LIBRARY);
    succeed(
        Command::new("lipo")
            .arg("-create")
            .args(&libraries)
            .arg("-output")
            .arg(&joined),
    )?;
    Ok(joined)
}

/// Packs the framework as Swift's package manager expects it.
fn archive(framework: &Path) -> Result<()> {
    let archive = archive_path()?;
    if archive.exists() {
        fs::remove_file(&archive)?;
    }
    let mut command = Command::new("ditto");
    command.args(["-c", "-k", "--sequesterRsrc", "--keepParent"]);
    succeed(command.arg(framework).arg(&archive))?;
    println!("made {}", archive.display());
    Ok(())
}

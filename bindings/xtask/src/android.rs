//! The library for Android, by `cargo-ndk`: one file for each instruction set, linked for memory
//! pages of 16 KB and checked for that. **Not run yet**: it needs the Android NDK.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::cargo::{cargo, succeed, target_folder, works};
use crate::elf;

/// Android's name of an instruction set, and Rust's name of the target.
pub const ABIS: &[(&str, &str)] = &[
    ("arm64-v8a", "aarch64-linux-android"),
    ("x86_64", "x86_64-linux-android"),
];

/// The lowest Android version that the library runs on, by its API level (Android 8).
const API_LEVEL: &str = "26";

/// The library's file name.
const LIBRARY: &str = "libpocketlm_ffi.so";

/// Builds the libraries into `TARGET/android/jniLibs/ABI`, where the Android package takes them from.
///
/// # Errors
/// When the NDK, cargo-ndk or a target is missing, the build fails, or a library does not load with
/// pages of 16 KB.
pub fn build() -> Result<()> {
    ensure!(
        works("cargo-ndk", &["--version"]),
        "cargo-ndk is needed (cargo install cargo-ndk)"
    );
    ensure!(
        std::env::var_os("ANDROID_NDK_HOME").is_some()
            || std::env::var_os("ANDROID_HOME").is_some(),
        "the Android NDK is needed: set ANDROID_NDK_HOME"
    );
    let folder = folder()?;
    let mut command = cargo(&["ndk", "--platform", API_LEVEL])?;
    for (abi, _) in ABIS {
        command.args(["--target", abi]);
    }
    command
        .arg("--output-dir")
        .arg(&folder)
        .args([
            "build",
            "--release",
            "--locked",
            "--package",
            "pocketlm-ffi",
        ])
        // NDKs before 28 link for 4 KB.
        .env(
            "RUSTFLAGS",
            format!("-C link-arg=-Wl,-z,max-page-size={}", elf::PAGE),
        );
    succeed(&mut command).with_context(|| {
        let targets: Vec<&str> = ABIS.iter().map(|(_, target)| *target).collect();
        format!(
            "are the targets here? rustup target add {}",
            targets.join(" ")
        )
    })?;
    for (abi, _) in ABIS {
        let library = folder.join(abi).join(LIBRARY);
        let segments = elf::check_pages(&library)?;
        println!(
            "{}: {} segments, for pages of 16 KB",
            library.display(),
            segments.len()
        );
    }
    Ok(())
}

/// Where the libraries are put.
///
/// # Errors
/// When there is no home folder.
pub fn folder() -> Result<PathBuf> {
    Ok(target_folder()?.join("android").join("jniLibs"))
}

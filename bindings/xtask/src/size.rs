//! How large the library is that apps ship: built for release, stripped, with and without the GPU
//! part.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::cargo::{self, cargo, succeed, target_folder};

/// A way to build the library, its features, and the most that it may weigh in bytes.
const VARIANTS: &[(&str, &[&str], u64)] = &[
    ("CPU only", &["--no-default-features"], 8 << 20),
    ("CPU and GPU", &[], 20 << 20),
];

/// Builds the library in each variant and tells its size, for `target` or for this machine.
///
/// # Errors
/// When a build fails. A library above its goal is reported, not refused.
pub fn measure(target: Option<&str>) -> Result<()> {
    let mut rows = Vec::new();
    for (name, features, goal) in VARIANTS {
        // A folder for each: they have other features of everything.
        let folder = target_folder()?.join("size").join(name.replace(' ', "-"));
        let mut command = cargo(&[
            "build",
            "--release",
            "--locked",
            "--package",
            "pocketlm-ffi",
        ])?;
        command.args(*features).env("CARGO_TARGET_DIR", &folder);
        let mut built = folder;
        if let Some(target) = target {
            command.args(["--target", target]);
            built.push(target);
        }
        succeed(&mut command)?;
        let library = built.join("release").join(library_name(target));
        rows.push((*name, size(&library)?, *goal));
    }
    println!("\n{:<12} {:>10} {:>10}", "library", "MiB", "goal");
    for (name, bytes, goal) in rows {
        println!("{}", row(name, bytes, goal));
    }
    Ok(())
}

/// The file name of the library for a target: that of the library which apps load, or link.
fn library_name(target: Option<&str>) -> String {
    match target {
        Some(target) if target.contains("-apple-") => "libpocketlm_ffi.a".to_string(),
        Some(target) if target.contains("-windows-") => "pocketlm_ffi.dll".to_string(),
        Some(_) => "libpocketlm_ffi.so".to_string(),
        None => cargo::library_name(),
    }
}

/// The size of a library, which the release profile has stripped.
fn size(library: &Path) -> Result<u64> {
    let metadata = fs::metadata(library);
    let bytes = metadata
        .with_context(|| format!("no {}", library.display()))?
        .len();
    ensure!(bytes > 0, "{} is empty", library.display());
    Ok(bytes)
}

/// A row of the table.
fn row(name: &str, bytes: u64, goal: u64) -> String {
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let verdict = if bytes > goal { "  above its goal" } else { "" };
    format!(
        "{name:<12} {:>10.1} {:>10.0}{verdict}",
        mebibytes(bytes),
        mebibytes(goal)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_found_for_other_systems() {
        let name = |target| library_name(Some(target));
        assert_eq!(name("aarch64-linux-android"), "libpocketlm_ffi.so");
        assert_eq!(name("aarch64-apple-ios"), "libpocketlm_ffi.a");
        assert_eq!(name("x86_64-pc-windows-msvc"), "pocketlm_ffi.dll");
    }

    #[test]
    fn a_library_above_its_goal_is_seen() {
        assert_eq!(
            row("CPU only", 3 << 19, 8 << 20),
            "CPU only            1.5          8"
        );
        assert!(row("CPU only", (8 << 20) + 1, 8 << 20).ends_with("above its goal"));
    }
}

//! The version of a release, written into every file that has it, and the checksum of the Swift
//! package's binary part.
//!
//! Edits only; it neither commits nor uploads. What it edits is one table: another file with the
//! version is another row.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::cargo::{cargo, succeed, workspace};
use crate::xcframework;

/// A file with the version, and what stands right before and right after it there.
const PLACES: &[(&str, &str, &str)] = &[
    ("Cargo.toml", "[workspace.package]\nversion = \"", "\""),
    (
        "Cargo.toml",
        "pocketlm = { path = \"core\", version = \"",
        "\"",
    ),
    (
        "bindings/Cargo.toml",
        "pocketlm = { path = \"../core\", version = \"",
        "\"",
    ),
    (
        "Package.swift",
        "/releases/download/v",
        "/PocketLMFFI.xcframework.zip",
    ),
    ("docs/swift.md", "pocketlm/pocketlm\", from: \"", "\""),
];

/// Where the checksum of the binary part stands.
const CHECKSUM: (&str, &str, &str) = ("Package.swift", "checksum: \"", "\"");

/// Prepares the release of a version.
///
/// # Errors
/// When the version is none, the change log has no heading for it, a file does not have what is to be
/// replaced, or cargo refuses the result.
pub fn prepare(version: &str) -> Result<()> {
    ensure!(
        is_version(version),
        "`{version}` is no version such as 1.2.3 or 1.2.3-beta.1"
    );
    let log = fs::read_to_string(workspace().join("CHANGELOG.md"))?;
    ensure!(
        log.lines()
            .any(|line| line.starts_with("## ") && line.contains(version)),
        "CHANGELOG.md has no heading for {version}"
    );
    for place in PLACES {
        write(place, version)?;
    }
    let archive = xcframework::archive_path()?;
    if archive.exists() {
        write(&CHECKSUM, &checksum(&archive)?)?;
    } else {
        println!(
            "SKIPPED: the checksum in Package.swift; there is no {} (cargo xtask xcframework)",
            archive.display()
        );
    }
    // The lock file has the version too.
    succeed(&mut cargo(&[
        "metadata",
        "--format-version",
        "1",
        "--no-deps",
        "--quiet",
    ])?)
}

/// Puts a value into its place in a file.
fn write((file, before, after): &(&str, &str, &str), value: &str) -> Result<()> {
    let path = workspace().join(file);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {file}"))?;
    let text = replace(&text, before, after, value).with_context(|| (*file).to_string())?;
    fs::write(&path, text)?;
    println!("{file}: {value}");
    Ok(())
}

/// The text with `value` in every place between `before` and `after`.
fn replace(text: &str, before: &str, after: &str, value: &str) -> Result<String> {
    let mut parts = text.split(before);
    let mut result = parts.next().unwrap_or_default().to_string();
    let mut count = 0;
    for part in parts {
        let Some((old, rest)) = part.split_once(after) else {
            bail!("`{before}` is not followed by `{after}`");
        };
        ensure!(
            !old.contains('\n'),
            "`{before}` is not followed by `{after}` on its line"
        );
        result.extend([before, value, after, rest]);
        count += 1;
    }
    ensure!(count > 0, "there is no `{before}`");
    Ok(result)
}

/// Whether a text is a version in the sense of Semantic Versioning, without build metadata.
fn is_version(text: &str) -> bool {
    let (numbers, pre) = match text.split_once('-') {
        Some((numbers, pre)) => (numbers, Some(pre)),
        None => (text, None),
    };
    let is_number = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    let is_word = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    numbers.split('.').count() == 3
        && numbers.split('.').all(is_number)
        && pre.is_none_or(|pre| pre.split('.').all(is_word))
}

/// The SHA-256 of a file, as `swift package compute-checksum` gives it.
fn checksum(file: &Path) -> Result<String> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let digest = Sha256::digest(bytes);
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_there_with_the_version_of_now() -> Result<()> {
        let version = env!("CARGO_PKG_VERSION");
        for (file, before, after) in PLACES {
            let text = fs::read_to_string(workspace().join(file))?;
            let changed = replace(&text, before, after, "9.9.9").context(*file)?;
            assert_ne!(changed, text, "{file}");
            // All that changes is the version.
            assert_eq!(replace(&changed, before, after, version)?, text, "{file}");
        }
        let (file, before, after) = CHECKSUM;
        let text = fs::read_to_string(workspace().join(file))?;
        let old = text
            .split(before)
            .nth(1)
            .and_then(|rest| rest.split(after).next());
        assert_eq!(old.map(str::len), Some(64));
        Ok(())
    }

    #[test]
    fn a_place_that_is_not_there_is_an_error() {
        assert!(replace("version = '1'", "version = \"", "\"", "2").is_err());
        assert!(replace("version = \"1\n", "version = \"", "\"", "2").is_err());
        assert!(replace("version = \"1\nx\"", "version = \"", "\"", "2").is_err());
    }

    #[test]
    fn versions_are_told_from_other_texts() {
        for text in ["0.1.0", "10.20.30", "1.2.3-beta.1", "1.0.0-rc-1"] {
            assert!(is_version(text), "{text}");
        }
        for text in [
            "",
            "1.2",
            "1.2.3.4",
            "v1.2.3",
            "01.2.3",
            "1.2.x",
            "1.2.3-",
            "1.2.3-a..b",
            "1.2.3\n",
        ] {
            assert!(!is_version(text), "{text:?}");
        }
    }

    #[test]
    fn the_checksum_is_sha_256() -> Result<()> {
        let file = std::env::temp_dir().join(format!("pocketlm-checksum-{}", std::process::id()));
        fs::write(&file, "abc")?;
        let sum = checksum(&file);
        fs::remove_file(&file)?;
        // The example of FIPS 180-2.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sum?, expected);
        Ok(())
    }
}

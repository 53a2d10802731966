//! Replacing a file so that, whatever happens, it holds the old contents or the new ones.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::fault;
use crate::error::{Result, SessionFault};

/// Ends the names of files that are not finished.
const UNFINISHED: &str = ".part";

/// Writes a file beside `path`, waits until it is on storage, and renames it to `path`.
///
/// # Errors
/// [`crate::PocketError::SessionFile`]; what was at `path` is still there.
pub fn replace(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<()> {
    let result = Unfinished::beside(path).and_then(|unfinished| {
        let mut out = BufWriter::with_capacity(1 << 20, unfinished.file.try_clone()?);
        write(&mut out)?;
        out.flush()?;
        unfinished.become_file(path)
    });
    result.map_err(|error| {
        let detail = format!("{}: {error}", path.display());
        fault(SessionFault::Unwritable, detail)
    })
}

/// A file that is being written; removed unless it becomes the real one. It is locked meanwhile,
/// so one that is not locked was left behind by a process that ended.
struct Unfinished {
    path: PathBuf,
    file: File,
    done: bool,
}

impl Unfinished {
    fn beside(target: &Path) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        /// Between its creation and its lock a file must not be taken for a left one.
        static CREATION: Mutex<()> = Mutex::new(());
        let (folder, prefix) = names(target)?;
        let _creation = CREATION.lock().unwrap_or_else(PoisonError::into_inner);
        remove_left_behind(&folder, &prefix);
        let mut name = prefix;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        name.push(format!("{}-{number}{UNFINISHED}", std::process::id()));
        let path = folder.join(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        // A conversation is nobody else's business.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path)?;
        // Where files cannot be locked, nothing tells what was left behind: then it stays.
        let _ = file.try_lock();
        Ok(Self {
            path,
            file,
            done: false,
        })
    }

    fn become_file(mut self, target: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, target)?;
        self.done = true;
        // The rename is on storage once the folder is. Not every system can wait for that.
        #[cfg(unix)]
        if let Some(folder) = self.path.parent() {
            let _ = File::open(folder).and_then(|folder| folder.sync_all());
        }
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The folder of `target`, and what names of its unfinished files begin with.
fn names(target: &Path) -> io::Result<(PathBuf, OsString)> {
    let name = target
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?;
    let folder = match target.parent() {
        Some(folder) if folder != Path::new("") => folder.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    Ok((folder, prefix))
}

/// Removes what processes that ended in the middle left for the same target.
fn remove_left_behind(folder: &Path, prefix: &OsString) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let bytes = name.as_encoded_bytes();
        if !bytes.starts_with(prefix.as_encoded_bytes()) || !bytes.ends_with(UNFINISHED.as_bytes())
        {
            continue;
        }
        let unlocked = File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok());
        if unlocked {
            let _ = fs::remove_file(entry.path());
        }
    }
}

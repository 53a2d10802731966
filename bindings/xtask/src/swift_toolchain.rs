//! A Swift toolchain: the machine's own, or Debian's in a root folder of its own, which leaves the
//! machine's packages as they are.
//!
//! Debian has Swift from its release 13 on. Its packages are unpacked into the project's cache folder
//! by `mmdebstrap`, from the mirror that this machine's own apt uses: about 1.3 GB, and a minute.
//! Programs run in it by `chroot`, in a mount namespace of their own, so that nothing stays mounted.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::cargo::cache_folder;
use crate::system;

/// The Debian release that the root is made of, the oldest one with Swift.
const RELEASE: &str = "trixie";

/// Swift, and what its linker needs beside it.
const PACKAGES: &str = "swiftlang,libc6-dev,libstdc++-14-dev";

/// What no test needs, and takes half of the room.
const LEFT_OUT: &[&str] = &[
    "/usr/share/man/*",
    "/usr/share/doc/*",
    "/usr/share/locale/*",
    "/usr/share/info/*",
    "/usr/libexec/swift/bin/lldb*",
    "/usr/libexec/swift/bin/clangd",
    "/usr/libexec/swift/bin/docc",
    "/usr/libexec/swift/bin/sourcekit-lsp",
    "/usr/libexec/swift/bin/swift-format",
    "/usr/libexec/swift/bin/wasm-ld",
    "/usr/libexec/swift/lib/liblldb*",
    "/usr/libexec/swift/lib/libsourcekitd*",
    "/usr/libexec/swift/lib/libLTO*",
    "/usr/libexec/swift/lib/swift_static/*",
    "/usr/libexec/swift/lib/swift/android/*",
    "/usr/libexec/swift/lib/swift/embedded/*",
];

/// Where programs are in the root.
const PATH: &str = "/usr/libexec/swift/bin:/usr/bin:/bin";

/// Mounts what a program needs into the root, and becomes the program. Its arguments: the root, a
/// number of folders, these, and the program with its arguments. The compiler finds its libraries by
/// way of `/proc`.
const ENTER: &str = r#"
root=$1; count=$2; shift 2
mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" || exit 125
while [ "$count" -gt 0 ]; do
    mkdir -p "$root$1" && mount --rbind "$1" "$root$1" || exit 125
    shift; count=$((count - 1))
done
exec chroot "$root" "$@"
"#;

/// What runs Swift.
#[derive(Debug)]
pub enum Toolchain {
    /// The program `swift` of this machine.
    System,
    /// The one in a root folder.
    Debian(PathBuf),
}

impl Toolchain {
    /// Finds one, and installs Debian's where there is none and that can be done.
    ///
    /// # Errors
    /// When this is no system that has it, or a step of the installation fails.
    pub fn provide() -> Result<Self> {
        if system_swift_is_new_enough() {
            return Ok(Self::System);
        }
        let root = cache_folder()?.join("swift").join("root");
        let toolchain = Self::Debian(root.clone());
        if marker(&root).exists() && toolchain.version().is_ok() {
            return Ok(toolchain);
        }
        ensure!(
            cfg!(target_os = "linux") && system::can_install(),
            "no Swift 6 (Debian's is used only on Debian, as root)"
        );
        install(&root)?;
        let version = toolchain.version()?;
        // Written last: a folder without it was left by an installation that did not come to its end.
        fs::write(marker(&root), &version)?;
        println!("{version} of Debian is in {}", root.display());
        Ok(toolchain)
    }

    /// A command that runs `swift`, in `place`, with these variables beside the toolchain's own. Of
    /// the machine's files it sees `folders`, by their usual names.
    pub fn swift(
        &self,
        arguments: &[&str],
        place: &Path,
        folders: &[&Path],
        variables: &[(&str, OsString)],
    ) -> Command {
        match self {
            Self::System => {
                let mut command = Command::new("swift");
                command.args(arguments).current_dir(place);
                command.envs(variables.iter().map(|(name, value)| (name, value)));
                command
            }
            Self::Debian(root) => {
                let mut command = Command::new("unshare");
                command
                    .args(["--mount", "--propagation", "private", "sh", "-c", ENTER])
                    .args(["enter".as_ref(), root.as_os_str()])
                    .arg(folders.len().to_string())
                    .args(folders)
                    .args(["/usr/bin/env", "-i", "--chdir"])
                    .arg(place)
                    .args(["HOME=/root".to_string(), format!("PATH={PATH}")]);
                for (name, value) in variables {
                    let mut variable = OsString::from(name);
                    variable.push("=");
                    variable.push(value);
                    command.arg(variable);
                }
                command.arg("swift").args(arguments);
                command
            }
        }
    }

    /// What the toolchain says it is; that it runs at all is part of the answer.
    pub fn version(&self) -> Result<String> {
        let output = self
            .swift(&["--version"], Path::new("/"), &[], &[])
            .output()
            .context("cannot run swift")?;
        let text = String::from_utf8_lossy(&output.stdout);
        match text.lines().next() {
            Some(line) if output.status.success() => Ok(line.trim().to_string()),
            _ => bail!(
                "Swift does not run here: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            ),
        }
    }
}

/// Whether the machine's own Swift knows the language mode that the package is written in.
fn system_swift_is_new_enough() -> bool {
    let output = Command::new("swift").arg("--version").output();
    output.is_ok_and(|output| {
        output.status.success() && major(&String::from_utf8_lossy(&output.stdout)) >= Some(6)
    })
}

/// The major number in `… Swift version 6.0.3 (…)`.
fn major(text: &str) -> Option<u32> {
    let (_, version) = text.split_once("Swift version ")?;
    version.split(['.', ' ']).next()?.parse().ok()
}

/// Beside the root, which is Debian's alone.
fn marker(root: &Path) -> PathBuf {
    root.with_extension("complete")
}

/// Makes the root.
fn install(root: &Path) -> Result<()> {
    system::root_builder()?;
    let mirror = mirror()?;
    if root.exists() {
        fs::remove_dir_all(root).with_context(|| format!("cannot remove {}", root.display()))?;
    }
    if let Some(folder) = root.parent() {
        fs::create_dir_all(folder)?;
    }
    println!("fetching Swift: Debian {RELEASE}, into {}", root.display());
    let mut command = Command::new("mmdebstrap");
    command
        .args(["--quiet", "--variant=essential", "--mode=root"])
        .arg(format!("--include={PACKAGES}"))
        .arg("--aptopt=Acquire::Languages \"none\"")
        .args(
            LEFT_OUT
                .iter()
                .map(|path| format!("--dpkgopt=path-exclude={path}")),
        )
        .arg(RELEASE)
        .arg(root);
    // Last and not shown: where the machine gets its packages from is its own affair.
    println!("$ mmdebstrap {RELEASE} {}", root.display());
    command.arg(format!("deb {mirror} {RELEASE} main"));
    let status = command.status().context("cannot run mmdebstrap")?;
    ensure!(status.success(), "mmdebstrap failed ({status})");
    Ok(())
}

/// The mirror that this machine's own apt uses for Debian.
fn mirror() -> Result<String> {
    let output = Command::new("apt-get")
        .args(["indextargets", "--format", "$(ORIGIN) $(CODENAME) $(SITE)"])
        .args(["Created-By: Packages", "Component: main"])
        .output()
        .context("cannot run apt-get")?;
    find_mirror(&String::from_utf8_lossy(&output.stdout))
        .context("apt on this machine has no mirror of Debian")
}

/// Of lines with an origin, a code name and a site, the site of Debian itself: updates and security
/// fixes, whose code names have a suffix, may be elsewhere.
fn find_mirror(lines: &str) -> Option<String> {
    lines.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (origin, codename, site) = (words.next()?, words.next()?, words.next()?);
        (origin == "Debian" && !codename.contains('-')).then(|| site.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        for (text, expected) in [
            (
                "Swift version 6.0.3 (swift-6.0.3-RELEASE)\nTarget: x86_64",
                Some(6),
            ),
            ("Apple Swift version 5.10 (swiftlang-5.10)", Some(5)),
            (
                "swift-driver version: 1.115 Apple Swift version 6.0.3",
                Some(6),
            ),
            ("no such program", None),
        ] {
            assert_eq!(major(text), expected, "{text}");
        }
    }

    #[test]
    fn the_mirror_is_that_of_debian_itself() {
        let lines = "Other noble m0://mirror/other\n\
                     Debian bookworm-security m1://mirror/security\n\
                     Debian bookworm-updates m2://mirror/debian\n\
                     Debian bookworm m3://mirror/debian\n";
        assert_eq!(find_mirror(lines).as_deref(), Some("m3://mirror/debian"));
        assert_eq!(find_mirror("Other noble m0://mirror/other\n"), None);
    }

    #[test]
    fn the_root_sees_the_folders_and_variables_it_is_given() {
        let toolchain = Toolchain::Debian("/root-folder".into());
        let command = toolchain.swift(
            &["test"],
            Path::new("/here"),
            &[Path::new("/a"), Path::new("/b")],
            &[("NAME", "value".into())],
        );
        let arguments: Vec<_> = command.get_args().map(|a| a.to_string_lossy()).collect();
        let at = arguments
            .iter()
            .position(|a| a == "/root-folder")
            .unwrap_or(0);
        assert_eq!(arguments[at + 1..at + 4], ["2", "/a", "/b"]);
        assert!(arguments.ends_with(&["NAME=value", "swift", "test"].map(Into::into)));
        assert!(
            arguments
                .windows(2)
                .any(|pair| pair == ["--chdir", "/here"])
        );
    }
}

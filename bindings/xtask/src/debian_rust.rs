//! Debian's Rust compiler with its standard library for ARM64, for machines where rustup has none and
//! cannot fetch it. It is unpacked into a folder of its own: the system's packages and rustup's
//! compiler stay as they are, and cargo is pointed to it.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::cargo::{cache_folder, succeed};
use crate::system;

/// The compiler that Debian keeps current, for its browsers, in stable releases too.
const COMPILER: &str = "rustc-web";

/// Of what the compiler depends on, what is unpacked with it; the rest (the C library and such) is the
/// system's own.
const COMPANIONS: &[&str] = &["libstd-rust-", "libllvm"];

/// Debian's names of this machine's architecture and of the one that is built for.
const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];

/// What this workspace needs.
const MINIMUM: &str = env!("CARGO_PKG_RUST_VERSION");

/// The folder with the compiler, unpacked now if it is not there, or is too old or broken.
///
/// # Errors
/// When this is no system that has it, or a step of the installation fails.
pub fn provide(target: &str) -> Result<PathBuf> {
    let root = cache_folder()?.join("cross").join("debian-rust");
    if complete(&root, target) && version(&root).is_ok_and(|version| at_least(&version, MINIMUM)) {
        return Ok(root);
    }
    ensure!(
        cfg!(all(target_os = "linux", target_arch = "x86_64")) && system::can_install(),
        "Debian's is used only on Debian for x86-64, as root"
    );
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))?;
    }
    unpack(&root)?;
    let version = version(&root)?;
    // Written last: a folder without it was left by an installation that did not come to its end.
    fs::write(marker(&root, target), &version)?;
    println!("Rust {version} of Debian is in {}", root.display());
    Ok(root)
}

/// The compiler in its folder.
pub fn program(root: &Path) -> PathBuf {
    root.join("usr/bin/rustc")
}

/// Where the compiler's shared libraries are: they are not found by themselves outside of `/usr`.
pub fn libraries(root: &Path) -> PathBuf {
    root.join("usr/lib/x86_64-linux-gnu")
}

fn marker(root: &Path, target: &str) -> PathBuf {
    root.join(format!("complete-{target}"))
}

fn complete(root: &Path, target: &str) -> bool {
    marker(root, target).exists()
}

/// Downloads the packages and unpacks them.
fn unpack(root: &Path) -> Result<()> {
    let downloads = root.join("downloads");
    let apt = PrivateApt::new(&downloads)?;
    println!("fetching Debian's Rust for ARM64");
    succeed(apt.command("apt-get").arg("update"))?;
    let packages = packages(|package| apt.describe(package))?;
    succeed(
        apt.command("apt-get")
            .arg("download")
            .args(&packages)
            .current_dir(&downloads),
    )?;
    let mut unpacked = 0;
    for file in fs::read_dir(&downloads)? {
        let file = file?.path();
        if file.extension().is_some_and(|extension| extension == "deb") {
            succeed(Command::new("dpkg-deb").arg("-x").arg(file).arg(root))?;
            unpacked += 1;
        }
    }
    ensure!(
        unpacked == packages.len(),
        "{unpacked} packages came instead of {}",
        packages.len()
    );
    fs::remove_dir_all(&downloads)?;
    Ok(())
}

/// The names of the packages to unpack: the compiler and its companions, whose names contain versions,
/// and the standard library once more for ARM64. `describe` returns a package's description.
fn packages(describe: impl Fn(&str) -> Result<String>) -> Result<Vec<String>> {
    let mut waiting = VecDeque::from([COMPILER.to_string()]);
    let mut packages: Vec<String> = Vec::new();
    while let Some(package) = waiting.pop_front() {
        if packages.contains(&package) {
            continue;
        }
        let description = describe(&package)?;
        if package == COMPILER {
            let version = field(&description, "Version").unwrap_or_default();
            ensure!(
                at_least(version, MINIMUM),
                "Debian's {COMPILER} is {version}, and {MINIMUM} is needed"
            );
        }
        waiting.extend(companions(
            field(&description, "Depends").unwrap_or_default(),
        ));
        packages.push(package);
    }
    let [_, foreign] = ARCHITECTURES;
    let is_library = |name: &&String| name.starts_with("libstd-rust-") && name.ends_with("-dev");
    let Some(library) = packages.iter().find(is_library) else {
        bail!("{COMPILER} has no library among its dependencies");
    };
    packages.push(format!("{library}:{foreign}"));
    Ok(packages)
}

/// Those packages of a `Depends` field that are unpacked too.
fn companions(depends: &str) -> Vec<String> {
    depends
        .split([',', '|'])
        .filter_map(|entry| entry.split_whitespace().next())
        .map(|name| name.split(':').next().unwrap_or(name))
        .filter(|name| COMPANIONS.iter().any(|start| name.starts_with(start)))
        .map(str::to_string)
        .collect()
}

/// The value of a field in a package's description.
fn field<'a>(description: &'a str, name: &str) -> Option<&'a str> {
    description
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim)
}

/// Whether a version, of which major and minor count, is not below another.
fn at_least(version: &str, minimum: &str) -> bool {
    let numbers = |text: &str| -> Option<(u64, u64)> {
        let mut numbers = text.split('.').map(|part| part.parse().ok());
        Some((numbers.next()??, numbers.next()??))
    };
    numbers(version)
        .zip(numbers(minimum))
        .is_some_and(|(version, minimum)| version >= minimum)
}

/// What the unpacked compiler says it is, `1.96.0`: that it runs at all is part of the answer.
fn version(root: &Path) -> Result<String> {
    let program = program(root);
    let output = Command::new(&program)
        .arg("--version")
        .env("LD_LIBRARY_PATH", libraries(root))
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.split_whitespace().nth(1) {
        Some(version) if output.status.success() => Ok(version.to_string()),
        _ => bail!(
            "Debian's compiler does not run here: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ),
    }
}

/// apt with package lists of its own, which know a second architecture: the system's apt would have to
/// be told of it for good. Sources and keys are the system's.
struct PrivateApt {
    config: PathBuf,
}

impl PrivateApt {
    /// Keeps everything in `folder`, which is made.
    fn new(folder: &Path) -> Result<Self> {
        for list in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(folder.join(list))?;
        }
        // No package counts as installed.
        fs::write(folder.join("status"), "")?;
        let config = folder.join("apt.conf");
        fs::write(&config, configuration(folder))?;
        Ok(Self { config })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-qq").arg("-c").arg(&self.config);
        command
    }

    /// What apt knows about the newest version of a package.
    fn describe(&self, package: &str) -> Result<String> {
        let output = self
            .command("apt-cache")
            .args(["show", "--no-all-versions", package])
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            output.status.success() && !text.trim().is_empty(),
            "this system has no package {package}"
        );
        Ok(text)
    }
}

/// The settings of [`PrivateApt`].
fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    let [native, foreign] = ARCHITECTURES;
    format!(
        r#"Dir::State "{folder}";
Dir::State::lists "lists";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}";
APT::Architecture "{native}";
APT::Architectures {{ "{native}"; "{foreign}"; }};
APT::Sandbox::User "root";
Acquire::Languages "none";
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Descriptions as apt prints them, shortened.
    fn describe(package: &str) -> Result<String> {
        let depends = match package {
            "rustc-web" => {
                "libc6 (>= 2.34), libstd-rust-web-dev (= 1.96.0+dfsg1-1~deb12u2), gcc | clang"
            }
            "libstd-rust-web-dev" => "libstd-rust-web-1.96 (= 1.96.0+dfsg1-1~deb12u2)",
            "libstd-rust-web-1.96" => "libc6 (>= 2.34), libllvm22, libstdc++6 (>= 11)",
            "libllvm22" => "libc6 (>= 2.36), zlib1g (>= 1:1.2.0)",
            _ => bail!("{package} is not to be unpacked"),
        };
        Ok(format!(
            "Package: {package}\nVersion: 1.96.0+dfsg1-1~deb12u2\nPre-Depends: libstd-rust-no\n\
             Depends: {depends}\nDescription: a package\n"
        ))
    }

    #[test]
    fn the_compiler_its_libraries_and_the_foreign_one_are_fetched() -> Result<()> {
        assert_eq!(
            packages(describe)?,
            [
                "rustc-web",
                "libstd-rust-web-dev",
                "libstd-rust-web-1.96",
                "libllvm22",
                "libstd-rust-web-dev:arm64"
            ]
        );
        Ok(())
    }

    #[test]
    fn an_old_compiler_is_not_fetched() {
        let old = |package: &str| Ok(describe(package)?.replace("1.96.0", "1.85.0"));
        let error = packages(old).map_err(|error| error.to_string());
        assert!(error.is_err_and(|text| text.contains("1.85.0") && text.contains(MINIMUM)));
    }

    #[test]
    fn a_compiler_without_a_library_is_an_error() {
        let bare = |package: &str| Ok(describe(package)?.replace("libstd-rust-web-dev", "other"));
        assert!(packages(bare).is_err());
    }

    #[test]
    fn versions_compare_by_number() {
        for (version, enough) in [
            ("1.96.0", true),
            ("1.96.0+dfsg1-1~deb12u2", true),
            ("1.95.0", true),
            ("1.9.9", false),
            ("1.85.0", false),
            ("2.0.0", true),
            ("", false),
            ("nightly", false),
        ] {
            assert_eq!(at_least(version, "1.95"), enough, "{version}");
        }
    }

    #[test]
    fn nothing_of_the_systems_apt_state_is_shared() {
        let text = configuration(Path::new("/here"));
        for setting in ["Dir::State", "Dir::State::status", "Dir::Cache"] {
            assert!(text.contains(&format!("{setting} \"/here")), "{setting}");
        }
        assert!(text.contains("\"amd64\"; \"arm64\";"));
    }
}

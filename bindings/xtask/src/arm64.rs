//! The CPU kernels on ARM64, on machines that are something else: built here, and run by an emulator
//! as if on several CPUs, each of which takes another path through the kernels.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cargo::{cargo, succeed, target_folder};
use crate::tally::Tally;
use crate::{debian_rust, system};

/// The step's name in the summary.
pub const STEP: &str = "ARM64 under qemu";

/// What is built for.
const TARGET: &str = "aarch64-unknown-linux-gnu";

/// The emulator's name of a CPU, and the most that its instruction set offers the kernels.
const CPUS: &[(&str, &str)] = &[
    ("cortex-a57", "plain NEON"),
    ("cortex-a76", "dotprod"),
    ("max", "i8mm"),
];

/// Where the kernels' tests are: a test binary, as cargo selects it, and a part of the tests' names.
/// Each row must match a test on every CPU, so that a renamed module is noticed.
const SUITES: &[(&[&str], &str)] = &[
    (&["--lib"], "kernels::cpu::"),
    (&["--test", "main"], "kernels::"),
];

/// How the tests are built: the GPU's half of the crate is left out, which the kernels tested here do
/// not need, and most of the dependencies with it.
const BUILD: &[&str] = &[
    "test",
    "--package",
    "pocketlm",
    "--no-default-features",
    "--target",
    TARGET,
];

/// Builds the core's tests for ARM64 and runs those of the CPU kernels on every CPU.
///
/// # Errors
/// When the build, a test, or the search for tests fails. Where there is no toolchain and none can
/// be installed, that is said and noted as a skip.
pub fn test(tally: &mut Tally) -> Result<()> {
    if cfg!(target_arch = "aarch64") {
        println!("not needed: this machine is ARM64, and the tests have run on it as they are");
        return Ok(());
    }
    let toolchain = match Toolchain::provide() {
        Ok(toolchain) => toolchain,
        Err(error) => {
            tally.skip(STEP, &format!("{error:#}"));
            return Ok(());
        }
    };
    let mut build = toolchain.cargo(BUILD)?;
    succeed(build.args(["--lib", "--test", "main", "--no-run"]))?;

    let mut faults = Vec::new();
    for (cpu, instructions) in CPUS {
        for (binary, filter) in SUITES {
            println!("\n-- {cpu}: {instructions}");
            let mut command = toolchain.cargo(BUILD)?;
            command.args(*binary).args(["--", "--show-output", filter]);
            command.env(for_target("RUNNER"), toolchain.runner(cpu));
            let mut run = Tally::default();
            let result = run.run(&mut command);
            let result = result.and_then(|()| {
                ensure!(run.ran() > 0, "no test's name contains `{filter}`");
                Ok(())
            });
            if let Err(error) = result {
                println!("FAILED: {error:#}");
                faults.push(format!("{cpu}: {error:#}"));
            }
            tally.add_run(run, cpu);
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("; "));
    Ok(())
}

/// The variable by which cargo is told something about the target.
fn for_target(what: &str) -> String {
    let target = TARGET.replace('-', "_").to_uppercase();
    format!("CARGO_TARGET_{target}_{what}")
}

/// What builds and runs programs for ARM64.
struct Toolchain {
    /// Where Debian's compiler was unpacked; none where the usual one has what it takes.
    debian: Option<PathBuf>,
    emulator: &'static str,
}

impl Toolchain {
    /// Finds the parts, and installs those that are missing where that can be done.
    fn provide() -> Result<Self> {
        let debian = if usual_compiler_has_target() {
            None
        } else {
            Some(debian_rust::provide(TARGET).with_context(|| {
                format!("Rust's library for ARM64 is missing (rustup target add {TARGET})")
            })?)
        };
        let emulator = system::arm64_emulator()?;
        Ok(Self { debian, emulator })
    }

    /// A cargo command that builds with this toolchain.
    fn cargo(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = cargo(arguments)?;
        // A folder for each compiler: neither then rebuilds or removes what the other made.
        let folder = if self.debian.is_some() {
            "arm64-debian"
        } else {
            "arm64"
        };
        command
            .env("CARGO_TARGET_DIR", target_folder()?.join(folder))
            .env(for_target("LINKER"), system::ARM64_LINKER)
            // Flags meant for this machine, such as its CPU's name, would break a build for another.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        if let Some(root) = &self.debian {
            command
                .env("RUSTC", debian_rust::program(root))
                .env("LD_LIBRARY_PATH", debian_rust::libraries(root));
        }
        Ok(command)
    }

    /// How cargo is to start a program on a CPU of the emulator.
    fn runner(&self, cpu: &str) -> String {
        format!(
            "{} -cpu {cpu} -L {}",
            self.emulator,
            system::ARM64_LIBRARIES
        )
    }
}

/// Whether the compiler that built this program can build for the target too: whether there is a
/// standard library in the folder that it names.
fn usual_compiler_has_target() -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let output = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output();
    output.is_ok_and(|output| {
        let folder = String::from_utf8_lossy(&output.stdout);
        output.status.success() && has_standard_library(Path::new(folder.trim()))
    })
}

/// Whether `libstd-….rlib` is in a folder.
fn has_standard_library(folder: &Path) -> bool {
    folder.read_dir().is_ok_and(|files| {
        files.flatten().any(|file| {
            let name = file.file_name();
            let name = name.to_string_lossy();
            name.starts_with("libstd-") && name.ends_with(".rlib")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_named_as_cargo_expects() {
        assert_eq!(
            for_target("RUNNER"),
            "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER"
        );
    }

    #[test]
    fn each_compiler_has_its_own_target_folder() -> Result<()> {
        let folder = |debian| -> Result<PathBuf> {
            let toolchain = Toolchain {
                debian,
                emulator: "qemu-aarch64",
            };
            let command = toolchain.cargo(BUILD)?;
            let mut variables = command.get_envs();
            let folder = variables.find(|(name, _)| *name == "CARGO_TARGET_DIR");
            Ok(folder.and_then(|(_, value)| value).context("unset")?.into())
        };
        let (usual, debian) = (folder(None)?, folder(Some(PathBuf::from("/x")))?);
        assert_ne!(usual, debian);
        for folder in [usual, debian] {
            assert_eq!(folder.parent(), Some(target_folder()?.as_path()));
        }
        Ok(())
    }
}

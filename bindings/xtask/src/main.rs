//! `cargo xtask`: the project's own tool.
//!
//! ```text
//! cargo xtask test [--quick | --full]   everything that must be green
//! cargo xtask arm64                     the CPU kernels on ARM64, by emulation
//! cargo xtask kotlin [NATIVES]          the Kotlin package: tests, and a Maven repository folder
//! cargo xtask swift                     the Swift package's tests, example and documentation
//! cargo xtask bindings [--check]        generate the Kotlin and Swift bindings, or compare them
//! cargo xtask android                   the library for Android (needs the NDK)
//! cargo xtask xcframework               the library for Apple's systems (needs a Mac)
//! cargo xtask size [TARGET]             how large the shipped library is
//! cargo xtask release VERSION           write a release's version and checksum
//! cargo xtask models [--full]           fetch the models that tests use
//! ```

mod android;
mod arm64;
mod bindings;
mod cargo;
mod debian_rust;
mod elf;
mod kotlin;
mod models;
mod release;
mod size;
mod snippets;
mod swift;
mod swift_toolchain;
mod system;
mod tally;
mod test;
mod xcframework;

use std::process::ExitCode;

use anyhow::{Result, bail};

use tally::Tally;

const USAGE: &str = "\
usage: cargo xtask test [--quick | --full]
         format, lints, documentation, tests, ARM64 kernels under an emulator, dependencies;
         installs what the tests need
           --quick   only format, lints and tests, with what is already on this machine
           --full    with the larger model too
       cargo xtask arm64
         only the CPU kernels' tests on ARM64, a part of the above
       cargo xtask kotlin [NATIVES]
         test the Kotlin package, and pack it for this machine into kotlin/target/repo; a part of
         the above. With NATIVES only pack it, with the libraries in that folder
         (jvm/linux-x86-64, android/arm64-v8a, ...)
       cargo xtask swift
         only the Swift package: tests, example, documentation; installs Debian's Swift where there
         is none
       cargo xtask bindings [--check]
         generate the Kotlin and Swift bindings from the library; or compare them with the committed
       cargo xtask android | xcframework
         the library for Android (needs cargo-ndk and the NDK), for Apple's systems (needs a Mac)
       cargo xtask size [TARGET]
         build the library for release, with and without the GPU part, and tell its size
       cargo xtask release VERSION
         write the version, and the checksum of the XCFramework, into the files that have them
       cargo xtask models [--full]
         fetch the models that tests use into the models folder";

/// How much to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    Quick,
    Normal,
    Full,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything that was asked for succeeded.
fn run(args: &[String]) -> Result<bool> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["test"] => test::run(Extent::Normal),
        ["test", "--quick"] => test::run(Extent::Quick),
        ["test", "--full"] => test::run(Extent::Full),
        ["arm64"] => Tally::alone(arm64::test).map(|()| true),
        ["kotlin"] => Tally::alone(kotlin::test).map(|()| true),
        ["kotlin", natives] => kotlin::package(natives).map(|()| true),
        ["swift"] => swift::alone().map(|()| true),
        ["bindings"] => bindings::write().map(|()| true),
        ["bindings", "--check"] => bindings::check_all().map(|()| true),
        ["android"] => android::build().map(|()| true),
        ["xcframework"] => xcframework::build().map(|()| true),
        ["size"] => size::measure(None).map(|()| true),
        ["size", target] => size::measure(Some(target)).map(|()| true),
        ["release", version] => release::prepare(version).map(|()| true),
        ["models"] => models::fetch(Extent::Normal).map(|()| true),
        ["models", "--full"] => models::fetch(Extent::Full).map(|()| true),
        [] | ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(true)
        }
        _ => bail!("unknown arguments `{}`\n{USAGE}", args.join(" ")),
    }
}

//! Which instruction set the CPU kernels use: found out once, when an engine is made.
#![allow(unsafe_code)]

use std::fmt;
use std::str::FromStr;

use crate::error::{PocketError, Result};

use super::lanes::Kernel;
#[cfg(target_arch = "aarch64")]
use super::lanes::neon;
use super::lanes::portable;
#[cfg(target_arch = "x86_64")]
use super::lanes::{avx2, avx512};

/// An instruction set that the kernels are compiled for. Results are the same bits on each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Plain Rust: what every CPU of the target architecture has.
    Portable,
    /// x86-64 with AVX2, F16C and FMA (2013 and later).
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// The same with AVX-VNNI's byte products (2021 and later).
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    /// x86-64 with AVX-512 and VNNI (2019 and later).
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// ARM64: what every CPU of the architecture has.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// ARM64 with byte dot products (2018 and later).
    #[cfg(target_arch = "aarch64")]
    DotProd,
    /// ARM64 with byte matrix products (2021 and later).
    #[cfg(target_arch = "aarch64")]
    I8mm,
}

/// Every level of this architecture with its name, lowest first.
const NAMES: &[(&str, Level)] = &[
    ("portable", Level::Portable),
    #[cfg(target_arch = "x86_64")]
    ("avx2", Level::Avx2),
    #[cfg(target_arch = "x86_64")]
    ("avx-vnni", Level::AvxVnni),
    #[cfg(target_arch = "x86_64")]
    ("avx512", Level::Avx512),
    #[cfg(target_arch = "aarch64")]
    ("neon", Level::Neon),
    #[cfg(target_arch = "aarch64")]
    ("dotprod", Level::DotProd),
    #[cfg(target_arch = "aarch64")]
    ("i8mm", Level::I8mm),
];

impl Level {
    /// The levels that this CPU has, lowest first.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> {
        NAMES
            .iter()
            .map(|row| row.1)
            .filter(|level| level.available())
    }

    /// The best level of this CPU.
    pub fn detect() -> Self {
        Self::all().next_back().unwrap_or(Self::Portable)
    }

    /// Whether this CPU has the level.
    pub fn available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::available(false),
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => avx2::available(true),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => avx512::available(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => true,
            #[cfg(target_arch = "aarch64")]
            Self::DotProd => std::arch::is_aarch64_feature_detected!("dotprod"),
            #[cfg(target_arch = "aarch64")]
            Self::I8mm => {
                std::arch::is_aarch64_feature_detected!("dotprod")
                    && std::arch::is_aarch64_feature_detected!("i8mm")
            }
        }
    }

    /// The level's name, as in `--cpu-level`.
    pub fn name(self) -> &'static str {
        let row = NAMES.iter().find(|row| row.1 == self);
        row.map_or("portable", |row| row.0)
    }

    /// Runs `kernel` compiled for this level, which an engine made sure the CPU has.
    #[inline]
    pub(super) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        debug_assert!(self.available());
        match self {
            Self::Portable => portable::run(kernel),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `Engine::with_level`, the only way to a level that is run, checked it.
            Self::Avx2 => unsafe { avx2::run(kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Self::AvxVnni => unsafe { avx2::run_vnni(kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Self::Avx512 => unsafe { avx512::run(kernel) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: every ARM64 CPU has it.
            Self::Neon => unsafe { neon::run(kernel) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: as above.
            Self::DotProd => unsafe { neon::run_dotprod(kernel) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: as above.
            Self::I8mm => unsafe { neon::run_i8mm(kernel) },
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Level {
    type Err = PocketError;

    /// The level of that name, if this CPU has it.
    fn from_str(name: &str) -> Result<Self> {
        let found = Self::all().find(|level| level.name() == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = Self::all().map(Self::name).collect();
            PocketError::invalid(
                "cpu level",
                format!("{name} is none of what this CPU has: {}", names.join(", ")),
            )
        })
    }
}

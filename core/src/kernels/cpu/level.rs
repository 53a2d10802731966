//! Which instruction set the CPU kernels use: found out once, when an engine is made.

/// An instruction set that some kernels have a version for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// What every CPU of the target architecture has (SSE2, NEON).
    Portable,
    /// x86-64 with AVX2.
    Avx2,
}

/// Every level, lowest first.
pub static LEVELS: &[Level] = &[Level::Portable, Level::Avx2];

impl Level {
    /// The best level of this CPU.
    pub fn detect() -> Self {
        let best = LEVELS.iter().rev().find(|level| level.available());
        best.copied().unwrap_or(Self::Portable)
    }

    /// Whether this CPU has the level.
    pub fn available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 => false,
        }
    }

    /// The level's name, as in `--cpu-level`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
        }
    }
}
